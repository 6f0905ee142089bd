"""What the methods without a model have in common, as `Method`s."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..families.declaration import Family
from ..settings import SettingError
from .memory import episodes_bytes
from .method import Method
from .settings import TrainingSettings
from .setup import Setup

if TYPE_CHECKING:
    from .learner import Learner

_SETTINGS = frozenset({"schedule.n_adapt", "physics", "meta"})


def model_free(
    name: str,
    title: str,
    learner: Callable[[Setup], Learner],
    settings: tuple[str, ...],
    *,
    iterations: Callable[[TrainingSettings], int],
    drawn: Callable[[TrainingSettings], dict[str, int]],
    memory: Callable[[TrainingSettings, Family], dict[str, int]],
    check: Callable[[TrainingSettings], None] = lambda _: None,
) -> Method:
    """A method that goes over a fixed set of training tasks in iterations.

    Args:
        name: see `Method`.
        title: see `Method`.
        learner: see `Method`.
        settings: those that it reads besides.
        iterations: see `Method`.
        drawn: tasks that are drawn without repetition, by option.
        memory: what it holds besides.
        check: what settings must satisfy besides.
    """

    def check_all(values: TrainingSettings) -> None:
        for option, count in drawn(values).items():
            most = values.meta.n_train_tasks
            if count > most:
                raise SettingError(option, f"expected at most n_train_tasks ({most}), got {count}")
        check(values)
        check_multiple("n_adapt", values.schedule.n_adapt, values.physics.horizon, f" for {name}")

    def memory_of_all(values: TrainingSettings, family: Family, _: int) -> dict[str, int]:
        return episodes_bytes(values, family) | memory(values, family)

    return Method(
        name, title, learner, _SETTINGS | set(settings), check_all, memory_of_all, iterations
    )


def check_multiple(name: str, count: int, horizon: int, whose: str = "") -> None:
    """Whether samples are whole episodes.

    Raises:
        SettingError: they are not.
    """
    if count % horizon:
        raise SettingError(name, f"expected a multiple of horizon ({horizon}){whose}, got {count}")
