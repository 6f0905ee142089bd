"""What a person sees while a run trains: what it does, how well, how long it still takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from ..algorithms.observer import Observer
from ..configuration.config import Config
from . import remarks
from .display import bars, left_in_words, make_display
from .lines import computed, line
from .time_left import make_time_left
from .words import number, psi_text

if TYPE_CHECKING:
    from rich.console import Group

_PHASES = {
    "random-policy": "random policy",
    "zero-shot": "zero-shot adaptation",
    "slbo": "SLBO stage",
    "task-gradient": "task gradient",
}
_FIGURES = {
    "random_return": "random policy",
    "real_return": "real return",
    "adapted_return": "after adaptation",
    "virtual_return": "virtual return",
    "model_loss": "model error",
    "validation_loss": "held-out model error",
}
_ITERATION_LINES = 50  # of a run with many iterations, about
_TELL_SECONDS = 1.0  # between two reports of one phase
_TELL_PERCENT = 5  # of the iterations of a run, between two states of it


class Progress(Observer):
    """Follows a run, and shows nothing."""

    def start(self, past: Sequence[Mapping[str, Any]]) -> None:
        """The run begins, or goes on after these lines of metrics.jsonl."""

    def stop(self) -> None:
        """The run ends or is interrupted."""


class RunProgress(Progress):
    """A few lines per task or some per run; phase, figures and time left live on a terminal."""

    def __init__(self, config: Config, stream: TextIO | None) -> None:
        self._schedule = config.training.schedule
        self._offset = config.return_offset
        self._title = config.title
        self._left = make_time_left(config)
        self._iterations = config.iterations
        self._phase, self._steps, self._steps_done = "", 1, 0
        self._task: dict[str, Any] = {}
        self._values: dict[str, float] = {}
        self._display = make_display(stream, self.render)

    def start(self, past: Sequence[Mapping[str, Any]]) -> None:
        self._left.start(past)
        self._display.start()

    def phase(self, name: str, *, task: int, steps: int) -> None:
        self._left.phase(name, task=task, steps=steps)
        if self._task.get("task") != task:
            self._task, self._values = {"task": task}, {}
        kind, *rest = name.split()  # "slbo 2/3": the second of three stages
        self._phase = " ".join([_PHASES.get(kind, kind), *rest])
        self._steps, self._steps_done = max(1, steps), 0

    def step(self, values: Mapping[str, float]) -> None:
        self._left.step()
        self._values.update(values)
        self._steps_done += 1

    def record(self, event: str, values: Mapping[str, Any]) -> None:
        self._left.record(event)
        self._task |= {name: values[name] for name in ("task", "psi") if name in values}
        self._values |= {k: values[k] for k in _FIGURES if values.get(k) is not None}
        if event == "random-policy":
            self._values["random_return"] = values.get("return_mean", 0.0)
        text = self._line(event, values)
        if text is None:
            return
        excluded = remarks.of_excluded(values)
        if excluded is not None:
            text += f"; {excluded}"
        if event in ("slbo-stage", "iteration"):
            text += left_in_words(self._left.seconds(), "  ({} left)")
        self._display.line(text)

    def stop(self) -> None:
        self._display.stop()

    def _line(self, event: str, values: Mapping[str, Any]) -> str | None:
        if event == "compute" and self._iterations is not None:
            return computed("training", values)
        if event == "iteration" and self._iterations is not None:
            return _iteration(values, self._iterations)
        stages = self._schedule.n_slbo_first if values.get("task") == 0 else self._schedule.n_slbo
        return line(event, values, self._schedule.n_tasks, stages, self._offset)

    def render(self) -> Group:
        """What is seen now on a terminal."""
        from rich.console import Group
        from rich.text import Text

        title = self._title
        if "task" in self._task and self._iterations is None:
            title += f"  task {self._task['task'] + 1}/{self._schedule.n_tasks}"
        if "psi" in self._task and self._iterations is None:
            title += f"  psi {psi_text(self._task['psi'])}"
        figures = [
            f"{n} {number(self._values[k])}" for k, n in _FIGURES.items() if k in self._values
        ]
        whole = ("whole run", self._left.fraction(), 1.0, left_in_words(self._left.seconds()))
        steps = f"{self._steps_done}/{self._steps}"
        phase = (self._phase, self._steps_done, self._steps, steps)
        return Group(Text(title, style="bold"), Text("  ".join(figures)), bars([whole, phase]))


def _iteration(values: Mapping[str, Any], total: int) -> str | None:
    """The line of an iteration; of many, the first, the last and some others."""
    done = int(values["iteration"]) + 1
    if done % max(1, total // _ITERATION_LINES) and done not in (1, total):
        return None
    text = f"iteration {done}/{total}: return {number(values.get('real_return'))}"
    if values.get("adapted_return") is not None:
        text += f", {number(values['adapted_return'])} after adaptation"
    return text


class ReportedProgress(Progress):
    """Reports how far a run is to another process.

    Args:
        config: the run.
        report: is told the state in words and the seconds left, if they are known; at the beginning
            of each phase, and once a second.
        clock: seconds; a test passes its own.
    """

    def __init__(
        self,
        config: Config,
        report: Callable[[str, float | None], None],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._tasks = config.training.schedule.n_tasks if config.iterations is None else None
        self._left = make_time_left(config, clock)
        self._report = report
        self._clock = clock
        self._doing = ""
        self._told = clock()

    def start(self, past: Sequence[Mapping[str, Any]]) -> None:
        self._left.start(past)

    def phase(self, name: str, *, task: int, steps: int) -> None:
        self._left.phase(name, task=task, steps=steps)
        self._doing = f"task {task + 1}/{self._tasks}"
        if self._tasks is None:  # iterations are many: their number is told now and then
            percent = int(100 * self._left.fraction())
            self._doing = f"{percent - percent % _TELL_PERCENT} %"
        self._tell()

    def step(self, values: Mapping[str, float]) -> None:
        self._left.step()
        if self._clock() - self._told >= _TELL_SECONDS:
            self._tell()

    def record(self, event: str, values: Mapping[str, Any]) -> None:
        self._left.record(event)

    def _tell(self) -> None:
        self._told = self._clock()
        self._report(f"training {self._doing}", self._left.seconds())
