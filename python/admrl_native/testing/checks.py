"""Checks of what a caller hands in."""

from __future__ import annotations

import torch
from torch import Tensor


def expect(name: str, value: object, *shape: tuple[str, int]) -> None:
    """Raises ValueError unless value is a float64 tensor of this shape, given as (letter, size)."""
    wanted = ", ".join(f"{letter}={size}" for letter, size in shape) + "," * (len(shape) == 1)
    if not isinstance(value, Tensor):
        got = type(value).__name__
    elif value.shape != tuple(size for _, size in shape) or value.dtype != torch.float64:
        got = f"{tuple(value.shape)} {str(value.dtype).removeprefix('torch.')}"
    else:
        return
    raise ValueError(f"{name}: expected ({wanted}) float64, got {got}")


def expect_matrix(name: str, value: object) -> None:
    """Raises ValueError unless value is a tensor with rows and columns."""
    if not isinstance(value, Tensor):
        raise ValueError(f"{name}: expected a matrix, got {type(value).__name__}")
    if value.ndim != 2 or value.numel() == 0:
        raise ValueError(f"{name}: expected a matrix, got {tuple(value.shape)}")


def expect_finite(name: str, value: Tensor) -> None:
    """Raises ValueError unless every element is finite."""
    if not bool(value.isfinite().all()):
        raise ValueError(f"{name}: expected finite values, got {value.tolist()}")
