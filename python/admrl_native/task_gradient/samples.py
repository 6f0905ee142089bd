"""What Eqs. 3 to 7 are estimated from, and its parts: halves, and all but one group."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable

import torch
from torch import Tensor

from ..sampling.trajectories import Trajectories
from ..training.advantage import Value, advantages_and_returns
from ..training.settings import AdvantageSettings

Rows = Callable[[int], Tensor]  # indices of the rows to keep, of N rows


@dataclasses.dataclass(frozen=True)
class ValuedTrajectories:
    """Trajectories of π_θ̂ with what their actions were worth.

    Attributes:
        trajectories: N rows of T steps.
        advantages: Â (N, T).
        returns: discounted return from each step on (N, T), bootstrapped where an episode times
            out or is cut off.
    """

    trajectories: Trajectories
    advantages: Tensor
    returns: Tensor

    @classmethod
    def of(
        cls, trajectories: Trajectories, value: Value, advantage: AdvantageSettings
    ) -> typing.Self:
        monte_carlo = advantage.replace(gae_lambda=1.0)
        return cls(
            trajectories,
            advantages_and_returns(trajectories, value, advantage)[0],
            advantages_and_returns(trajectories, value, monte_carlo)[1],
        )

    def rows(self, rows: Tensor) -> ValuedTrajectories:
        """Some of the rows."""
        return ValuedTrajectories(
            self.trajectories.rows(rows),
            self.advantages[rows],
            self.returns[rows],
        )


@dataclasses.dataclass(frozen=True)
class GapSamples:
    """Everything that one task gradient is estimated from.

    Attributes:
        real_star: real trajectories of π_θ*.
        real_hat: real trajectories of π_θ̂.
        virtual_hat: trajectories of π_θ̂ in the model that the setting `model` names.
    """

    real_star: Trajectories
    real_hat: ValuedTrajectories
    virtual_hat: ValuedTrajectories

    @property
    def num_rows(self) -> int:
        """Rows of the smallest of the three: independent blocks that can be told apart."""
        batches = (self.real_star, self.real_hat.trajectories, self.virtual_hat.trajectories)
        return min(t.rewards.shape[0] for t in batches)

    def part(self, rows: Rows) -> GapSamples:
        """The rows of each of the three that `rows` says."""

        def of(batch: Trajectories) -> Tensor:
            return rows(batch.rewards.shape[0]).to(batch.rewards.device)

        return GapSamples(
            self.real_star.rows(of(self.real_star)),
            self.real_hat.rows(of(self.real_hat.trajectories)),
            self.virtual_hat.rows(of(self.virtual_hat.trajectories)),
        )

    def halves(self) -> tuple[GapSamples, GapSamples]:
        """Every second row, and the others."""
        first, second = (self.part(lambda n, h=h: torch.arange(h, n, 2)) for h in (0, 1))  # type: ignore[misc]
        return first, second

    def without(self, group: int, groups: int) -> GapSamples:
        """All rows but every `groups`-th, from row `group` on."""
        return self.part(lambda n: torch.tensor([i for i in range(n) if i % groups != group]))
