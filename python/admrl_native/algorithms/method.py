"""What a method is: everything that the rest of the package asks about it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..families.declaration import Family
from .settings import TrainingSettings
from .setup import Setup

if TYPE_CHECKING:
    from .learner import Learner


@dataclasses.dataclass(frozen=True)
class Method:
    """One system.

    Attributes:
        name: as it is asked for.
        title: as the paper writes it.
        learner: makes its learner; imports it only then, so that usage errors need no torch.
        settings: groups of `TrainingSettings` that decide what it computes; "group.field" where it
            is one field of a group.
        check: whether settings fit one another; raises a SettingError.
        memory: (settings, family, tasks side by side) to the bytes that it holds at once, by the
            option that asks for most.
        iterations: of a whole run; None: it goes over tasks, as Algorithm 1 does.
        adaptation_steps: those that `Learner.adaptations` tells of, and those of one round of
            `learn`.
        model_based: it learns a dynamics model.
    """

    name: str
    title: str
    learner: Callable[[Setup], Learner]
    settings: frozenset[str]
    check: Callable[[TrainingSettings], None]
    memory: Callable[[TrainingSettings, Family, int], dict[str, int]]
    iterations: Callable[[TrainingSettings], int] | None = None
    adaptation_steps: Callable[[TrainingSettings], tuple[int, int]] = lambda _: (0, 1)
    model_based: bool = False

    def reads(self, group: str, field: str) -> bool:
        """Whether a setting decides what it computes."""
        return group in self.settings or f"{group}.{field}" in self.settings
