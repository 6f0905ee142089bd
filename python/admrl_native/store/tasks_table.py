"""tasks.csv: the visited tasks and their gradients, one row each."""

from __future__ import annotations

import csv
import io
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from .accounts import ACCOUNTS, accounts
from .files import reading
from .metrics import count_lines


class TasksTable:
    """Joins what is known of a task, its gradient and its returns, into one row.

    Args:
        path: the file; made, with its header, if it is not there or empty. One that is there
            keeps its columns.
        task_dim: K.
        pending: a gradient whose task an earlier process had not closed yet.

    Attributes:
        lines: how many the file has, its header included.
    """

    def __init__(
        self, path: pathlib.Path, task_dim: int, pending: Mapping[str, Any] | None = None
    ) -> None:
        self.lines = count_lines(path)
        self._columns = _columns(task_dim)
        self._pending = dict(pending or {})
        if self.lines:  # of an earlier version, perhaps
            self._columns = _read_columns(path, self._columns)
        self._file = open(path, "ab")  # noqa: SIM115  (open as long as the run)
        if not self.lines:
            self._write(self._columns)

    @property
    def pending(self) -> dict[str, Any]:
        """The gradient of a task that is not closed yet, if there is one; JSON-able."""
        return self._pending

    def gradient(self, values: Mapping[str, Any]) -> None:
        """Keeps the gradient at the current task, a "task-gradient" record, for its row."""
        self._pending = _spread("gradient", values.get("gradient"))
        for name, term in values.get("terms", {}).items():
            self._pending.update(_spread(name, term))
        self._pending.update(_solver(values.get("solver", [])))
        health = values.get("health", {})
        self._pending.update(_spread("standard_error", health.get("standard_error")))
        self._pending["halves_cosine"] = health.get("halves_cosine")
        self._pending["damping"] = values.get("damping", {}).get("value")
        self._pending["verdict"] = values.get("verdict")
        self._pending.update(_spread("next_psi", values.get("next_psi")))

    def task(self, values: Mapping[str, Any]) -> None:
        """Writes the row of a task that is done, a "task" record."""
        row = {
            **self._pending,
            "task": values["task"],
            **_spread("psi", values["psi"]),
            **_spread("u", values["u"]),
            "real_samples": sum(values["real_samples"].values()),
            **{f"{k}_samples": v for k, v in accounts(values["real_samples"]).items()},
            "virtual_samples": values["virtual_samples"],
        }
        for name in _RETURNS:
            row[f"return_{name}"] = last(values["returns"].get(name))
        self._pending = {}
        self._write([row.get(column) for column in self._columns])

    def sync(self) -> None:
        """Returns when every row is on the disk."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()

    def _write(self, cells: Sequence[Any]) -> None:
        line = io.StringIO()
        csv.writer(line, lineterminator="\n").writerow("" if c is None else c for c in cells)
        self._file.write(line.getvalue().encode())
        self._file.flush()
        self.lines += 1


def last(value: float | Sequence[float] | None) -> float | None:
    """A return, or the last of a list of them (one per SLBO stage)."""
    if isinstance(value, Sequence):
        return value[-1] if value else None
    return value


_RETURNS = ("random", "zero_shot", "slbo")
_ERRORS = ("standard_error",)
_TERMS = ("at_theta_star", "at_theta_hat", "implicit")
_SOLVER = ("method", "status", "iterations", "residual", "regularised_residual")


def _columns(task_dim: int) -> list[str]:
    return [
        "task",
        *(f"{name}_{k}" for name in ("psi", "u") for k in range(1, task_dim + 1)),
        *(f"return_{name}" for name in _RETURNS),
        "real_samples",
        *(f"{name}_samples" for name in ACCOUNTS),
        "virtual_samples",
        *(
            f"{name}_{k}"
            for name in ("gradient", *_ERRORS, *_TERMS)
            for k in range(1, task_dim + 1)
        ),
        *(f"solver_{name}" for name in _SOLVER),
        "damping",
        "halves_cosine",
        "verdict",
        *(f"next_psi_{k}" for k in range(1, task_dim + 1)),
    ]


def _read_columns(path: pathlib.Path, known: Sequence[str]) -> list[str]:
    with reading(path, "a table of tasks"), path.open(newline="", encoding="utf-8") as file:
        header = next(csv.reader(file), [])
        if unknown := [name for name in header if name not in known]:
            raise ValueError(f"no version writes columns {unknown}")
        if not header:
            raise ValueError("it has no columns")
    return header


def _spread(name: str, values: Sequence[Any] | None) -> dict[str, Any]:
    return {f"{name}_{k}": value for k, value in enumerate(values or (), start=1)}


def _solver(solves: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One or K solves in one row: the iterations of all, the worst residuals."""
    if not solves:
        return {}
    return {
        "solver_method": solves[0]["method"],
        "solver_status": " ".join(sorted({str(s["status"]) for s in solves})),
        "solver_iterations": sum(s["iterations"] for s in solves),
        "solver_residual": max(s["residual"] for s in solves),
        "solver_regularised_residual": max(s["regularised_residual"] for s in solves),
    }
