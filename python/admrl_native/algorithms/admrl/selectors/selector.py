"""How the next training task is chosen: the interface, and what is known when it is."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch

from ....families.task_space import Task, TaskSpace
from ....task_gradient.gradient import TaskGradient
from ...settings import TaskSelectionSettings


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What is known of the task that was trained last, and what can be asked.

    Attributes:
        task: its index.
        current: the task itself.
        returns: its real returns: "random", "zero_shot" (but for the first task) and "slbo", one
            for each stage.
        space: Ψ.
        settings: of the choice.
        task_gradient: estimates dL/dψ at it (Eq. 2), from fresh real samples, which are counted.
            May raise SolverError and SimulationError.
        sample_counts: of the whole run, see `Environments.sample_counts`.
        record: writes a line of metrics about the choice.
    """

    task: int
    current: Task
    returns: Mapping[str, Any]
    space: TaskSpace
    settings: TaskSelectionSettings
    task_gradient: Callable[[], TaskGradient]
    sample_counts: Callable[[], Mapping[str, object]]
    record: Callable[[str, Mapping[str, Any]], None]


class Selector(Protocol):
    """Chooses the next training task: what AdMRL and its baselines differ in.

    It has no state of its own: a resumed run makes it anew.
    """

    def next_task(self, evidence: Evidence, generator: torch.Generator) -> Task:
        """The task after the one that the evidence is of, in Ψ."""
