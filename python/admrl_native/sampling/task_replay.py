"""Real transitions of many tasks (s, a, r, s', done), each task's on their own."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Self

import torch
from torch import Tensor

from .trajectories import Trajectories

COLUMNS = ("obs", "actions", "rewards", "next_obs", "dones")


@dataclasses.dataclass(frozen=True)
class Transitions:
    """Transitions of B tasks, float32.

    Attributes:
        obs: (B, M, D).
        actions: (B, M, A).
        rewards: (B, M).
        next_obs: (B, M, D).
        dones: (B, M), 1 where the episode ended by the family's rule, else 0.
    """

    obs: Tensor
    actions: Tensor
    rewards: Tensor
    next_obs: Tensor
    dones: Tensor

    @classmethod
    def of_rows(cls, rows: Tensor, obs_dim: int) -> Self:
        """Views of rows [s, a, r, s', done] (B, M, 2D + A + 2)."""
        act_dim = rows.shape[-1] - 2 * obs_dim - 2
        sizes = [obs_dim, act_dim, 1, obs_dim, 1]
        obs, actions, rewards, next_obs, dones = torch.split(rows, sizes, dim=-1)
        return cls(obs, actions, rewards.squeeze(-1), next_obs, dones.squeeze(-1))


def sound_transitions(trajectories: Trajectories) -> dict[str, Tensor]:
    """The columns of the transitions (M, …) that are not excluded; dones float32."""
    sound = ~trajectories.excluded.flatten()
    return {name: getattr(trajectories, name).flatten(0, 1)[sound].float() for name in COLUMNS}


class TaskReplay:
    """Grows by whole rollouts of a task; everything is drawn uniformly with replacement.

    The context of a task is one of its rollouts: the last that was appended as such.

    Args:
        num_tasks: tasks that there are.
        obs_dim: D.
        act_dim: A.
        device: where the transitions are kept.

    Cost: 4 (2D + A + 2) bytes a transition, and up to half as much again for growth.
    """

    def __init__(self, num_tasks: int, obs_dim: int, act_dim: int, device: torch.device) -> None:
        self.obs_dim = obs_dim
        empty = torch.empty((0, 2 * obs_dim + act_dim + 2), device=device)
        self._rows = [empty] * num_tasks
        self._sizes = [0] * num_tasks
        self._contexts = [(0, 0)] * num_tasks

    @property
    def num_tasks(self) -> int:
        return len(self._rows)

    def size(self, task: int) -> int:
        """Transitions of a task."""
        return self._sizes[task]

    def append(self, task: int, transitions: Mapping[str, Tensor], *, is_context: bool) -> None:
        """Adds transitions of a task; copied.

        Args:
            task: its index.
            transitions: obs (M, D), actions (M, A), rewards (M,), next_obs (M, D), dones (M,).
            is_context: they become the task's context.
        """
        old = self._rows[task]
        parts = [transitions[name].to(old) for name in COLUMNS]
        new = torch.cat([p.reshape(p.shape[0], -1) for p in parts], dim=1)
        start = self._sizes[task]
        end = start + new.shape[0]
        if end > old.shape[0]:
            grown = old.new_empty((max(end, 3 * old.shape[0] // 2), new.shape[1]))
            grown[:start] = old[:start]
            self._rows[task] = grown
        self._rows[task][start:end] = new
        self._sizes[task] = end
        if is_context:
            self._contexts[task] = (start, end)

    def sample(self, tasks: Sequence[int], size: int, generator: torch.Generator) -> Transitions:
        """`size` transitions of each of B tasks, from all that it has."""
        return self._draw(tasks, [(0, self._sizes[task]) for task in tasks], size, generator)

    def sample_context(
        self, tasks: Sequence[int], size: int, generator: torch.Generator
    ) -> Transitions:
        """`size` transitions of each of B tasks, from its context."""
        return self._draw(tasks, [self._contexts[task] for task in tasks], size, generator)

    def all(self, task: int) -> Transitions:
        """Views of every transition of a task (1, M, …), in the order they came."""
        return Transitions.of_rows(self._rows[task][: self._sizes[task]][None], self.obs_dim)

    def _draw(
        self,
        tasks: Sequence[int],
        ranges: Sequence[tuple[int, int]],
        size: int,
        generator: torch.Generator,
    ) -> Transitions:
        drawn = []
        for task, (start, end) in zip(tasks, ranges, strict=True):
            if start == end:
                raise ValueError(f"task {task}: expected transitions to draw from, got none")
            rows = self._rows[task]
            index = torch.randint(start, end, (size,), generator=generator, device=rows.device)
            drawn.append(rows.index_select(0, index))
        return Transitions.of_rows(torch.stack(drawn), self.obs_dim)
