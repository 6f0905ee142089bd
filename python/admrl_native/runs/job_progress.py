"""What a person sees while jobs are done: plain lines, with a live display below on a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Protocol, TextIO

from .time_left import in_words


class JobProgress(Protocol):
    """Follows a number of jobs, each of the same number of steps."""

    def start(self, title: str, *, jobs: int, done: int, steps: int) -> None:
        """The work begins, or goes on.

        Args:
            title: what is done; may have several lines.
            jobs: in all.
            done: by earlier processes.
            steps: of each job.
        """

    def step(self) -> None:
        """A step of some job is done."""

    def job(self, text: str) -> None:
        """A job is done; a line about it."""

    def stop(self) -> None:
        """The work ends or is interrupted."""


class SilentJobs:
    """Shows nothing."""

    def start(self, title: str, *, jobs: int, done: int, steps: int) -> None:
        pass

    def step(self) -> None:
        pass

    def job(self, text: str) -> None:
        pass

    def stop(self) -> None:
        pass


class PlainJobs:
    """A line per job, flushed: for files and pipes.

    Args:
        stream: where to.
        clock: seconds; a test passes its own.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.perf_counter) -> None:
        self._stream = stream
        self._clock = clock
        self._jobs = self._done = 0
        self._steps = self._steps_done = 0
        self._began = 0.0

    def start(self, title: str, *, jobs: int, done: int, steps: int) -> None:
        self._jobs, self._done = jobs, done
        self._steps, self._steps_done = (jobs - done) * steps, 0
        self._began = self._clock()
        if done:
            title += f"\n{done} of {jobs} jobs were done before"
        self.show(title)

    def step(self) -> None:
        self._steps_done += 1

    def job(self, text: str) -> None:
        self._done += 1
        seconds = self.seconds_left()
        left = (
            "" if seconds is None or self._done == self._jobs else f"  ({in_words(seconds)} left)"
        )
        self.show(f"{self._done}/{self._jobs}  {text}{left}")

    def stop(self) -> None:
        pass

    def show(self, text: str) -> None:
        print(text, file=self._stream, flush=True)

    def seconds_left(self) -> float | None:
        """Seconds left at the speed so far; None as long as nothing has been measured."""
        if self._steps_done == 0:
            return None
        per_step = (self._clock() - self._began) / self._steps_done
        return max(0, self._steps - self._steps_done) * per_step


class LiveJobs(PlainJobs):
    """The same lines above a live bar with the time left."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self._console = Console(file=stream)
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[note]}"),
            console=self._console,
            refresh_per_second=4,
            transient=True,
        )
        self._bar = self._bars.add_task("", total=1, note="")

    def start(self, title: str, *, jobs: int, done: int, steps: int) -> None:
        super().start(title, jobs=jobs, done=done, steps=steps)
        self._bars.update(self._bar, total=max(1, self._steps))
        self._refresh()
        self._bars.start()

    def step(self) -> None:
        super().step()
        self._refresh()

    def job(self, text: str) -> None:
        super().job(text)
        self._refresh()

    def stop(self) -> None:
        self._bars.stop()

    def show(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _refresh(self) -> None:
        seconds = self.seconds_left()
        self._bars.update(
            self._bar,
            completed=self._steps_done,
            description=f"{self._done}/{self._jobs} jobs",
            note="" if seconds is None else f"{in_words(seconds)} left",
        )


def make_job_progress(stream: TextIO | None = None) -> JobProgress:
    """Live on a terminal, plain lines elsewhere; standard output if no stream is given."""
    stream = sys.stdout if stream is None else stream
    return LiveJobs(stream) if stream.isatty() else PlainJobs(stream)
