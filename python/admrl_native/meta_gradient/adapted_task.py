"""One task of a meta-batch: its inner steps, and samples of the policy that they led to."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..derivatives.scores import DifferentiablePolicy, score_products
from ..networks.policy import gaussian_log_prob
from .inner_step import InnerStep
from .weighted import WeightedTrajectories


class AdaptedTask:
    """θ ↦ θ'(θ) and the return of π_θ', both around the θ_old that everything was sampled at.

    Args:
        steps: one or more, each from where the one before it led.
        policy: π at θ'_old, where the last step led.
        samples: drawn with it, the post-adaptation samples.
        dtype: precision of the products.

    Attributes:
        policy: as given.
        x: (M, D) normalised states of the samples.
    """

    def __init__(
        self,
        steps: Sequence[InnerStep],
        policy: DifferentiablePolicy,
        samples: WeightedTrajectories,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self._steps, self.policy, self._samples = steps, policy, samples
        self._weights = samples.weights.flatten().to(dtype)
        self._actions = samples.actions.to(dtype)
        self.x = policy.normaliser(samples.obs).to(dtype)
        self.params = policy.get_params().to(dtype)
        with torch.no_grad():
            self.old_mean, self.old_log_std = policy.mean_and_log_std(self.params, self.x)
            self._old_log_probs = gaussian_log_prob(self._actions, self.old_mean, self.old_log_std)

    def adapted_at(self, params: Tensor) -> Tensor:
        """θ' (P,) of θ (P,)."""
        for step in self._steps:
            params = step.adapted_at(params)
        return params

    def forward(self, v: Tensor) -> Tensor:
        """∂θ'/∂θ v (P,) at θ_old."""
        for step in self._steps:
            v = step.jacobian_product(v)
        return v

    def backward(self, v: Tensor) -> Tensor:
        """(∂θ'/∂θ)ᵀ v (P,) at θ_old."""
        for step in reversed(self._steps):
            v = step.jacobian_product(v)
        return v

    def gradient(self) -> Tensor:
        """d/dθ of the return of π_θ'(θ) at θ_old (P,).

        Source: Finn et al. 2017, Eq. 4; the product of the Jacobians with Σ_t w_t ∇log π_θ'.
        """
        scores = score_products(self.policy, self._samples.obs, self._samples.actions, self.x.dtype)
        return self.backward(scores.vjp(self._weights))

    def return_change(self, mean: Tensor, log_std: Tensor) -> Tensor:
        """What importance weights say that another policy gains (), of μ (M, A), log σ (A,)."""
        ratio = torch.exp(gaussian_log_prob(self._actions, mean, log_std) - self._old_log_probs)
        return (self._weights * (ratio - 1)).sum()
