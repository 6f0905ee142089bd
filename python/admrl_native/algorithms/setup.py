"""What every learner is made from."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from ..families.declaration import Family
from .observer import Observer
from .settings import TrainingSettings


@dataclasses.dataclass(frozen=True)
class Setup:
    """Everything that decides a run, and who is told of it.

    Attributes:
        family: what a task is.
        settings: everything that decides what is computed.
        seed: of every random number of the run.
        threads: of the simulation and of the native pool; nothing depends on it.
        device: "cpu" or "cuda".
        observer: is told of everything that happens.
        first_psi: the first task (K,); None: u = `first_u` in every coordinate. Of no use to a
            method that draws all its tasks.
    """

    family: Family
    settings: TrainingSettings
    seed: int = 0
    threads: int = 1
    device: str = "cpu"
    observer: Observer = dataclasses.field(default_factory=Observer)
    first_psi: Sequence[float] | None = None
