"""Conjugate gradients on B systems side by side, without waiting for the device.

The native solver (`krylov`) solves one system on the CPU and says more about it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def conjugate_gradients(
    product: Callable[[Tensor], Tensor], b: Tensor, *, iterations: int, tolerance: float
) -> Tensor:
    """x (B, P) with H x ≈ b for B positive definite H.

    For each system the last iterate, whose error is the smallest in the energy norm. It stands
    still once its residual, as the recurrence has it, is at most tolerance · ‖b‖, or where pᵀ H p
    is not positive. The recurrence is in float64, the products in the type of b.

    Args:
        product: H p (B, P) of p (B, P).
        b: (B, P).
        iterations: products at most.

    Source: Hestenes & Stiefel 1952.
    """
    residual = b.double()
    x, direction = torch.zeros_like(residual), residual
    square = _dot(residual, residual)
    enough = tolerance**2 * square
    for _ in range(iterations):
        image = product(direction.to(b)).double()
        curvature = _dot(direction, image)
        active = (square > enough) & (curvature > 0)
        length = torch.where(active, square / curvature, 0.0)
        x = x + length * direction
        residual = residual - length * image
        previous, square = square, _dot(residual, residual)
        direction = torch.where(active, residual + square / previous * direction, direction)
    return x.to(b)


def _dot(u: Tensor, v: Tensor) -> Tensor:
    """(B, 1) of (B, P) and (B, P)."""
    return (u * v).sum(1, keepdim=True)
