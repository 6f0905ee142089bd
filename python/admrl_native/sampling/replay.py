"""Real transitions (s, a, s'): they do not depend on the task, so all tasks share them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


class Replay:
    """Grows by whole rollouts; minibatches are drawn uniformly with replacement.

    Args:
        obs_dim: D.
        act_dim: A.
        device: where the transitions are kept.
    """

    def __init__(self, obs_dim: int, act_dim: int, device: torch.device) -> None:
        # One row is [s, a, s'], so that a minibatch is a single gather.
        self._rows = torch.empty((0, 2 * obs_dim + act_dim), device=device)
        self._size = 0
        self._splits = [obs_dim, act_dim, obs_dim]

    def __len__(self) -> int:
        return self._size

    def append(self, transitions: Mapping[str, Tensor]) -> None:
        """Adds obs (M, D), actions (M, A), next_obs (M, D); copied."""
        parts = [transitions[k] for k in ("obs", "actions", "next_obs")]
        rows = torch.cat([p.to(self._rows) for p in parts], dim=1)
        end = self._size + rows.shape[0]
        if end > self._rows.shape[0]:
            grown = self._rows.new_empty((max(end, 2 * self._rows.shape[0]), rows.shape[1]))
            grown[: self._size] = self._rows[: self._size]
            self._rows = grown
        self._rows[self._size : end] = rows
        self._size = end

    def sample(self, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """obs, actions, next_obs of `size` transitions drawn with replacement."""
        index = self.draw(size, generator)
        obs, actions, next_obs = torch.split(self._rows[index], self._splits, dim=1)
        return obs, actions, next_obs

    def draw(self, size: int, generator: torch.Generator) -> Tensor:
        """Where in `rows` the transitions are that `sample` would draw (size,) int64."""
        return torch.randint(self._size, (size,), generator=generator, device=self._rows.device)

    def rows(self) -> Tensor:
        """View of every transition as one row [s, a, s'] (M, 2D + A), in the order they came."""
        return self._rows[: self._size]

    def all(self) -> tuple[Tensor, Tensor, Tensor]:
        """Views of every transition, in the order they came."""
        obs, actions, next_obs = torch.split(self.rows(), self._splits, dim=1)
        return obs, actions, next_obs
