"""How the task gradient is estimated and solved."""

from __future__ import annotations

import dataclasses

from ..settings import Settings, setting


@dataclasses.dataclass(frozen=True)
class TaskGradientSettings(Settings):
    """Source: Section 4.2, Appendix B, Appendix C."""

    form: str = setting(
        "adjoint",
        "adjoint: one solve H y = g; per-dimension: one solve per task dimension, as the paper",
        choices=("adjoint", "per-dimension"),
    )
    hessian: str = setting("per-step", "Hessian estimator", choices=("per-step",))
    solver: str = setting("cgnr", "Krylov solver", choices=("cgnr", "minres", "cg"))
    damping: float = setting(
        0.1, "μ of (HᵀH/P + μ I) x = Hᵀb/P, P the number of policy parameters", minimum=0
    )
    max_iterations: int = setting(200, "Krylov iterations at most", minimum=1)
    tolerance: float = setting(1e-6, "relative residual at which the solve stops", minimum=0)
    virtual_samples: int = setting(10_000, "virtual samples for H and M", minimum=1)
    real_samples: int = setting(10_000, "real samples for each of the two policies", minimum=1)
    model: str = setting(
        "zero-shot",
        "model of H and M: that at the end of zero-shot adaptation, or the latest (the authors')",
        choices=("zero-shot", "latest"),
    )
