"""What an algorithm tells the outside: algorithms never touch files, clocks or argv themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


class Observer:
    """Receives everything that happens in a training run, in order; this one lets it pass.

    `activities.training.recorder` writes it to the run folder and shows the progress.
    """

    def begin(self, compute: Mapping[str, str]) -> None:
        """Training begins, or goes on at a checkpoint; how it computes (`Compute.describe`)."""

    def phase(self, name: str, *, task: int, steps: int) -> None:
        """A phase begins.

        With a model: "random-policy", "zero-shot", "slbo STAGE/STAGES", "task-gradient"; without:
        "prepare", "iteration I/ITERATIONS".

        Args:
            name: the phase.
            task: index of the training task; 0 where a phase is of many.
            steps: number of `step` calls that will follow.
        """

    def step(self, values: Mapping[str, float]) -> None:
        """One step of the current phase (one virtual iteration, say) is done, with its figures."""

    def record(self, event: str, values: Mapping[str, Any]) -> None:
        """One line of metrics: JSON-able values only (numbers, strings, lists, dicts, None)."""

    def store(self, purpose: str, transitions: Mapping[str, torch.Tensor]) -> None:
        """New real transitions, to be appended to the run's data: a resumed run needs them.

        Args:
            purpose: the replay they belong to, "train" or "validation".
            transitions: obs (M, D), actions (M, A), next_obs (M, D), float32, CPU; PEARL's also
                rewards, dones, and of which task and iteration they are.
        """

    def checkpoint(self, state: Mapping[str, Any]) -> None:
        """The algorithm is at a point from which it can be resumed.

        Args:
            state: {"networks": {name: {key: tensor}}, "optimisers": {name: {key: tensor}},
                "counters": JSON-able}; real transitions are not in it: they were given to `store`.
        """
