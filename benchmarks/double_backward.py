"""The baseline of task_gradient.py: the paper's products and solver in plain PyTorch."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from admrl_native.networks.policy import GaussianPolicy, gaussian_log_prob


class DoubleBackward:
    """x ↦ H x (P,), per-step estimator, by two backward passes over copies of θ.

    With η_h(θ1, θ2, θ3) = Σ_t w_t (log π_θ1 log π_θ2 + log π_θ3):

        g1 = ∂/∂θ1 (xᵀ ∂η_h/∂θ2),  g2 = ∂/∂θ3 (xᵀ ∂η_h/∂θ3),  H x = g1 + g2.

    Args:
        policy: π_θ; not changed.
        obs: (M, D).
        actions: (M, A), unclipped.
        weights: w (M,).
        dtype: precision of everything.
        keep_graph: the first backward pass does not depend on x: do it once and keep its graph, or
            anew in every product.

    Source: Appendix B, Eqs. 20 to 22.
    """

    def __init__(
        self,
        policy: GaussianPolicy,
        obs: Tensor,
        actions: Tensor,
        weights: Tensor,
        dtype: torch.dtype,
        *,
        keep_graph: bool,
    ) -> None:
        self._policy = policy
        self._x = policy.normaliser(obs).to(dtype)
        self._actions = actions.to(dtype)
        self._weights = weights.to(dtype)
        theta = policy.get_params().to(dtype)
        self._copies = [theta.clone().requires_grad_() for _ in range(3)]
        self._kept = self._gradients() if keep_graph else None

    def __call__(self, x: Tensor) -> Tensor:
        theta_1, _, theta_3 = self._copies
        gradient_2, gradient_3 = self._kept or self._gradients()
        keep = self._kept is not None
        (g1,) = torch.autograd.grad(gradient_2 @ x, theta_1, retain_graph=keep)
        (g2,) = torch.autograd.grad(gradient_3 @ x, theta_3, retain_graph=keep)
        return g1 + g2

    def _gradients(self) -> tuple[Tensor, Tensor]:
        """∂η_h/∂θ2 and ∂η_h/∂θ3, differentiable."""
        theta_1, theta_2, theta_3 = self._copies
        log_probs = self._log_probs
        eta_h = self._weights @ (log_probs(theta_1) * log_probs(theta_2) + log_probs(theta_3))
        gradient_2, gradient_3 = torch.autograd.grad(eta_h, (theta_2, theta_3), create_graph=True)
        return gradient_2, gradient_3

    def _log_probs(self, theta: Tensor) -> Tensor:
        mean, log_std = self._policy.mean_and_log_std(theta, self._x)
        return gaussian_log_prob(self._actions, mean, log_std)


def normal_equations_cg(
    product: Callable[[Tensor], Tensor], b: Tensor, damping: float, iterations: int
) -> Tensor:
    """x (P,) of (AᵀA/P + μ I) x = Aᵀ b/P after so many iterations from 0: the paper's solver."""
    size = b.numel()
    x = torch.zeros_like(b)
    r = product(b) / size
    p = r.clone()
    rr = r @ r
    for _ in range(iterations):
        ap = product(product(p)) / size + damping * p
        step = rr / (p @ ap)
        x = x + step * p
        r = r - step * ap
        rr_new = r @ r
        p = r + (rr_new / rr) * p
        rr = rr_new
    return x
