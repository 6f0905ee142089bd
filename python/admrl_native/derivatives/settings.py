"""Constants of a step within a trust region."""

from __future__ import annotations

import dataclasses

from ..settings import Settings, setting


@dataclasses.dataclass(frozen=True)
class TrpoSettings(Settings):
    """Source: the authors' code; Schulman et al. 2015, Appendix C."""

    max_kl: float = setting(0.01, "trust region: largest mean KL divergence", unit="nats", above=0)
    cg_iterations: int = setting(
        10, "conjugate gradient iterations on the Fisher matrix", minimum=1
    )
    fisher_damping: float = setting(
        0.1, "multiple of the identity added to the Fisher matrix", minimum=0
    )
    line_search_steps: int = setting(10, "step halvings tried", minimum=1)
    line_search_decay: float = setting(0.5, "factor per line search step", above=0, maximum=1)
    kl_tolerance: float = setting(
        1.5, "a step is accepted up to this multiple of max_kl", minimum=1
    )
    entropy_coefficient: float = setting(0.005, "weight of the policy entropy", minimum=0)
