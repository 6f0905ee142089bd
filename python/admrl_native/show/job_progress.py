"""What a person sees while jobs are done."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

from .display import bars, left_in_words, make_display

if TYPE_CHECKING:
    from rich.table import Table


class JobProgress:
    """Follows a number of jobs, each of the same number of steps: a line per job.

    Args:
        stream: where to; None: nowhere.
        clock: seconds; a test passes its own.
    """

    def __init__(
        self, stream: TextIO | None, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._clock = clock
        self._jobs = self._done = 0
        self._steps = self._steps_done = 0
        self._began = 0.0
        self._display = make_display(stream, self._render)

    def start(self, title: str, *, jobs: int, done: int, steps: int) -> None:
        """The work begins, or goes on.

        Args:
            title: what is done; may have several lines.
            jobs: in all.
            done: by earlier processes.
            steps: of each job.
        """
        self._jobs, self._done = jobs, done
        self._steps, self._steps_done = (jobs - done) * steps, 0
        self._began = self._clock()
        self._display.line(title + (f"\n{done} of {jobs} jobs were done before" if done else ""))
        self._display.start()

    def step(self) -> None:
        """A step of some job is done."""
        self._steps_done += 1

    def job(self, text: str) -> None:
        """A job is done; a line about it."""
        self._done += 1
        seconds = None if self._done == self._jobs else self.seconds_left()
        left = left_in_words(seconds, "  ({} left)")
        self._display.line(f"{self._done}/{self._jobs}  {text}{left}")

    def stop(self) -> None:
        """The work ends or is interrupted."""
        self._display.stop()

    def seconds_left(self) -> float | None:
        """Seconds left at the speed so far; None as long as nothing has been measured."""
        if self._steps_done == 0:
            return None
        per_step = (self._clock() - self._began) / self._steps_done
        return max(0, self._steps - self._steps_done) * per_step

    def _render(self) -> Table:
        done, left = f"{self._done}/{self._jobs} jobs", left_in_words(self.seconds_left())
        return bars([(done, self._steps_done, max(1, self._steps), left)])
