"""What a person sees while a sweep runs: one live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, TextIO

from ..configuration.cells import Cell
from .display import Live, left_in_words, make_display

if TYPE_CHECKING:
    from rich.table import Table

_WAITING, _BEFORE = "waiting", "done before"
_STYLES = {"waiting": "dim", "done": "green", "failed": "red"}


class SweepProgress:
    """Follows the runs of a sweep: a row for each, or a line whenever one changes its state."""

    def __init__(self, stream: TextIO | None) -> None:
        self._cells: Sequence[Cell] = ()
        self._states: dict[str, str] = {}
        self._left: dict[str, float | None] = {}
        self._ended: list[str] = []
        self._whole = False
        self._display = make_display(stream, self.table, lasting=True)

    def start(self, cells: Sequence[Cell], finished: Collection[str]) -> None:
        """The work begins.

        Args:
            cells: all runs.
            finished: names of those that earlier sweeps have finished.
        """
        self._cells = cells
        self._states = {c.name: _BEFORE if c.name in finished else _WAITING for c in cells}
        self._ended = [name for name in self._states if name in finished]
        before = f", {len(finished)} of them finished before" if finished else ""
        self._say(f"{len(cells)} runs{before}")
        self._display.start()

    def update(self, name: str, state: str, seconds_left: float | None) -> None:
        """A run is at work: what it does, in words, and how long still, if that is known."""
        self._left[name] = seconds_left
        if state != self._states[name]:
            self._states[name] = state
            self._say(f"{name}: {state}{left_in_words(seconds_left, '  ({} left)')}")

    def end(self, name: str, state: str) -> None:
        """A run is done or has failed, in words."""
        self._states[name] = state
        self._left.pop(name, None)
        self._ended.append(name)
        self._say(f"{len(self._ended)}/{len(self._cells)}  {name}: {state}")

    def stop(self) -> None:
        """The work ends or is interrupted."""
        self._whole = True
        self._display.stop()

    def _say(self, text: str) -> None:
        if not isinstance(self._display, Live):  # there it is in the table
            self._display.line(text)

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
                Text(state, style=_STYLES.get(_kind(state), "bold")),  # brackets are no markup
                left_in_words(seconds, "{}"),
            )
        return table

    def _shown(self) -> list[Cell]:
        """The rows that the terminal has room for, in the order of the table."""
        room = max(1, self._display.room() - 6)
        if self._whole or len(self._cells) <= room:
            return list(self._cells)
        ranks = {"failed": 1, "waiting": 2, "done": 3}  # 0: at work
        by_rank = sorted(self._cells, key=lambda c: ranks.get(_kind(self._states[c.name]), 0))
        names = {cell.name for cell in by_rank[:room]}
        return [cell for cell in self._cells if cell.name in names]


def _kind(state: str) -> str:
    """ "failed" of "failed: out of memory"."""
    return state.split()[0].removesuffix(":")
