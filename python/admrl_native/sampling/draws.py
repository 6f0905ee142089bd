"""The random numbers of a virtual rollout, the same for every way of computing it."""

from __future__ import annotations

import torch
from torch import Tensor


def draw(
    sizes: tuple[int, int, int], num_start_states: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """The action noise and the start states of one task.

    Args:
        sizes: T steps of N environments with A actions.
        num_start_states: S.
        generator: where they come from; they are on its device.

    Returns:
        Standard normal numbers (T, N, A), and rows of the start states (T + 1, N): where an
        environment begins if its episode ended with the step before.
    """
    num_steps, num_envs, _ = sizes
    device = generator.device
    noise = torch.randn(sizes, generator=generator, device=device)
    starts = torch.randint(
        num_start_states, (num_steps + 1, num_envs), generator=generator, device=device
    )
    return noise, starts
