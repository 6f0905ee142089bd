"""The constants of MAML."""

from __future__ import annotations

import dataclasses

from ...derivatives.settings import TrpoSettings
from ...settings import Settings, setting
from ...training.settings import AdvantageSettings


@dataclasses.dataclass(frozen=True)
class MamlSettings(Settings):
    """Source: Appendix C (iterations, meta_batch, rollouts); Finn et al. 2017, Section 5.3 and
    Appendix A.2; the optimiser's constants are those of rllab, which the authors of MAML used."""

    hidden: tuple[int, ...] = setting((100, 100), "policy layers, tanh", minimum=1)
    iterations: int = setting(500, "meta-training iterations", minimum=1)
    meta_batch: int = setting(40, "tasks per iteration", minimum=1)
    rollouts: int = setting(20, "episodes per task and policy", minimum=1)
    inner_steps: int = setting(1, "policy-gradient steps of an adaptation in training", minimum=1)
    inner_step_size: float = setting(
        0.1, "step size of the adaptation, per mean of standardised advantage · score", above=0
    )
    surrogate: str = setting(
        "lvc",
        "how the outer gradient passes through the adaptation; dice: unbiased, noisier; "
        "first-order: not at all",
        choices=("lvc", "dice", "first-order"),
    )
    test_steps: int = setting(
        1, "policy-gradient steps per round of adaptation at test time", minimum=1
    )
    test_step_size: float = setting(0.1, "step size of the first of them", above=0)
    test_later_factor: float = setting(
        0.5, "what later steps, in this round or the next, multiply it by", above=0
    )
    gae_lambda: float = setting(1.0, "λ of generalised advantage estimation", minimum=0, maximum=1)
    baseline_ridge: float = setting(1e-5, "ridge of the linear baseline's fit", above=0)
    max_kl: float = setting(
        0.01, "trust region: largest mean KL of the adapted policies", unit="nats", above=0
    )
    cg_iterations: int = setting(10, "conjugate gradient iterations of the outer step", minimum=1)
    fisher_damping: float = setting(
        1e-5, "multiple of the identity added to the Fisher matrix", minimum=0
    )
    line_search_steps: int = setting(15, "step lengths tried", minimum=1)
    line_search_decay: float = setting(0.8, "factor per line search step", above=0, maximum=1)
    kl_tolerance: float = setting(
        1.0, "an outer step is accepted up to this multiple of max_kl", minimum=1
    )

    def trust_region(self) -> TrpoSettings:
        """What the outer step takes."""
        return TrpoSettings(
            max_kl=self.max_kl,
            cg_iterations=self.cg_iterations,
            fisher_damping=self.fisher_damping,
            line_search_steps=self.line_search_steps,
            line_search_decay=self.line_search_decay,
            kl_tolerance=self.kl_tolerance,
            entropy_coefficient=0.0,
        )

    def advantage(self, gamma: float) -> AdvantageSettings:
        """γ of the run with MAML's own λ."""
        return AdvantageSettings(gamma=gamma, gae_lambda=self.gae_lambda)
