"""What a run learned: read from its folder, printed as a table, drawn as summary.png."""

from __future__ import annotations

import dataclasses
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from ..errors import reason
from . import accounts, remarks
from .config import Config
from .folder import RunFolder, open_folder
from .metrics import read_records
from .progress import number, psi_text
from .storage import reading
from .tasks_table import last
from .time_left import in_words


@dataclasses.dataclass(frozen=True)
class TaskSummary:
    """One training task; a return is the mean over episodes, None if not known yet.

    Attributes:
        task: its index.
        psi: (K,) the task, in the family's units.
        u: (K,) the task in normalised coordinates.
        random: return of a policy that acts at random.
        zero_shot: return after zero-shot adaptation, before any sample of the task.
        slbo: return after SLBO on the task.
    """

    task: int
    psi: tuple[float, ...]
    u: tuple[float, ...]
    random: float | None
    zero_shot: float | None
    slbo: float | None


@dataclasses.dataclass(frozen=True)
class Summary:
    """A run, complete or not.

    Attributes:
        config: the run's configuration.
        records: the lines of metrics.jsonl.
        tasks: the visited tasks in order.
        samples: real ones of the whole run, by `ACCOUNTS`.
        virtual_samples: of the whole run.
        wall_seconds: of all its processes together.
    """

    config: Config
    records: Sequence[Mapping[str, Any]]
    tasks: Sequence[TaskSummary]
    samples: Mapping[str, int]
    virtual_samples: int
    wall_seconds: float

    @property
    def iterations(self) -> Sequence[Mapping[str, Any]]:
        """The "iteration" records: of a model-free method, which has no other figures."""
        return [r for r in self.records if r["event"] == "iteration"]


def summarise(path: pathlib.Path) -> Summary:
    """Reads a run folder.

    Raises:
        SettingError: not a run folder, or of another version.
    """
    folder, config = open_folder(path, name="run", to_read=True)
    with reading(folder.metrics, "the records of this run"):
        return _summarise(folder, config)


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
    if summary.config.model_based:
        from .picture import draw
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
    if summary.config.model_based:
        what, left, columns, rows = "task", 1, *_task_rows(summary)
    else:
        what, left, columns, rows = "iteration", -1, *_iteration_rows(summary)
    config = summary.config
    title = f"Mean return by {what}: {config.title}"
    totals = (
        f"real: {accounts.in_words(summary.samples)}; "
        f"{summary.virtual_samples:,} virtual samples, "
        f"{in_words(summary.wall_seconds)}"
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


def _summarise(folder: RunFolder, config: Config) -> Summary:
    records = read_records(folder.metrics)
    tasks: dict[int, dict[str, Any]] = {}
    for r in records:
        if "task" not in r:
            continue
        known = tasks.setdefault(r["task"], {})
        if "psi" in r:
            known["psi"] = r["psi"]
        if "u" in r:
            known["u"] = r["u"]
        if r["event"] == "random-policy":
            known["random"] = r.get("return_mean")
        elif r["event"] == "zero-shot":
            known["zero_shot"] = r.get("real_return")
        elif r["event"] == "slbo-stage":
            known["slbo"] = r.get("real_return")
        elif r["event"] == "task":
            known.update({k: last(v) for k, v in r["returns"].items()})
    low, high = config.family.task_low, config.family.task_high
    found = []
    for task, known in sorted(tasks.items()):
        if "psi" not in known:
            continue
        psi = tuple(known["psi"])
        u = known.get("u") or [
            2 * (p - a) / (b - a) - 1 for p, a, b in zip(psi, low, high, strict=True)
        ]
        returns = (known.get(name) for name in ("random", "zero_shot", "slbo"))
        found.append(TaskSummary(task, psi, tuple(u), *returns))
    return Summary(
        config=config,
        records=records,
        tasks=found,
        samples=accounts.accounts(_latest(records, "real_samples", {})),
        virtual_samples=_latest(records, "virtual_samples", 0),
        wall_seconds=float(records[-1]["wall_seconds"]) if records else 0.0,
    )


def _latest(records: Sequence[Mapping[str, Any]], name: str, default: Any) -> Any:
    return next((r[name] for r in reversed(records) if name in r), default)
