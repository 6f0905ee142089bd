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
    hessian: str = setting(
        "causal",
        "Hessian estimator; causal is unbiased with a decay and λ of 1, trajectory always, "
        "per-step is the authors'",
        choices=("causal", "per-step", "trajectory"),
    )
    hessian_decay: float = setting(
        0.7,
        "causal: weight of the product of two time steps, per step between them; "
        "1 is unbiased, 0 is per-step",
        minimum=0,
        maximum=1,
    )
    gae_lambda: float = setting(
        0.95,
        "λ of the advantages in the task gradient; 1 is unbiased, 0.95 the authors'",
        minimum=0,
        maximum=1,
    )
    solver: str = setting(
        "minres",
        "linear solver; auto picks one and says why; dense forms H",
        choices=("minres", "cgnr", "cg", "dense", "auto"),
    )
    damping: float | str = setting(
        "auto",
        "μ of (HᵀH/P + μ I) x = Hᵀb/P, P the number of policy parameters; "
        "auto: the one with which each half of the trajectories predicts the other best",
        minimum=0,
        words=("auto",),
    )
    max_iterations: int = setting(200, "solver iterations at most", minimum=1)
    tolerance: float = setting(
        1e-6, "relative residual of the regularised system at which a solve stops", minimum=0
    )
    virtual_samples: int = setting(10_000, "virtual samples for H and M", minimum=1)
    real_samples: int = setting(10_000, "real samples for each of the two policies", minimum=1)
    model: str = setting(
        "zero-shot",
        "model of H and M: that at the end of zero-shot adaptation, or the latest (the authors')",
        choices=("zero-shot", "latest"),
    )
    jackknife_groups: int = setting(
        10,
        "groups of trajectories left out in turn for the standard errors; below 2: none",
        minimum=0,
    )
