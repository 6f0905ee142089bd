"""What every benchmark here shares: interleaved timing, the machine, tables, raw figures."""

from __future__ import annotations

import argparse
import dataclasses
import importlib.metadata
import json
import os
import pathlib
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

REPOSITORY = pathlib.Path(__file__).resolve().parents[1]
T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Contender:
    """One thing to be timed.

    Attributes:
        name: how the table calls it.
        work: units (steps, say) that one call of `run` is asked for.
        run: what is timed.
        prepare: brings it to the same start before every call; not timed.
        close: releases what it holds.
        done: units that the last call did, where that is not always `work`; not timed.
    """

    name: str
    work: int
    run: Callable[[], object]
    prepare: Callable[[], object] = lambda: None
    close: Callable[[], object] = lambda: None
    done: Callable[[], int] | None = None


@dataclasses.dataclass(frozen=True)
class Timing:
    """The repeats of one contender, in the order in which they ran: units done and seconds."""

    work: tuple[int, ...]
    seconds: tuple[float, ...]

    @property
    def rates(self) -> tuple[float, ...]:
        """Units a second, one per repeat."""
        return tuple(w / s for w, s in zip(self.work, self.seconds, strict=True))

    @property
    def median(self) -> float:
        """Units a second, the median of the repeats."""
        return statistics.median(self.rates)

    @property
    def spread(self) -> tuple[float, float]:
        """The quartiles of the rate."""
        if len(self.rates) == 1:
            return self.rates[0], self.rates[0]
        low, _, high = statistics.quantiles(self.rates, n=4, method="inclusive")
        return low, high

    def ratio(self, other: Timing) -> float:
        """How many times as fast as `other`: the median over repeats that ran side by side."""
        return statistics.median(a / b for a, b in zip(self.rates, other.rates, strict=True))


@dataclasses.dataclass(frozen=True)
class Verdict:
    """A requirement and what was measured of it.

    Attributes:
        what: the ratio that is judged.
        measured: its value.
        at_least: lower bound, or None.
        at_most: upper bound, or None.
    """

    what: str
    measured: float
    at_least: float | None = None
    at_most: float | None = None

    @property
    def met(self) -> bool:
        """Whether the bounds hold."""
        low = self.at_least is None or self.measured >= self.at_least
        return low and (self.at_most is None or self.measured <= self.at_most)

    def cells(self) -> list[str]:
        """A table row: what, measured, asked for, whether it is met."""
        asked = [f"≥ {self.at_least:g}"] if self.at_least is not None else []
        asked += [f"≤ {self.at_most:g}"] if self.at_most is not None else []
        return [
            self.what,
            f"{self.measured:.3g}",
            ", ".join(asked),
            "met" if self.met else "NOT met",
        ]


@dataclasses.dataclass(frozen=True)
class Section:
    """What a benchmark says about one part of its question.

    Attributes:
        title: the heading.
        header: of the table.
        rows: of the table.
        figures: what goes into the JSON.
        notes: lines below the table.
        verdicts: requirements.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    figures: Mapping[str, Any]
    notes: Sequence[str] = ()
    verdicts: Sequence[Verdict] = ()

    def show(self) -> None:
        """Prints it."""
        print(f"\n### {self.title}\n\n{table(self.header, self.rows)}")
        for note in self.notes:
            print(f"\n{note}")
        print(end="", flush=True)


def interleave(contenders: Sequence[Contender], repeats: int, warmup: int = 1) -> dict[str, Timing]:
    """Times every contender `repeats` times, in turns, each turn in another order.

    A drift of the machine then falls on all of them alike.
    """
    for contender in contenders:
        for _ in range(warmup):
            contender.prepare()
            contender.run()
    work: dict[str, list[int]] = {c.name: [] for c in contenders}
    seconds: dict[str, list[float]] = {c.name: [] for c in contenders}
    for repeat in range(repeats):
        shift = repeat % len(contenders)
        for contender in (*contenders[shift:], *contenders[:shift]):
            contender.prepare()
            start = time.perf_counter()
            contender.run()
            seconds[contender.name].append(time.perf_counter() - start)
            work[contender.name].append(contender.done() if contender.done else contender.work)
    return {c.name: Timing(tuple(work[c.name]), tuple(seconds[c.name])) for c in contenders}


def once(run: Callable[[], T]) -> tuple[T, Timing]:
    """The value of one call, and its time: for what is too slow to be repeated."""
    start = time.perf_counter()
    value = run()
    return value, Timing((1,), (time.perf_counter() - start,))


def milliseconds(timing: Timing) -> list[str]:
    """Two table cells: milliseconds for a unit of work, and their quartiles."""
    high, low = (1000 / rate for rate in timing.spread)
    return [f"{1000 / timing.median:.2f}", f"{low:.2f} to {high:.2f}"]


def machine(packages: Sequence[str]) -> dict[str, Any]:
    """What the figures were read on: processor, system, versions, commit."""
    usable = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    return {
        "processor": _processor(),
        "cores": os.cpu_count() if usable is None else len(usable),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in packages},
        "commit": _commit(),
        "date": time.strftime("%Y-%m-%d"),
    }


def version(package: str) -> str | None:
    """Version of an installed distribution; None if it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, columns padded; all but the first are right-aligned."""
    widths = [max(len(line[i]) for line in (header, *rows)) for i in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        padded = [cells[0].ljust(widths[0])]
        padded += [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
        return "| " + " | ".join(padded) + " |"

    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join([line(header), line(rule), *map(line, rows)])


def parser(description: str | None) -> argparse.ArgumentParser:
    """The options that every benchmark has."""
    out = argparse.ArgumentParser(description=description)
    out.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write the raw figures")
    out.add_argument("--quick", action="store_true", help="tiny sizes: checks, no true times")
    out.add_argument("--repeats", type=_positive, default=None, help="timed repeats (default 9)")
    return out


def repeats(arguments: argparse.Namespace) -> int:
    """Repeats asked for: at least 7 unless the user says otherwise."""
    if arguments.repeats is not None:
        return int(arguments.repeats)
    return 2 if arguments.quick else 9


def write_json(path: pathlib.Path, figures: Mapping[str, Any]) -> None:
    """Writes the raw figures, with every repeat."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(figures, indent=1, default=_plain, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def _plain(value: object) -> object:
    if isinstance(value, Verdict):
        return {**dataclasses.asdict(value), "met": value.met}
    if isinstance(value, Timing):
        low, high = value.spread
        return {
            "work": value.work,
            "seconds": value.seconds,
            "median_rate": value.median,
            "quartile_rates": [low, high],
        }
    raise TypeError(f"cannot write {type(value).__name__} as JSON")


def _positive(text: str) -> int:
    value = int(text)
    if value < 2:
        raise argparse.ArgumentTypeError(f"expected at least 2, got {value}")
    return value


def _processor() -> str:
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _commit() -> str | None:
    def git(*command: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", *command], cwd=REPOSITORY, capture_output=True, text=True, check=True
            )
        except (OSError, subprocess.CalledProcessError):
            return None
        return done.stdout.strip()

    commit = git("rev-parse", "--short=12", "HEAD")
    if commit is None:
        return None
    return commit + (" with local changes" if git("status", "--porcelain") else "")
