"""The pieces of Eq. 2, estimated from samples: ∂η*/∂ψ (Eq. 3), g (Eq. 4), M (Eq. 6), H (Eq. 7)."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from ..derivatives.scores import DifferentiablePolicy, ScoreProducts, score_products
from ..training.settings import AdvantageSettings
from .hessian import HessianProduct, hessian_product
from .samples import GapSamples, ValuedTrajectories
from .settings import TaskGradientSettings
from .weights import advantage_weights, mean_reward_gradient, mixed_weights


@dataclasses.dataclass(frozen=True)
class Terms:
    """Estimates from one set of samples, per time step and per unit of ψ; float64.

    Attributes:
        at_theta_star: ∂η*/∂ψ at θ* (K,), on the CPU.
        at_theta_hat: ∂η*/∂ψ at θ̂ (K,), on the CPU.
        g: ∂η*/∂θ at θ̂ (P,).
        model_gradient: ∂η̂/∂θ at θ̂ (P,), which the implicit function theorem takes to be 0.
        hessian: x ↦ H x.
        mixed: M.
    """

    at_theta_star: Tensor
    at_theta_hat: Tensor
    g: Tensor
    model_gradient: Tensor
    hessian: HessianProduct
    mixed: MixedDerivative

    def total(self, implicit: Tensor) -> Tensor:
        """dL/dψ (K,) on the CPU (Eq. 2), the implicit term (K,) being given."""
        return self.at_theta_star - self.at_theta_hat + implicit.cpu()


@dataclasses.dataclass(frozen=True)
class MixedDerivative:
    """M = ∂²η̂/∂θ∂ψᵀ = Σ_t ∇log π_t w_tᵀ (P, K) by its products (Eq. 6).

    Attributes:
        scores: of the virtual samples.
        weights: γ^t ∂Â_t/∂ψ (M, K).
    """

    scores: ScoreProducts
    weights: Tensor

    def transposed(self, y: Tensor) -> Tensor:
        """Mᵀ y (K,) of y (P,): one Jacobian product, whatever K is."""
        return self.scores.jvp(y).double() @ self.weights

    def columns(self) -> list[Tensor]:
        """The K columns (P,) of M."""
        return [self.scores.vjp(w).double() for w in self.weights.T]


def estimate_terms(
    policy: DifferentiablePolicy,
    samples: GapSamples,
    *,
    horizon: int,
    settings: TaskGradientSettings,
    advantage: AdvantageSettings,
    dtype: torch.dtype = torch.float64,
) -> Terms:
    """All of them from these samples.

    Args:
        policy: π_θ̂.
        dtype: precision of the products with scores; results are float64 in any case.
    """

    def scores_of(valued: ValuedTrajectories) -> ScoreProducts:
        t = valued.trajectories
        return score_products(policy, t.obs.flatten(0, 1), t.actions.flatten(0, 1), dtype)

    real, virtual = scores_of(samples.real_hat), scores_of(samples.virtual_hat)
    g = real.vjp(advantage_weights(samples.real_hat, horizon, advantage))
    model_gradient = virtual.vjp(advantage_weights(samples.virtual_hat, horizon, advantage))
    return Terms(
        at_theta_star=mean_reward_gradient(samples.real_star, horizon, advantage),
        at_theta_hat=mean_reward_gradient(samples.real_hat.trajectories, horizon, advantage),
        g=g.double(),
        model_gradient=model_gradient.double(),
        hessian=hessian_product(
            virtual, samples.virtual_hat, horizon=horizon, settings=settings, advantage=advantage
        ),
        mixed=MixedDerivative(
            virtual, mixed_weights(samples.virtual_hat.trajectories, horizon, advantage)
        ),
    )
