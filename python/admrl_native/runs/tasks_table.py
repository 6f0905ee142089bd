"""tasks.csv: the visited tasks and their gradients, one row each."""

from __future__ import annotations

import csv
import io
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any


class TasksTable:
    """Joins what is known of a task, before and after its gradient, into one row.

    A row is written when its gradient is known, or when the next task begins. Until then it is
    `pending`, which is part of a checkpoint.

    Args:
        path: the file; made, with its header, if it is not there or empty.
        task_dim: K.
        pending: the row that an earlier process had not written yet.
    """

    def __init__(
        self, path: pathlib.Path, task_dim: int, pending: Mapping[str, Any] | None = None
    ) -> None:
        self._columns = _columns(task_dim)
        self._file = open(path, "ab")  # noqa: SIM115  (open as long as the run)
        self._pending = dict(pending) if pending else None
        if self._file.tell() == 0:
            self._write(self._columns)

    @property
    def offset(self) -> int:
        """Length of the file in bytes: where the next row begins."""
        return self._file.tell()

    @property
    def pending(self) -> dict[str, Any] | None:
        """The row not written yet, if there is one; JSON-able."""
        return self._pending

    def task(self, values: Mapping[str, Any]) -> None:
        """A task is trained: {"task", "psi", "u", "returns", "real_samples", "virtual_samples"}."""
        self._flush()
        returns, real = values.get("returns", {}), values.get("real_samples")
        self._pending = {
            "task": values.get("task"),
            **_spread("psi", values.get("psi")),
            **_spread("u", values.get("u")),
            **{f"return_{name}": value for name, value in returns.items()},
            "real_samples": sum(real.values()) if isinstance(real, Mapping) else real,
            "virtual_samples": values.get("virtual_samples"),
        }

    def gradient(self, values: Mapping[str, Any]) -> None:
        """The gradient at the task: {"gradient", "terms", "solver", "next_psi"}; writes the row."""
        if self._pending is None or self._pending["task"] != values.get("task"):
            raise ValueError(f"task {values.get('task')}: expected its task record before its gradient")
        solver = values.get("solver") or {}
        self._pending.update(_spread("gradient", values.get("gradient")))
        for name, term in (values.get("terms") or {}).items():
            self._pending.update(_spread(name, term))
        self._pending.update({f"solver_{name}": solver.get(name) for name in _SOLVER})
        self._pending.update(_spread("next_psi", values.get("next_psi")))
        self._flush()

    def close(self) -> None:
        """Writes the pending row, if there is one, and closes the file."""
        self._flush()
        self._file.close()

    def _flush(self) -> None:
        if self._pending is not None:
            self._write([self._pending.get(column) for column in self._columns])
            self._pending = None

    def _write(self, cells: Sequence[Any]) -> None:
        line = io.StringIO()
        csv.writer(line, lineterminator="\n").writerow("" if c is None else c for c in cells)
        self._file.write(line.getvalue().encode())
        self._file.flush()


_RETURNS = ("random", "zero_shot", "slbo")
_TERMS = ("at_theta_star", "at_theta_hat", "implicit")
_SOLVER = ("method", "status", "iterations", "residual")


def _columns(task_dim: int) -> list[str]:
    return [
        "task",
        *(f"{name}_{k}" for name in ("psi", "u") for k in range(1, task_dim + 1)),
        *(f"return_{name}" for name in _RETURNS),
        "real_samples",
        "virtual_samples",
        *(f"{name}_{k}" for name in ("gradient", *_TERMS) for k in range(1, task_dim + 1)),
        *(f"solver_{name}" for name in _SOLVER),
        *(f"next_psi_{k}" for k in range(1, task_dim + 1)),
    ]


def _spread(name: str, values: Sequence[Any] | None) -> dict[str, Any]:
    return {f"{name}_{k}": value for k, value in enumerate(values or (), start=1)}
