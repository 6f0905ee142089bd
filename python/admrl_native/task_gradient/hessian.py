"""Estimators of H = ∂²η̂/∂θ∂θᵀ (Eq. 7) as Hessian–vector products.

With g_t = ∇log π_t and S_t = Σ_{u≤t} g_u within an episode, per episode:

    trajectory  (S Sᵀ + Σ_t ∇²log π_t) (R − b)                                       unbiased
    causal      Σ_t w_t (g_t g_tᵀ + ∇²log π_t + g_t S_{t−1}ᵀ + S_{t−1} g_tᵀ)         unbiased
    per-step    Σ_t w_t (g_t g_tᵀ + ∇²log π_t)                                       biased

All three are Gᵀ A G + Σ_t w_t ∇²log π_t with a symmetric map A of per-sample numbers, so a product
is one Jacobian product forward, a scan along the episodes, one product back: they cost the same.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from ..derivatives.scores import ScoreProducts
from ..training.settings import AdvantageSettings
from .samples import ValuedTrajectories
from .scans import EpisodeScans
from .settings import TaskGradientSettings
from .weights import advantage_weights, return_weights

HessianProduct = Callable[[Tensor], Tensor]


def hessian_product(
    scores: ScoreProducts,
    valued: ValuedTrajectories,
    *,
    horizon: int,
    settings: TaskGradientSettings,
    advantage: AdvantageSettings,
) -> HessianProduct:
    """x ↦ H x, (P,) float64, by the estimator that the settings name."""
    if settings.hessian == "trajectory":
        weights = return_weights(valued, horizon)
        return trajectory_hessian(scores, EpisodeScans(valued.trajectories), weights)
    weights = advantage_weights(valued, horizon, advantage)
    if settings.hessian == "per-step":
        return per_step_hessian(scores, weights)
    scans = EpisodeScans(valued.trajectories)
    return causal_hessian(scores, scans, weights, settings.hessian_decay)


def trajectory_hessian(
    scores: ScoreProducts, scans: EpisodeScans, weights: Tensor
) -> HessianProduct:
    """H = E[(S Sᵀ + ∇²log π(τ)) (R − b)], Eq. 7 as the paper prints it.

    Args:
        weights: R − b on every step of an episode (M,), averaged over episodes.
    """
    curvature, scan = scores.curvature(weights), scans.episode_sum(weights)
    return lambda x: curvature(x, scan).to(x)


def per_step_hessian(scores: ScoreProducts, weights: Tensor) -> HessianProduct:
    """H = E[Σ_t w_t (g_t g_tᵀ + ∇²log π_t)]: g₁ and g₂ of Appendix B (Eqs. 21, 22).

    Without copies of θ. Products of two different time steps are left out, so it is biased.

    Args:
        weights: w_t = γ^t Â_t (M,), averaged over episodes.
    """
    curvature = scores.curvature(weights)
    return lambda x: curvature(x, lambda c: weights.to(c) * c).to(x)


def causal_hessian(
    scores: ScoreProducts, scans: EpisodeScans, weights: Tensor, decay: float = 1.0
) -> HessianProduct:
    """H = E[Σ_t w_t (g_t g_tᵀ + ∇²log π_t + g_t S_{t−1}ᵀ + S_{t−1} g_tᵀ)].

    From ∇²η = E[Σ_t γ^t r_t (S_t S_tᵀ + Σ_{u≤t} ∇²log π_u)] by summation by parts and a baseline.

    Args:
        weights: w_t = γ^t Â_t (M,), averaged over episodes.
        decay: τ in [0, 1]; the product of steps t and u counts τ^|t−u|. 1: unbiased; 0: per-step.

    Source: Foerster et al. 2018 (DiCE); Farquhar et al. 2019 (Loaded DiCE), whose τ this is.
    """
    curvature, scan = scores.curvature(weights), scans.cross_step(weights, decay)
    return lambda x: curvature(x, scan).to(x)
