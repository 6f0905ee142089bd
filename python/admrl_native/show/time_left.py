"""How long a run still takes: its schedule, and the speed measured so far."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from ..algorithms.settings import ScheduleSettings
from ..configuration.config import Config

Clock = Callable[[], float]


class TimeLeft(Protocol):
    """Is told what a run does, and says how far it is."""

    def start(self, past: Sequence[Mapping[str, Any]]) -> None:
        """Takes up the count where an earlier process left it; its lines of metrics.jsonl."""

    def phase(self, name: str, *, task: int, steps: int) -> None: ...

    def step(self) -> None: ...

    def record(self, event: str) -> None:
        """A line of metrics was written."""

    def fraction(self) -> float:
        """The part of the run that is done, 0 to 1."""

    def seconds(self) -> float | None:
        """Seconds left; None as long as nothing has been measured."""


def make_time_left(config: Config, clock: Clock = time.perf_counter) -> TimeLeft:
    """Of a run, by what its method goes over."""
    if config.iterations is None:
        return TasksLeft(config.training.schedule, clock)
    return IterationsLeft(config.iterations, clock)


class IterationsLeft:
    """Counts iterations, all of which are taken to last equally long.

    Args:
        iterations: of the whole run.
        clock: seconds; a test passes its own.
    """

    def __init__(self, iterations: int, clock: Clock = time.perf_counter) -> None:
        self._iterations = iterations
        self._clock = clock
        self._done = self._timed = 0
        self._began: float | None = None  # of the first iteration of this process

    def start(self, past: Sequence[Mapping[str, Any]]) -> None:
        self._done = sum(line["event"] == "iteration" for line in past)

    def phase(self, name: str, *, task: int, steps: int) -> None:
        if self._began is None and name.startswith("iteration"):
            self._began = self._clock()

    def step(self) -> None:
        pass

    def record(self, event: str) -> None:
        if event == "iteration":
            self._done += 1
            self._timed += 1

    def fraction(self) -> float:
        return min(1.0, self._done / self._iterations)

    def seconds(self) -> float | None:
        if self._began is None or self._timed == 0:
            return None
        per_iteration = (self._clock() - self._began) / self._timed
        return max(0, self._iterations - self._done) * per_iteration


# Phases whose steps are virtual iterations: nearly all the time of a run.
ITERATING = ("zero-shot", "slbo")


class TasksLeft:
    """Counts virtual iterations and SLBO stages, done and to come.

    Time in the other phases is shared out per stage. Phases are expected in the order of
    Algorithm 1; one that is missing only makes the estimate worse.

    Args:
        schedule: how many tasks, stages and iterations there will be.
        clock: seconds; a test passes its own.
    """

    def __init__(self, schedule: ScheduleSettings, clock: Clock = time.perf_counter) -> None:
        self._schedule = schedule
        self._clock = clock
        self._last = clock()
        self._task = 0
        self._phase = ""
        self._phase_left = 0
        self._stages_in_task = 0
        self._stages_left_behind = 0  # stages of earlier processes: not timed
        self._stages = self._iterations = 0
        self._iterating_seconds = self._other_seconds = 0.0

    def start(self, past: Sequence[Mapping[str, Any]]) -> None:
        for line in past:
            if line["event"] == "slbo-stage":
                self._enter_task(int(line["task"]))
                self._stages_in_task += 1
                self._stages_left_behind += 1
        self._last = self._clock()

    def phase(self, name: str, *, task: int, steps: int) -> None:
        self._advance()
        self._enter_task(task)
        # "slbo 2/3" is "slbo"
        self._phase, self._phase_left = name.split()[0], steps

    def step(self) -> None:
        self._advance()
        self._phase_left = max(0, self._phase_left - 1)
        if self._phase in ITERATING:
            self._iterations += 1

    def record(self, event: str) -> None:
        if event != "slbo-stage":
            return
        self._advance()
        self._stages += 1
        self._stages_in_task += 1

    def iterations_left(self) -> int:
        """Virtual iterations still to come."""
        s = self._schedule
        stages = max(0, self._stages_of(self._task) - self._stages_in_task)
        if self._phase == "slbo" and stages:
            left = self._phase_left + (stages - 1) * s.n_inner
        elif self._phase == "zero-shot":
            left = self._phase_left + stages * s.n_inner
        else:
            fresh = self._phase in ("", "random-policy") and self._stages_in_task == 0
            left = stages * s.n_inner + (s.n_zeroshot if fresh else 0)
        for task in range(self._task + 1, s.n_tasks):
            left += s.n_zeroshot + self._stages_of(task) * s.n_inner
        return left

    def fraction(self) -> float:
        """By virtual iterations."""
        s = self._schedule
        total = sum(s.n_zeroshot + self._stages_of(t) * s.n_inner for t in range(s.n_tasks))
        return 1.0 - min(1.0, self.iterations_left() / total) if total else 0.0

    def seconds(self) -> float | None:
        self._advance()
        if self._iterations == 0:
            return None
        per_iteration = self._iterating_seconds / self._iterations
        stages_done = self._stages_left_behind + self._stages
        stages_left = sum(map(self._stages_of, range(self._schedule.n_tasks))) - stages_done
        per_stage = self._other_seconds / max(1, self._stages)
        return self.iterations_left() * per_iteration + max(0, stages_left) * per_stage

    def _stages_of(self, task: int) -> int:
        return self._schedule.n_slbo_first if task == 0 else self._schedule.n_slbo

    def _enter_task(self, task: int) -> None:
        if task != self._task:
            self._task, self._stages_in_task = task, 0

    def _advance(self) -> None:
        now = self._clock()
        if self._phase in ITERATING:
            self._iterating_seconds += now - self._last
        else:
            self._other_seconds += now - self._last
        self._last = now
