"""What a person sees while a sweep runs: one live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from .config import Config
from .time_left import in_words, make_time_left

if TYPE_CHECKING:
    from rich.table import Table

    from .sweep import Cell

_WAITING, _BEFORE = "waiting", "done before"
_STYLES = {"waiting": "dim", "done": "green", "failed": "red"}
_TELL_SECONDS = 1.0  # between two reports of one phase
_TELL_PERCENT = 5  # of the iterations of a run, between two states of it


class SweepProgress(Protocol):
    """Follows the runs of a sweep."""

    def start(self, cells: Sequence[Cell], finished: Collection[str]) -> None:
        """The work begins.

        Args:
            cells: all runs.
            finished: names of those that earlier sweeps have finished.
        """

    def update(self, name: str, state: str, seconds_left: float | None) -> None:
        """A run is at work: what it does, in words, and how long still, if that is known."""

    def end(self, name: str, state: str) -> None:
        """A run is done or has failed, in words."""

    def stop(self) -> None:
        """The work ends or is interrupted."""


class PlainSweep:
    """A line whenever a run changes its state, flushed: for files and pipes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._cells: Sequence[Cell] = ()
        self._states: dict[str, str] = {}
        self._left: dict[str, float | None] = {}
        self._ended: list[str] = []

    def start(self, cells: Sequence[Cell], finished: Collection[str]) -> None:
        self._cells = cells
        self._states = {c.name: _BEFORE if c.name in finished else _WAITING for c in cells}
        self._ended = [name for name in self._states if name in finished]
        before = f", {len(finished)} of them finished before" if finished else ""
        self.show(f"{len(cells)} runs{before}")

    def update(self, name: str, state: str, seconds_left: float | None) -> None:
        self._left[name] = seconds_left
        if state != self._states[name]:
            self._states[name] = state
            left = "" if seconds_left is None else f"  ({in_words(seconds_left)} left)"
            self.show(f"{name}: {state}{left}")

    def end(self, name: str, state: str) -> None:
        self._states[name] = state
        self._left.pop(name, None)
        self._ended.append(name)
        self.show(f"{len(self._ended)}/{len(self._cells)}  {name}: {state}")

    def stop(self) -> None:
        pass

    def show(self, text: str) -> None:
        print(text, file=self._stream, flush=True)


class LiveSweep(PlainSweep):
    """A table with a row for every run; on a low terminal, for those at work first."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        from rich.console import Console
        from rich.live import Live

        self._console = Console(file=stream)
        self._whole = False
        self._live = Live(get_renderable=self.table, console=self._console, refresh_per_second=2)

    def start(self, cells: Sequence[Cell], finished: Collection[str]) -> None:
        super().start(cells, finished)
        self._live.start()

    def stop(self) -> None:
        self._whole = True
        self._live.stop()

    def show(self, text: str) -> None:
        pass  # it is in the table

    def table(self) -> Table:
        """The table as it is now."""
        from rich.table import Table
        from rich.text import Text

        options = list(dict.fromkeys(name for cell in self._cells for name in cell.varied))
        failed = sum(_kind(state) == "failed" for state in self._states.values())
        caption = f"{len(self._ended) - failed} of {len(self._cells)} runs done"
        if failed:
            caption += f", {failed} failed"
        shown = self._shown()
        if len(shown) < len(self._cells):
            caption += f"; {len(self._cells) - len(shown)} rows are not shown"
        table = Table(caption=caption, caption_justify="left", caption_style="")
        for heading in ("family", "method", *options, "seed", "state", "left"):
            table.add_column(heading, justify="right" if heading == "left" else "left")
        for cell in shown:
            state, seconds = self._states[cell.name], self._left.get(cell.name)
            table.add_row(
                cell.config.family.name,
                cell.config.method,
                *(str(cell.varied.get(name, "")) for name in options),
                str(cell.config.seed),
                Text(
                    state, style=_STYLES.get(_kind(state), "bold")
                ),  # a Text: brackets in it are no markup
                "" if seconds is None else in_words(seconds),
            )
        return table

    def _shown(self) -> list[Cell]:
        """The rows that the terminal has room for, in the order of the table."""
        room = max(1, self._console.size.height - 6)
        if self._whole or len(self._cells) <= room:
            return list(self._cells)
        ranks = {"failed": 1, "waiting": 2, "done": 3}  # 0: at work
        by_rank = sorted(self._cells, key=lambda c: ranks.get(_kind(self._states[c.name]), 0))
        names = {cell.name for cell in by_rank[:room]}
        return [cell for cell in self._cells if cell.name in names]


def _kind(state: str) -> str:
    """ "failed" of "failed: out of memory"."""
    return state.split()[0].removesuffix(":")


class ReportedProgress:
    """Reports how far a run is: `runs.progress.Progress` of a run in another process.

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
        self._tasks = config.training.schedule.n_tasks if config.model_based else None
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

    def stop(self) -> None:
        pass

    def _tell(self) -> None:
        self._told = self._clock()
        self._report(f"training {self._doing}", self._left.seconds())


def make_sweep_progress(stream: TextIO | None = None) -> SweepProgress:
    """A live table on a terminal, plain lines elsewhere; standard output if no stream is given."""
    stream = sys.stdout if stream is None else stream
    return LiveSweep(stream) if stream.isatty() else PlainSweep(stream)
