"""Samples of one task with what each counts in a policy gradient."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from ..sampling.trajectories import Trajectories


@dataclasses.dataclass(frozen=True)
class WeightedTrajectories:
    """Σ_t w_t ∇log π(a_t|s_t) over these samples estimates the gradient of the return.

    Attributes:
        trajectories: R rows, T steps, of one task and one policy.
        weights: w (R, T); Â_t/(R T), say, for the mean over time steps.
    """

    trajectories: Trajectories
    weights: Tensor

    @property
    def obs(self) -> Tensor:
        """(M, D), M = R T."""
        return self.trajectories.obs.flatten(0, 1)

    @property
    def actions(self) -> Tensor:
        """(M, A)."""
        return self.trajectories.actions.flatten(0, 1)

    def sum_to_here(self, x: Tensor) -> Tensor:
        """Σ_{u≤t} x_u (R, T) within each episode, of x (R, T); differentiable."""
        t = self.trajectories
        total = x.cumsum(1)
        start = torch.arange(x.shape[1], device=x.device) - t.steps
        return total - (total - x).gather(1, start)


def weighted_by_task(
    trajectories: Trajectories, weights: Tensor, num_tasks: int
) -> list[WeightedTrajectories]:
    """The samples of B tasks apart, of N = B R rows in their order and weights (N, T)."""
    rows = torch.arange(len(weights), device=weights.device).chunk(num_tasks)
    return [WeightedTrajectories(trajectories.rows(r), weights[r]) for r in rows]
