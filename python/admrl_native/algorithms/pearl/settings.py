"""Constants of PEARL."""

from __future__ import annotations

import dataclasses

from ...settings import Settings, setting


@dataclasses.dataclass(frozen=True)
class PearlSettings(Settings):
    """Source: Appendix C for the counts of an iteration; the authors' code of PEARL otherwise."""

    iterations: int = setting(500, "meta-training iterations (Appendix C)", minimum=1)
    tasks_per_iteration: int = setting(
        5, "training tasks that are sampled in an iteration (Appendix C)", minimum=1
    )
    prior_samples: int = setting(
        400, "real samples per task with z from the prior (Appendix C)", minimum=1
    )
    posterior_samples: int = setting(
        600, "real samples per task with z from the posterior (Appendix C)", minimum=1
    )
    initial_samples: int = setting(
        2000, "real samples of every training task before the first iteration", minimum=1
    )
    gradient_steps: int = setting(4000, "gradient steps per iteration (Appendix C)", minimum=1)
    meta_batch: int = setting(10, "tasks per gradient step (Appendix C)", minimum=1)
    batch_size: int = setting(256, "transitions per task and gradient step", minimum=1)
    context_size: int = setting(64, "transitions that a training context has", minimum=1)
    latent_dim: int = setting(5, "dimension of z", minimum=1)
    encoder_hidden: tuple[int, ...] = setting(
        (200, 200, 200), "context encoder layers, ReLU", minimum=1
    )
    encoder_next_obs: bool = setting(False, "the encoder sees s' too, not only (s, a, r)")
    kl_weight: float = setting(0.1, "weight of the KL divergence of z from its prior", minimum=0)
