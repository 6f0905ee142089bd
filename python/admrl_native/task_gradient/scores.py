"""Products with the scores ∇log π_θ(a_t|s_t) of a batch of samples.

Write G [M, P] for the matrix whose row t is ∇log π_θ(a_t|s_t). No product forms G.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..networks.policy import GaussianPolicy, gaussian_log_prob


class ScoreProducts:
    """G x, Gᵀ w and the Hessian product Σ_t w_t ∇²log π_t x, at the policy's θ.

    Args:
        policy: π_θ; not changed.
        obs: (M, D).
        actions: (M, A), unclipped.
        dtype: precision of the products; float64 costs twice float32.

    Source: Eq. 7, Appendix B: what Hessian and gradient estimators are made of.
    """

    def __init__(
        self,
        policy: GaussianPolicy,
        obs: Tensor,
        actions: Tensor,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        x = policy.normaliser(obs).to(dtype)
        actions = actions.to(dtype)

        def log_probs(theta: Tensor) -> Tensor:
            mean, log_std = policy.mean_and_log_std(theta, x)
            return gaussian_log_prob(actions, mean, log_std)

        self.params = policy.get_params().to(dtype)
        self.log_probs = log_probs
        self._vjp: Callable[[Tensor], tuple[Tensor]] = torch.func.vjp(log_probs, self.params)[1]

    def jvp(self, x: Tensor) -> Tensor:
        """G x: ∇log π_t · x for every sample, (M,), of a direction x (P,)."""
        product: Tensor = torch.func.jvp(self.log_probs, (self.params,), (x.to(self.params),))[1]
        return product

    def vjp(self, weights: Tensor) -> Tensor:
        """Gᵀ w: Σ_t w_t ∇log π_t, (P,), of weights w (M,)."""
        (product,) = self._vjp(weights.to(self.params))
        return product

    def hvp(self, weights: Tensor, x: Tensor) -> Tensor:
        """Σ_t w_t ∇²log π_t x, (P,), of weights w (M,) and a direction x (P,)."""
        weights = weights.to(self.params)

        def weighted_gradient(theta: Tensor) -> Tensor:
            gradient: Tensor = torch.func.grad(lambda p: weights @ self.log_probs(p))(theta)
            return gradient

        product: Tensor = torch.func.jvp(weighted_gradient, (self.params,), (x.to(self.params),))[1]
        return product
