"""One policy-gradient step on the samples of one task, and how it changes with θ."""

from __future__ import annotations

import torch
from torch import Tensor

from ..derivatives.scores import DifferentiablePolicy, score_products
from ..networks.policy import gaussian_log_prob
from .surrogates import check_surrogate, surrogate, surrogate_hessian
from .weighted import WeightedTrajectories


class InnerStep:
    """θ' = θ + α ∇J(θ), J the surrogate of samples that were drawn with θ = θ_old.

    At θ_old the step's Jacobian is I + α ∇²J, symmetric; nothing of size P × P is formed.

    Args:
        policy: π at θ_old; not changed.
        samples: of the task, drawn with it.
        step_size: α, per unit of the gradient that the weights define.
        surrogate: one of `SURROGATES`.
        dtype: precision of the products.

    Attributes:
        adapted: θ' (P,) at θ_old.

    Raises:
        ValueError: no such surrogate.

    Source: Finn et al. 2017, Eq. 1 and Algorithm 3.
    """

    def __init__(
        self,
        policy: DifferentiablePolicy,
        samples: WeightedTrajectories,
        *,
        step_size: float,
        surrogate: str,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        check_surrogate(surrogate)
        self._policy, self._samples = policy, samples
        self._step_size, self._surrogate = step_size, surrogate
        scores = score_products(policy, samples.obs, samples.actions, dtype)
        params = policy.get_params().to(dtype)
        self._gradient = scores.vjp(samples.weights.flatten())
        self.adapted = params + step_size * self._gradient
        self._hessian = surrogate_hessian(surrogate, samples, scores)
        self._x = policy.normaliser(samples.obs).to(dtype)
        with torch.no_grad():
            self._old_log_probs = self._log_probs(params)

    def jacobian_product(self, v: Tensor) -> Tensor:
        """∂θ'/∂θ v at θ_old (P,), of v (P,); the Jacobian is its own transpose."""
        if self._hessian is None:
            return v
        return v + self._step_size * self._hessian(v)

    def adapted_at(self, params: Tensor) -> Tensor:
        """θ' (P,) of another θ (P,), from the same samples."""
        if self._hessian is None:
            return params + self._step_size * self._gradient

        def objective(theta: Tensor) -> Tensor:
            log_ratio = (self._log_probs(theta) - self._old_log_probs).view_as(
                self._samples.weights
            )
            return surrogate(self._surrogate, self._samples, log_ratio)

        gradient: Tensor = torch.func.grad(objective)(params)
        return params + self._step_size * gradient

    def _log_probs(self, params: Tensor) -> Tensor:
        mean, log_std = self._policy.mean_and_log_std(params, self._x)
        return gaussian_log_prob(self._samples.actions.to(params), mean, log_std)
