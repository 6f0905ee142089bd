"""A_n(ψ): a policy for a new task from a meta-trained model and n real samples (Section 5)."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt
from torch import Tensor

from ..networks.policy import GaussianPolicy
from ..seeding import derive_generator, derive_seed
from ..training.model_learner import ModelLearner
from .workshop import Workshop


@dataclasses.dataclass(frozen=True)
class AdaptedPolicy:
    """A policy adapted to one task.

    Attributes:
        policy: π_θ with the normaliser it was made with.
        psi: the task (K,).
        real_samples: n, real samples of this task that were used.
    """

    policy: GaussianPolicy
    psi: Tensor
    real_samples: int


def adapt(
    workshop: Workshop, model: ModelLearner, psi: Tensor, *, real_samples: int, seed: int
) -> AdaptedPolicy:
    """Zero-shot adaptation, then rounds of real samples and SLBO; `model` is left as it is.

    Args:
        model: the meta-trained model and its data.
        psi: the task (K,).
        real_samples: n, a multiple of `n_adapt` of the schedule; 0: zero-shot.

    Raises:
        ValueError: n is not a multiple of `n_adapt`, or the model has no data.
    """
    schedule = workshop.settings.schedule
    if real_samples < 0 or real_samples % schedule.n_adapt != 0:
        raise ValueError(
            f"real_samples: expected a multiple of n_adapt={schedule.n_adapt}, got {real_samples}"
        )
    if len(model.replays["train"]) == 0:
        raise ValueError("adapt: expected a trained model, got one without data")
    model = model.copy(with_data=True)
    agent = workshop.new_agent(derive_generator(seed, "agent"))
    agent.adopt_normaliser(model.dynamics.states)
    workshop.virtual_training(
        agent, model, psi, schedule.n_zeroshot, derive_seed(seed, "zero-shot")
    )
    for stage in range(real_samples // schedule.n_adapt):
        transitions = workshop.collect(
            agent.policy, psi, schedule.n_adapt, derive_seed(seed, stage, "collect"), "adaptation"
        )
        model.add("train", transitions)
        agent.adopt_normaliser(model.dynamics.states)
        workshop.virtual_training(
            agent, model, psi, schedule.n_inner, derive_seed(seed, f"slbo-{stage}")
        )
    return AdaptedPolicy(agent.policy, psi, real_samples)


def evaluate(
    workshop: Workshop, policy: GaussianPolicy, psi: Tensor, *, episodes: int, seed: int
) -> npt.NDArray[np.float32]:
    """Undiscounted real returns (episodes,) of the stochastic policy on a task ψ (K,)."""
    return workshop.real_returns(policy, psi, episodes, derive_seed(seed, "evaluate")).numpy()
