"""How the next training task is chosen, in normalised coordinates u ∈ [−1, 1]^K."""

from __future__ import annotations

import torch
from torch import Tensor

from .settings import TaskSelectionSettings


def first_task(task_dim: int, settings: TaskSelectionSettings) -> Tensor:
    """u (K,) of the first task, the same for every method."""
    return torch.full((task_dim,), settings.first_u, dtype=torch.float64)


def uniform_task(task_dim: int, generator: torch.Generator) -> Tensor:
    """u (K,) ~ U(−1, 1): MB-Unif, and line 8 of Algorithm 1."""
    return torch.rand(task_dim, generator=generator, dtype=torch.float64) * 2 - 1


def gaussian_task(
    task_dim: int, settings: TaskSelectionSettings, generator: torch.Generator
) -> Tensor:
    """u (K,) ~ N(0, std²) clipped to the box: MB-Gauss."""
    noise = torch.randn(task_dim, generator=generator, dtype=torch.float64)
    return (settings.gaussian_std * noise).clamp(-1, 1)


def ascent_step(u: Tensor, gradient_u: Tensor, settings: TaskSelectionSettings) -> Tensor:
    """Π(u + α dL/du) (Algorithm 1, line 12); u, dL/du and the result are (K,)."""
    return (u + settings.step_size * gradient_u).clamp(-1, 1)
