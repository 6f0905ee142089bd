"""Estimators of H = ∂²η̂/∂θ∂θᵀ as Hessian–vector products (Eq. 7)."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from .scores import ScoreProducts

HessianProduct = Callable[[Tensor], Tensor]


def per_step_hessian(scores: ScoreProducts, weights: Tensor) -> HessianProduct:
    """x ↦ H x with H = Σ_t w_t (g_t g_tᵀ + ∇²log π_t), g_t = ∇log π_t.

    The two parts are g₁ and g₂ of Appendix B (Eqs. 21, 22): one Jacobian product forward, one back,
    and one Hessian product, without copies of θ. Products of two different time steps are left
    out, so the estimator is biased; see docs/deviations.md.

    Args:
        weights: w_t (M,), discounted advantages averaged over episodes.
    """

    def product(x: Tensor) -> Tensor:
        g1 = scores.vjp(weights * scores.jvp(x))  # Eq. 21
        g2 = scores.hvp(weights, x)  # Eq. 22
        return g1 + g2

    return product
