"""Newton's method, to rounding error, for a smooth function of a few parameters."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

TOLERANCE = 1e-12  # of the gradient, relative to ‖H‖ (1 + ‖θ‖)
FLAT = 1e-10  # an eigenvalue this small relative to the largest is as good as zero
MAX_ITERATIONS = 200
MAX_HALVINGS = 40

Objective = Callable[[Tensor], Tensor]


class NoMaximumError(ArithmeticError):
    """Newton's method found no maximum, or one that is not strict."""


def value_gradient_hessian(function: Objective, theta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """f (), ∂f/∂θ (P,) and ∂²f/∂θ∂θᵀ (P, P), the last symmetric to the last bit."""
    theta = theta.detach().requires_grad_()
    value = function(theta)
    (gradient,) = torch.autograd.grad(value, theta, create_graph=True)
    axes = torch.eye(theta.numel(), dtype=theta.dtype)
    (hessian,) = torch.autograd.grad(gradient, theta, axes, is_grads_batched=True)
    return value.detach(), gradient.detach(), (hessian + hessian.T) / 2


def maximise(function: Objective, start: Tensor) -> Tensor:
    """The strict local maximum (P,) that Newton's method reaches from start (P,), float64.

    Each step is H⁻¹∇f with the eigenvalues of H made negative, so that it climbs also where f is
    not concave, and is halved until f rises. Near a maximum that is Newton's method itself: from a
    nearby start it finds the same maximum again.

    Raises:
        NoMaximumError: it did not converge, or H is not negative definite where it did.
    """
    theta = start.detach()
    for _ in range(MAX_ITERATIONS):
        value, gradient, hessian = value_gradient_hessian(function, theta)
        if not bool((value + gradient.sum() + hessian.sum()).isfinite()):
            raise NoMaximumError(f"the function or a derivative is not finite at {theta.tolist()}")
        eigenvalues, vectors = torch.linalg.eigh(hessian)
        largest = eigenvalues.abs().max()
        converged = bool(gradient.norm() <= TOLERANCE * largest * (1 + theta.norm()))
        if converged and bool(eigenvalues.max() >= -FLAT * largest):
            raise NoMaximumError(
                "the Hessian at the stationary point is not negative definite: its eigenvalues "
                f"lie in [{eigenvalues.min():.3g}, {eigenvalues.max():.3g}]"
            )
        sizes = eigenvalues.abs().clamp_min(FLAT * largest)
        step: Tensor = vectors @ ((vectors.T @ gradient) / sizes)
        if converged:
            return theta + step  # the last digits: convergence is quadratic
        theta = _climb(function, theta, step, value, gradient @ step)
    raise NoMaximumError(
        f"no convergence in {MAX_ITERATIONS} Newton steps: gradient norm {gradient.norm():.3g}"
    )


def _climb(
    function: Objective, theta: Tensor, step: Tensor, value: Tensor, slope: Tensor
) -> Tensor:
    """θ + 2⁻ⁿ step with the smallest n for which f rises by a fraction of what slope promises."""
    rounding = 1e-12 * (1 + value.abs())  # near the maximum f no longer tells a step's worth
    scale = 1.0
    for _ in range(MAX_HALVINGS):
        candidate = theta + scale * step
        if bool(function(candidate) >= value + 1e-4 * scale * slope - rounding):
            return candidate
        scale /= 2
    raise NoMaximumError(f"no step along Newton's direction raises the function above {value:.6g}")
