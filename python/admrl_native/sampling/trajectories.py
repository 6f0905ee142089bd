"""Trajectories, real or virtual."""

from __future__ import annotations

import dataclasses
import typing

import torch
from torch import Tensor


@dataclasses.dataclass(frozen=True)
class Trajectories:
    """T steps of each of N environments; an ended episode is followed by the next one.

    float32 unless said otherwise. next_obs is the true next state, also where an episode ends.

    Attributes:
        obs: (N, T, D) s.
        actions: (N, T, A) a, as drawn, not clipped.
        next_obs: (N, T, D) s'.
        rewards: (N, T) r_ψ(s, a, s').
        reward_grads: (N, T, K) ∂r/∂ψ.
        base_rewards: (N, T) the part of the reward that does not depend on ψ.
        dones: (N, T) bool, the episode ended by the family's rule.
        timeouts: (N, T) bool, the episode ended at the horizon.
        log_probs: (N, T) log π(a|s).
        excluded: (N, T) bool, the simulation blew up in this step (core/blow_up.hpp): the episode
            ended, with reward 0, and nothing may be learned from it; None: in no step.
    """

    obs: Tensor
    actions: Tensor
    next_obs: Tensor
    rewards: Tensor
    reward_grads: Tensor
    base_rewards: Tensor
    dones: Tensor
    timeouts: Tensor
    log_probs: Tensor
    excluded: Tensor = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if self.excluded is None:
            object.__setattr__(self, "excluded", torch.zeros_like(self.dones))

    @property
    def num_samples(self) -> int:
        """N · T."""
        return self.rewards.numel()

    @property
    def ends(self) -> Tensor:
        """Where a segment ends (N, T) bool: done, timeout or last column."""
        ends = self.dones | self.timeouts
        ends[:, -1] = True
        return ends

    @property
    def steps(self) -> Tensor:
        """How many steps of its episode came before each (N, T) int64."""
        column = torch.arange(self.rewards.shape[1], device=self.rewards.device)
        column = column.expand(self.rewards.shape)
        begins = torch.cat([torch.ones_like(self.dones[:, :1]), self.ends[:, :-1]], 1)
        return column - torch.where(begins, column, 0).cummax(1).values

    @property
    def cut_off(self) -> Tensor:
        """The step before one that is excluded, in the same episode (N, T) bool.

        For whoever learns the episode is cut off here, as by a timeout, and goes on at its next
        state: a simulation that blows up is neither a reward nor a punishment.
        """
        cut = torch.zeros_like(self.excluded)
        cut[:, :-1] = self.excluded[:, 1:]
        return cut & ~self.dones & ~self.timeouts

    def num_episodes(self) -> int:
        """Number of segments: episodes, and what the last column cuts off."""
        return int(self.ends.sum())

    def mean_episode_length(self) -> float:
        """Mean number of steps of a segment."""
        return self.num_samples / self.num_episodes()

    def first_episode_returns(self) -> Tensor:
        """Undiscounted return of each environment's first episode (N,) float64.

        Unbiased where T is the horizon: each episode is followed to its end, and none counts twice.
        One that blew up counts as the mean of the others, so that ending in this way is neither
        better nor worse than they are; where all did, as what it earned until then.
        """
        ends = self.ends
        first = (ends.cumsum(1) - ends.long()) == 0
        returns = torch.where(first, self.rewards.double(), 0.0).sum(1)
        blew_up = (first & self.excluded).any(1)
        if blew_up.any() and not blew_up.all():
            returns[blew_up] = returns[~blew_up].mean()
        return returns

    def rows(self, rows: Tensor) -> typing.Self:
        """Some of the environments, by their indices (R,)."""
        fields = {f.name: getattr(self, f.name)[rows] for f in dataclasses.fields(self)}
        return dataclasses.replace(self, **fields)

    def with_context(self, contexts: Tensor) -> typing.Self:
        """The same with the state [s, c] (N, T, D + C): contexts (N, C), one per environment."""
        expanded = contexts.to(self.obs).unsqueeze(1).expand(-1, self.obs.shape[1], -1)
        return dataclasses.replace(
            self,
            obs=torch.cat([self.obs, expanded], dim=-1),
            next_obs=torch.cat([self.next_obs, expanded], dim=-1),
        )

    def to(self, device: torch.device | str) -> typing.Self:
        """The same trajectories on a device."""
        fields = {f.name: getattr(self, f.name).to(device) for f in dataclasses.fields(self)}
        return dataclasses.replace(self, **fields)
