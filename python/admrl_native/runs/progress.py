"""What a person sees while a run trains: plain lines, with a live display below on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TextIO

from ..algorithms.methods import num_iterations
from . import remarks
from .config import Config
from .time_left import in_words, make_time_left

_PHASES = {
    "random-policy": "random policy",
    "zero-shot": "zero-shot adaptation",
    "slbo": "SLBO stage",
    "task-gradient": "task gradient",
}


_ITERATION_LINES = 50  # of the plain lines of a run with many iterations, about


class Progress(Protocol):
    """Follows a run; see `algorithms.observer.Observer` for the calls in the middle."""

    def start(self, past: Sequence[Mapping[str, Any]]) -> None:
        """The run begins, or goes on after these lines of metrics.jsonl."""

    def phase(self, name: str, *, task: int, steps: int) -> None: ...

    def step(self, values: Mapping[str, float]) -> None: ...

    def record(self, event: str, values: Mapping[str, Any]) -> None: ...

    def stop(self) -> None:
        """The run ends or is interrupted."""


class Silent:
    """Shows nothing."""

    def start(self, past: Sequence[Mapping[str, Any]]) -> None:
        pass

    def phase(self, name: str, *, task: int, steps: int) -> None:
        pass

    def step(self, values: Mapping[str, float]) -> None:
        pass

    def record(self, event: str, values: Mapping[str, Any]) -> None:
        pass

    def stop(self) -> None:
        pass


class PlainProgress:
    """A few lines per task, flushed: for files and pipes."""

    def __init__(self, config: Config, stream: TextIO) -> None:
        self._schedule = config.training.schedule
        self._offset = config.return_offset
        self._stream = stream
        self._left = make_time_left(config)
        self._model_based = config.model_based
        self._iterations = (
            1 if config.model_based else num_iterations(config.method, config.training)
        )

    def start(self, past: Sequence[Mapping[str, Any]]) -> None:
        self._left.start(past)

    def phase(self, name: str, *, task: int, steps: int) -> None:
        self._left.phase(name, task=task, steps=steps)

    def step(self, values: Mapping[str, float]) -> None:
        self._left.step()

    def record(self, event: str, values: Mapping[str, Any]) -> None:
        self._left.record(event)
        if event == "compute" and not self._model_based:
            text: str | None = computed("training", values)
        elif event == "iteration":
            text = self._iteration(values)
        else:
            text = line(event, values, self._schedule.n_tasks, self._stages(values), self._offset)
        if text is None:
            return
        excluded = remarks.of_excluded(values)
        if excluded is not None:
            text += f"; {excluded}"
        seconds = self._left.seconds()
        if event in ("slbo-stage", "iteration") and seconds is not None:
            text += f"  ({in_words(seconds)} left)"
        self.show(text)

    def _iteration(self, values: Mapping[str, Any]) -> str | None:
        """The line of an iteration; of many, the first, the last and some others."""
        done = int(values["iteration"]) + 1
        every = max(1, self._iterations // _ITERATION_LINES)
        if done % every and done not in (1, self._iterations):
            return None
        text = f"iteration {done}/{self._iterations}: return {number(values.get('real_return'))}"
        if values.get("adapted_return") is not None:
            text += f", {number(values['adapted_return'])} after adaptation"
        return text

    def show(self, text: str) -> None:
        print(text, file=self._stream, flush=True)

    def stop(self) -> None:
        pass

    def _stages(self, values: Mapping[str, Any]) -> int:
        return self._schedule.n_slbo_first if values.get("task") == 0 else self._schedule.n_slbo


class LiveProgress(PlainProgress):
    """The same lines above a live display of phase, task, returns, model error and time left."""

    def __init__(self, config: Config, stream: TextIO) -> None:
        super().__init__(config, stream)
        from rich.console import Console
        from rich.live import Live
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Bars

        self._console = Console(file=stream)
        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[note]}"),
            console=self._console,
        )
        self._run_bar = self._bars.add_task("whole run", total=1.0, note="")
        self._phase_bar = self._bars.add_task("", total=1, note="")
        self._live = Live(console=self._console, refresh_per_second=4, transient=True)
        self._title = config.title
        self._task: dict[str, Any] = {}
        self._values: dict[str, float] = {}

    def start(self, past: Sequence[Mapping[str, Any]]) -> None:
        super().start(past)
        self._refresh()
        self._live.start()

    def phase(self, name: str, *, task: int, steps: int) -> None:
        super().phase(name, task=task, steps=steps)
        if self._task.get("task") != task:
            self._task, self._values = {"task": task}, {}
        kind, *rest = name.split()  # "slbo 2/3": the second of three stages
        description = " ".join([_PHASES.get(kind, kind), *rest])
        self._bars.reset(self._phase_bar, total=max(1, steps), description=description, note="")
        self._refresh()

    def step(self, values: Mapping[str, float]) -> None:
        super().step(values)
        self._values.update(values)
        self._bars.advance(self._phase_bar)
        self._refresh()

    def record(self, event: str, values: Mapping[str, Any]) -> None:
        super().record(event, values)
        for name in ("task", "psi"):
            if name in values:
                self._task[name] = values[name]
        for name in ("real_return", "adapted_return", "virtual_return", "model_loss",
                     "validation_loss"):  # fmt: skip
            if values.get(name) is not None:
                self._values[name] = values[name]
        if event == "random-policy":
            self._values["random_return"] = values.get("return_mean", 0.0)
        self._refresh()

    def show(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False)

    def stop(self) -> None:
        self._live.stop()

    def _refresh(self) -> None:
        from rich.console import Group
        from rich.text import Text

        seconds = self._left.seconds()
        note = "" if seconds is None else f"{in_words(seconds)} left"
        self._bars.update(self._run_bar, completed=self._left.fraction(), note=note)
        shown = self._bars.tasks[self._phase_bar]
        self._bars.update(self._phase_bar, note=f"{int(shown.completed)}/{int(shown.total or 0)}")
        task = ""
        if "task" in self._task and self._model_based:
            task = f"  task {self._task['task'] + 1}/{self._schedule.n_tasks}"
        if "psi" in self._task and self._model_based:
            task += f"  psi {psi_text(self._task['psi'])}"
        figures = "  ".join(
            f"{name} {number(self._values[key])}"
            for key, name in _FIGURES.items()
            if key in self._values
        )
        title = Text(self._title + task, style="bold")
        self._live.update(Group(title, Text(figures), self._bars))


_FIGURES = {
    "random_return": "random policy",
    "real_return": "real return",
    "adapted_return": "after adaptation",
    "virtual_return": "virtual return",
    "model_loss": "model error",
    "validation_loss": "held-out model error",
}


def make_progress(config: Config, *, stream: TextIO | None = None) -> Progress:
    """Live on a terminal, plain lines elsewhere.

    Args:
        config: the run.
        stream: where to; None: standard output.
    """
    stream = sys.stdout if stream is None else stream
    return LiveProgress(config, stream) if stream.isatty() else PlainProgress(config, stream)


def line(
    event: str, values: Mapping[str, Any], n_tasks: int, n_stages: int, offset: float = 0.0
) -> str | None:
    """The plain line of a metrics record; None for the events that are too many to show.

    Args:
        event: of the record.
        values: of the record.
        n_tasks: of the run.
        n_stages: of the task.
        offset: of a return, see `remarks.of_model`.
    """
    head = f"task {values.get('task', 0) + 1}/{n_tasks}"
    get = values.get
    remark = remarks.of_model(values, offset)
    in_model = f"in the model {number(get('virtual_return'))}{f': {remark}' if remark else ''}"
    if event == "compute":
        return computed("virtual training", values)
    if event == "random-policy":
        psi, value = psi_text(get("psi")), number(get("return_mean"))
        return f"{head}  psi {psi}  random policy: return {value}"
    if event == "zero-shot":
        return f"{head}  zero-shot: return {number(get('real_return'))} ({in_model})"
    if event == "slbo-stage":
        return (
            f"{head}  stage {get('stage', 0) + 1}/{n_stages}: return {number(get('real_return'))} "
            f"({in_model}), "
            f"model error {number(get('validation_loss'))}"
        )
    if event == "uniform-task":
        psi = psi_text(get("next_psi"))
        return f"{head}  the next task is drawn uniformly: {get('reason')}; next psi {psi}"
    if event == "task-gradient":
        return _gradient_lines(head, values)
    return None


def computed(what: str, values: Mapping[str, Any]) -> str:
    """What computes, as `Compute.describe` has it."""
    return f"{what}: {values.get('path')}, {values.get('precision')}, {values.get('where')}"


def _gradient_lines(head: str, values: Mapping[str, Any]) -> str:
    """The gradient with its errors, its terms, and its health, indented below the first line."""
    get, health, terms = values.get, values.get("health", {}), values.get("terms", {})
    gradient = plus_minus(get("gradient"), health.get("standard_error"))
    rows = [
        f"{head}  gradient {gradient}: {get('verdict', '-')}  next psi {psi_text(get('next_psi'))}"
    ]
    rows.append(
        f"terms: {psi_text(terms.get('at_theta_star'))} at theta*, "
        f"minus {psi_text(terms.get('at_theta_hat'))} at theta^, "
        f"plus {psi_text(terms.get('implicit'))} implicit"
    )
    for s in get("solver", [])[:1]:
        rows.append(
            f"solve: {s['method']} {s['status']}, {s['iterations']} iterations, "
            f"residual {number(s['residual'])}, damping {number(get('damping', {}).get('value'))}, "
            f"Ritz values {number(health.get('ritz_smallest'))} "
            f"to {number(health.get('ritz_largest'))}"
        )
    rows.append(
        f"theta^ stationary to {number(health.get('stationarity'))} "
        f"({number(health.get('stationarity_noise'))} is noise), "
        f"cosine between halves of the data {number(health.get('halves_cosine'))}"
    )
    return ("\n" + " " * (len(head) + 2)).join(rows)


def plus_minus(values: Sequence[float] | None, errors: Sequence[float] | None) -> str:
    """Numbers with their standard errors, long ones shortened: "(0.12 ± 0.03, -0.02 ± 0.05)"."""
    if values is None or errors is None:
        return psi_text(values)
    shown = [f"{v:.3g} ± {e:.1g}" for v, e in zip(values[:4], errors[:4], strict=True)]
    return _bracketed(shown, len(values))


def number(value: float | None) -> str:
    """A figure in about four significant digits; "-" if there is none."""
    if value is None:
        return "-"
    size = abs(value)
    if size >= 100:
        return f"{value:.0f}"
    if size >= 1:
        return f"{value:.1f}" if size >= 10 else f"{value:.2f}"
    return f"{value:.3g}"


def psi_text(psi: Sequence[float] | None) -> str:
    """A task in brackets, long ones shortened: "(0.60, 1.72)"."""
    if psi is None:
        return "-"
    return _bracketed([f"{x:.3g}" for x in psi[:4]], len(psi))


def _bracketed(shown: Sequence[str], size: int) -> str:
    more = f", ... {size} numbers" if size > len(shown) else ""
    return f"({', '.join(shown)}{more})"
