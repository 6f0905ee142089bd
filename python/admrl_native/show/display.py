"""Where progress is shown: lines, with something live below them on a terminal; or nowhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TextIO

from .words import duration

if TYPE_CHECKING:
    from rich.live import Live as RichLive
    from rich.table import Table


class Display:
    """Shows nothing."""

    def start(self) -> None:
        """The work begins."""

    def line(self, text: str) -> None:
        """A line that stays."""

    def room(self) -> int:
        """Lines that there is room for."""
        return 0

    def stop(self) -> None:
        """The work ends or is interrupted."""


class Lines(Display):
    """Lines, flushed: for files and pipes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def line(self, text: str) -> None:
        print(text, file=self._stream, flush=True)


class Live(Display):
    """The same lines above what is drawn anew four times a second: for terminals.

    Args:
        stream: the terminal.
        render: what is to be seen now: anything that `rich` prints.
        lasting: what was seen last stays.
    """

    def __init__(self, stream: TextIO, render: Callable[[], Any], *, lasting: bool = False) -> None:
        from rich.console import Console

        self._console = Console(file=stream)
        self._render, self._lasting = render, lasting
        self._live: RichLive | None = None

    def start(self) -> None:
        from rich.live import Live as RichLive

        self._live = RichLive(
            get_renderable=self._render,
            console=self._console,
            refresh_per_second=4,
            transient=not self._lasting,
        )
        self._live.start()

    def line(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def room(self) -> int:
        return self._console.size.height

    def stop(self) -> None:
        if self._live is not None:
            self._live.stop()


def make_display(
    stream: TextIO | None, render: Callable[[], Any], *, lasting: bool = False
) -> Display:
    """Live on a terminal, lines elsewhere; nothing without a stream."""
    if stream is None:
        return Display()
    return Live(stream, render, lasting=lasting) if stream.isatty() else Lines(stream)


def bars(rows: list[tuple[str, float, float, str]]) -> Table:
    """Bars below one another: what, how much of how much is done, a note."""
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    table = Table.grid(padding=(0, 1))
    for what, done, total, note in rows:
        table.add_row(what, ProgressBar(total=total, completed=done, width=30), note)
    return table


def left_in_words(seconds: float | None, form: str = "{} left") -> str:
    """Such as "20 s left"; nothing as long as it is not known."""
    return "" if seconds is None else form.format(duration(seconds))
