"""The gradient of the sub-optimality gap with respect to the task (Eq. 2).

    dL/dψ = ∂η*/∂ψ|θ*  −  ∂η*/∂ψ|θ̂  +  Mᵀ H⁻¹ g

g = ∂η*/∂θ|θ̂ (Eq. 4) comes from real trajectories of π_θ̂; H = ∂²η̂/∂θ∂θᵀ (Eq. 7) and
M = ∂²η̂/∂θ∂ψᵀ (Eq. 6) from trajectories of π_θ̂ in the learned model. docs/task-gradient.md derives
all of it.

Unit: everything is divided by the horizon, a mean over the time steps of a full episode, as the
authors' code has it; `damping` and the step size α are published in this unit (what γ^t changes in
H: docs/deviations.md).
"""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor

from ..derivatives.scores import DifferentiablePolicy
from ..sampling.trajectories import Trajectories
from ..training.advantage import Value
from ..training.settings import AdvantageSettings
from .damping import Damping, choose_damping
from .health import Health, HealthCheck, verdict
from .implicit import Solve, implicit_term
from .samples import GapSamples, ValuedTrajectories
from .settings import TaskGradientSettings
from .terms import Terms, estimate_terms


@dataclasses.dataclass(frozen=True)
class TaskGradient:
    """dL/dψ and its parts, each (K,) float64 on the CPU, per time step and per unit of ψ.

    Attributes:
        total: dL/dψ.
        at_theta_star: ∂η*/∂ψ at θ*.
        at_theta_hat: ∂η*/∂ψ at θ̂.
        implicit: Mᵀ H⁻¹ g, which is −(∂θ̂/∂ψ)ᵀ ∂η*/∂θ.
        solves: one (adjoint) or K (per-dimension).
        damping: the regulariser that was used.
        policy_gradient_norm: ‖g‖.
        health: how far to trust it.
    """

    total: Tensor
    at_theta_star: Tensor
    at_theta_hat: Tensor
    implicit: Tensor
    solves: tuple[Solve, ...]
    damping: Damping
    policy_gradient_norm: float
    health: Health

    @property
    def verdict(self) -> str:
        """One line: "trusted", or why not."""
        return verdict(self.health, self.total, self.implicit, self.solves)

    def no_guide(self, *, follow: bool) -> str | None:
        """Why no step can be taken along it; None: one can.

        Args:
            follow: also where no component's sign can be trusted.
        """
        if not torch.isfinite(self.total).all():
            return "the gradient is not finite"
        if not follow and self.health.trusted is not None and not any(self.health.trusted):
            return "no component's sign can be trusted"
        return None

    def metrics(self) -> dict[str, Any]:
        """JSON-able summary."""
        return {
            "gradient": self.total.tolist(),
            "terms": {
                "at_theta_star": self.at_theta_star.tolist(),
                "at_theta_hat": self.at_theta_hat.tolist(),
                "implicit": self.implicit.tolist(),
            },
            "solver": [s.metrics() for s in self.solves],
            "damping": self.damping.metrics(),
            "policy_gradient_norm": self.policy_gradient_norm,
            "health": self.health.metrics(),
            "verdict": self.verdict,
        }


def task_gradient(
    policy_hat: DifferentiablePolicy,
    value_hat: Value,
    real_star: Trajectories,
    real_hat: Trajectories,
    virtual_hat: Trajectories,
    *,
    horizon: int,
    settings: TaskGradientSettings,
    advantage: AdvantageSettings,
    scale: Tensor | None = None,
) -> TaskGradient:
    """Estimates Eq. 2 from samples (Algorithm 1, lines 9 to 11).

    Args:
        policy_hat: π_θ̂, the policy of zero-shot adaptation.
        value_hat: its value function in the model.
        real_star: real trajectories of π_θ*.
        real_hat: real trajectories of π_θ̂.
        virtual_hat: trajectories of π_θ̂ in the model that the setting `model` names.
        horizon: T of an episode; the unit of the result.
        settings: estimators, solver, damping.
        advantage: the discount; λ comes from `settings`.
        scale: (K,) half widths of Ψ, to compare directions in; None: 1.

    Raises:
        ValueError: the samples are too few for what the settings ask for.
        SolverError: g or a product with H is not finite.
    """
    advantage = advantage.replace(gae_lambda=settings.gae_lambda)
    samples = GapSamples(
        real_star,
        ValuedTrajectories.of(real_hat, value_hat, advantage),
        ValuedTrajectories.of(virtual_hat, value_hat, advantage),
    )

    def terms_of(part: GapSamples, dtype: torch.dtype = torch.float64) -> Terms:
        return estimate_terms(
            policy_hat, part, horizon=horizon, settings=settings, advantage=advantage, dtype=dtype
        )

    check = HealthCheck(samples, terms_of, settings)
    damping = choose_damping(check.halves, settings, check.tolerance)
    terms = terms_of(samples)  # Eqs. 3, 4, 6, 7
    implicit, solves = implicit_term(terms.hessian, terms.g, terms.mixed, damping.value, settings)
    total = terms.total(implicit)
    return TaskGradient(
        total=total,
        at_theta_star=terms.at_theta_star,
        at_theta_hat=terms.at_theta_hat,
        implicit=implicit.cpu(),
        solves=tuple(solves),
        damping=damping,
        policy_gradient_norm=terms.g.norm().item(),
        health=check.report(terms, total, solves[0], damping.value, scale),
    )
