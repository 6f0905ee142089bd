"""What a run learned, for people: printed as a table, drawn as summary.png."""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Sequence
from typing import TextIO

from ..errors import reason
from ..show import remarks
from ..show.words import duration, number, psi_text
from ..store import accounts
from ..store.files import reading
from ..store.folder import RunFolder
from .run_summary import Summary, summarise


def write_summary(path: pathlib.Path, stream: TextIO | None = None) -> pathlib.Path | None:
    """Prints the table of a run folder and draws its picture.

    What cannot be shown ends nothing: the run is complete without.

    Args:
        path: the run folder.
        stream: where the table goes; None: nowhere.

    Returns:
        The picture's path; None if it could not be drawn, for which a line gives the reason.
    """
    summary = summarise(path)
    if summary.config.iterations is None:
        from .run_picture import draw
    else:
        from .iterations_picture import draw
    if stream is not None:
        with reading(RunFolder(path).metrics, "the records of this run"):
            print_table(summary, stream)
    picture = RunFolder(path).picture
    try:
        draw(summary, picture)
    except Exception as error:  # whatever fonts, settings and disks do to it
        print(f"picture not drawn: {reason(error)}", file=sys.stderr)
        return None
    return picture


def print_table(summary: Summary, stream: TextIO) -> None:
    """One row per task, or some iterations; a rich table on a terminal, plain columns elsewhere."""
    if summary.config.iterations is None:
        what, left, columns, rows = "task", 1, *_task_rows(summary)
    else:
        what, left, columns, rows = "iteration", -1, *_iteration_rows(summary)
    config = summary.config
    title = f"Mean return by {what}: {config.title}"
    totals = (
        f"real: {accounts.in_words(summary.samples)}; "
        f"{summary.virtual_samples:,} virtual samples, "
        f"{duration(summary.wall_seconds)}"
    )
    totals = "\n".join([totals, *remarks.of_run(summary.records, config.return_offset)])
    if stream.isatty():
        from rich.console import Console
        from rich.table import Table

        table = Table(title=title, caption=totals)
        for i, name in enumerate(columns):
            table.add_column(name, justify="left" if i == left else "right")
        for row in rows:
            table.add_row(*row)
        Console(file=stream).print(table)
        return
    widths = [max(len(c), *(len(row[i]) for row in rows), 0) for i, c in enumerate(columns)]
    lines = [title]
    for row in (columns, *rows):
        cells = (
            c.ljust(w) if i == left else c.rjust(w)
            for i, (c, w) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  ".join(cells))
    print("\n".join([*lines, totals]), file=stream, flush=True)


_Table = tuple[Sequence[str], Sequence[Sequence[str]]]  # columns, rows


def _task_rows(summary: Summary) -> _Table:
    rows = [
        (str(t.task + 1), psi_text(t.psi), number(t.random), number(t.zero_shot), number(t.slbo))
        for t in summary.tasks
    ]
    return ("task", "psi", "random policy", "zero-shot", "after SLBO"), rows


_SHOWN_ITERATIONS = 12  # rows, about


def _iteration_rows(summary: Summary) -> _Table:
    """Some iterations at equal distances, the last one among them."""
    every = -(-len(summary.iterations) // _SHOWN_ITERATIONS)
    chosen = summary.iterations[::-1][:: every or 1][::-1]
    rows = [
        (
            str(r["iteration"] + 1),
            f"{accounts.accounts(r['real_samples'])['training']:,}",
            number(r["real_return"]),
            number(r["adapted_return"]),
        )
        for r in chosen
    ]
    return ("iteration", "training samples", "return", "after adaptation"), rows
