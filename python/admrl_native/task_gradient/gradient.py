"""The gradient of the sub-optimality gap with respect to the task (Eq. 2).

    dL/dψ = ∂η*/∂ψ|θ*  −  ∂η*/∂ψ|θ̂  +  Mᵀ H⁻¹ g

g = ∂η*/∂θ|θ̂ (Eq. 4) comes from real trajectories of π_θ̂; H = ∂²η̂/∂θ∂θᵀ (Eq. 7) and
M = ∂²η̂/∂θ∂ψᵀ (Eq. 6) from trajectories of π_θ̂ in the learned model.

Unit: everything is divided by the horizon, a mean over the time steps of a full episode, as the
authors' code has it; `damping` and the step size α are published in this unit (what γ^t changes in
H: docs/deviations.md).
"""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor

from ..krylov import SolveResult, solve_symmetric
from ..networks.policy import GaussianPolicy
from ..networks.value import ValueFunction
from ..sampling.trajectories import Trajectories
from ..training.advantage import (
    advantages_and_returns,
    episode_weights,
    reward_grad_advantages,
)
from ..training.settings import AdvantageSettings
from .hessian import HessianProduct, per_step_hessian
from .scores import ScoreProducts
from .settings import TaskGradientSettings


@dataclasses.dataclass(frozen=True)
class TaskGradient:
    """dL/dψ and its parts, each (K,) float64 on the CPU, per time step and per unit of ψ.

    Attributes:
        at_theta_star: ∂η*/∂ψ at θ*.
        at_theta_hat: ∂η*/∂ψ at θ̂.
        implicit: Mᵀ H⁻¹ g, which is −(∂θ̂/∂ψ)ᵀ ∂η*/∂θ.
        solver: its name.
        solves: one solve (adjoint) or K (per-dimension).
        policy_gradient_norm: ‖g‖.
        stationarity: ‖∂η̂/∂θ‖ at θ̂, which the implicit function theorem takes to be 0.
    """

    at_theta_star: Tensor
    at_theta_hat: Tensor
    implicit: Tensor
    solver: str
    solves: tuple[SolveResult[Tensor], ...]
    policy_gradient_norm: float
    stationarity: float

    @property
    def total(self) -> Tensor:
        """dL/dψ (K,)."""
        return self.at_theta_star - self.at_theta_hat + self.implicit

    def metrics(self) -> dict[str, Any]:
        """JSON-able summary."""
        return {
            "gradient": self.total.tolist(),
            "terms": {
                "at_theta_star": self.at_theta_star.tolist(),
                "at_theta_hat": self.at_theta_hat.tolist(),
                "implicit": self.implicit.tolist(),
            },
            "solver": [
                {
                    "method": self.solver,
                    "status": s.reason,
                    "iterations": s.iterations,
                    "products": s.products,
                    "residual": s.residual,
                    "regularised_residual": s.regularised_residual,
                }
                for s in self.solves
            ],
            "policy_gradient_norm": self.policy_gradient_norm,
            "stationarity": self.stationarity,
        }


def task_gradient(
    policy_hat: GaussianPolicy,
    value_hat: ValueFunction,
    real_star: Trajectories,
    real_hat: Trajectories,
    virtual_hat: Trajectories,
    *,
    horizon: int,
    settings: TaskGradientSettings,
    advantage: AdvantageSettings,
) -> TaskGradient:
    """Estimates Eq. 2 from samples (Algorithm 1, lines 9 to 11).

    Args:
        policy_hat: π_θ̂, the policy of zero-shot adaptation.
        value_hat: its value function in the model.
        real_star: real trajectories of π_θ*.
        real_hat: real trajectories of π_θ̂.
        virtual_hat: trajectories of π_θ̂ in the model in which θ̂ was made.
        horizon: T of an episode; the unit of the result.
    """
    # g (Eq. 4), H (Eq. 7), M (Eq. 6)
    real_scores = _scores(policy_hat, real_hat)
    g = real_scores.vjp(_weights(real_hat, value_hat, horizon, advantage))
    scores = _scores(policy_hat, virtual_hat)
    weights = _weights(virtual_hat, value_hat, horizon, advantage)
    hessian = per_step_hessian(scores, weights)
    mixed_weights = _mixed_weights(virtual_hat, horizon, advantage)

    # (∂θ̂/∂ψ)ᵀ g by the implicit function theorem (Eq. 5)
    if settings.form == "adjoint":
        solves = [_solve(hessian, g, settings)]
        y = solves[0].solution
        implicit = scores.jvp(y) @ mixed_weights  # Mᵀ y
    else:
        columns = [scores.vjp(w) for w in mixed_weights.T]  # M
        solves = [_solve(hessian, m, settings) for m in columns]
        implicit = torch.stack([s.solution @ g for s in solves])

    return TaskGradient(
        at_theta_star=_mean_reward_gradient(real_star, horizon, advantage),  # Eq. 3
        at_theta_hat=_mean_reward_gradient(real_hat, horizon, advantage),  # Eq. 3
        implicit=implicit.cpu(),
        solver=settings.solver,
        solves=tuple(solves),
        policy_gradient_norm=g.norm().item(),
        stationarity=scores.vjp(weights).norm().item(),
    )


def _solve(
    hessian: HessianProduct, b: Tensor, settings: TaskGradientSettings
) -> SolveResult[Tensor]:
    """x of (HᵀH/P + damping · I) x = Hᵀ b/P, the authors' system: min ‖H x − b‖² + P damping ‖x‖².

    `cg` shifts H itself, by the root of what is added to HᵀH.
    """
    damping = settings.damping * b.numel()
    return solve_symmetric(
        hessian,
        b,
        method=settings.solver,
        damping=damping if settings.solver != "cg" else damping**0.5,
        max_iterations=settings.max_iterations,
        tolerance=settings.tolerance,
    )


def _scores(policy: GaussianPolicy, t: Trajectories) -> ScoreProducts:
    return ScoreProducts(policy, t.obs.flatten(0, 1), t.actions.flatten(0, 1))


def _weights(
    t: Trajectories, value: ValueFunction, horizon: int, advantage: AdvantageSettings
) -> Tensor:
    """γ^t Â_t averaged over episodes and divided by the horizon, (M,) float64; Â less its mean."""
    estimates = advantages_and_returns(t, value, advantage)[0].double()
    weights = episode_weights(t, advantage) / horizon
    return (weights * (estimates - estimates.mean())).flatten()


def _mixed_weights(t: Trajectories, horizon: int, advantage: AdvantageSettings) -> Tensor:
    """The same of ∂Â_t/∂ψ, (M, K) float64, each column less its mean."""
    columns = reward_grad_advantages(t, advantage).double()
    weights = episode_weights(t, advantage) / horizon
    return (weights.unsqueeze(-1) * (columns - columns.mean((0, 1)))).flatten(0, 1)


def _mean_reward_gradient(t: Trajectories, horizon: int, advantage: AdvantageSettings) -> Tensor:
    """∂η*/∂ψ over the horizon (Eq. 3), (K,) float64."""
    weights = episode_weights(t, advantage).unsqueeze(-1) / horizon
    return (weights * t.reward_grads.double()).sum((0, 1)).cpu()
