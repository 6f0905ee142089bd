"""What every method is: something that trains, adapts to a task and can be stored."""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..families.task_space import TaskSpace
from ..networks.conditioned import Policy
from .adapted_policy import AdaptedPolicy
from .environments import Environments
from .setup import Setup

AfterStep = Callable[[], None]
State = Mapping[str, Mapping[str, Mapping[str, Tensor]]]


def _nothing() -> None:
    pass


class Adaptation(Protocol):
    """A learner on its way to one test task (Section 5: A_n)."""

    @property
    def policy(self) -> Policy:
        """What it acts with now."""

    def learn(self, samples: int) -> None:
        """One round: that many real samples of the task, counted as "adaptation", and learning."""


class Learner(abc.ABC):
    """Meta-training, and adaptation to test tasks.

    Args:
        setup: family, settings, seed, observer.

    Determinism: the same arguments give the same bits on one machine, whatever `threads` is, and
    whether or not the run was interrupted and resumed at a checkpoint.
    """

    def __init__(self, setup: Setup) -> None:
        self.family = setup.family
        self.settings = setup.settings
        self.seed = setup.seed
        self.observer = setup.observer
        self.task_space = TaskSpace(setup.family)
        device = torch.device(setup.device)
        self.environments = Environments(setup.family, setup.settings, setup.threads, device)

    @abc.abstractmethod
    def train(self) -> None:
        """Runs to the end from wherever the run is."""

    @abc.abstractmethod
    def state(self) -> dict[str, Any]:
        """Everything needed to go on, but the stored transitions; see `Observer.checkpoint`."""

    @abc.abstractmethod
    def load(
        self, state: Mapping[str, Any], transitions: Mapping[str, Mapping[str, Tensor]]
    ) -> None:
        """Goes back to a checkpoint.

        Args:
            state: what `Observer.checkpoint` was given.
            transitions: what `Observer.store` was given, by purpose, in the order it came.
        """

    @abc.abstractmethod
    def adaptations(
        self, psis: Tensor, *, seed: int, after_step: AfterStep = _nothing
    ) -> Sequence[Adaptation]:
        """A_0 of the tasks (B, K), each independent of the others; the learner stays as it is.

        Args:
            psis: tasks (B, K), float64; they may lie outside Ψ.
            seed: of every random number, the same for every task.
            after_step: called after every step that a progress display counts.
        """

    @abc.abstractmethod
    def zero_shot_state(self, adaptations: Mapping[int, Adaptation]) -> State:
        """Adaptations at n = 0, by task, as tensors that `from_zero_shot` goes on from.

        Args:
            adaptations: of one call of `adaptations`, before any of them has learned.

        Returns:
            {"networks": {name: {key: tensor}}, "optimisers": {name: {key: tensor}}}.
        """

    @abc.abstractmethod
    def from_zero_shot(
        self, state: State, task: int, psi: Tensor, *, seed: int, after_step: AfterStep = _nothing
    ) -> Adaptation:
        """The adaptation to a task ψ (K,) at n = 0, which has this number in the state."""

    # On top of these

    def adapt(self, psi: Tensor, *, real_samples: int, seed: int) -> AdaptedPolicy:
        """A_n(ψ) from the learner as it is now.

        Args:
            psi: the task (K,).
            real_samples: n, a multiple of `n_adapt` of the schedule; 0: zero-shot.
            seed: of every random number.

        Raises:
            ValueError: n is not such a multiple, or nothing has been learned yet.
        """
        per_round = self.settings.schedule.n_adapt
        if real_samples < 0 or real_samples % per_round != 0:
            raise ValueError(
                f"real_samples: expected a multiple of n_adapt={per_round}, got {real_samples}"
            )
        (adaptation,) = self.adaptations(psi.unsqueeze(0), seed=seed)
        for _ in range(real_samples // per_round):
            adaptation.learn(per_round)
        return AdaptedPolicy(adaptation.policy, psi, real_samples)

    def adapt_zero_shot(self, psis: Tensor, *, seed: int) -> list[AdaptedPolicy]:
        """A_0 of many tasks (B, K) at once; each is the one that `adapt` makes for its task."""
        adaptations = self.adaptations(psis, seed=seed)
        return [AdaptedPolicy(a.policy, psi, 0) for a, psi in zip(adaptations, psis, strict=True)]

    def evaluate(
        self, policy: AdaptedPolicy, psi: Tensor, *, episodes: int, seed: int
    ) -> npt.NDArray[np.float32]:
        """Undiscounted real returns (episodes,) of a policy on a task ψ (K,)."""
        return self.environments.evaluate(policy.policy, psi, episodes=episodes, seed=seed)
