"""metrics.jsonl: one JSON object a line, flushed as it happens."""

from __future__ import annotations

import json
import math
import os
import pathlib
from collections.abc import Mapping
from typing import Any


class MetricsLog:
    """Appends lines to a file.

    Args:
        path: the file; made if it is not there.

    Attributes:
        lines: how many the file has.
    """

    def __init__(self, path: pathlib.Path) -> None:
        self.lines = count_lines(path)
        self._file = open(path, "ab")  # noqa: SIM115  (open as long as the run)

    def append(self, line: Mapping[str, Any]) -> None:
        """Writes one object and flushes it; a number that is not finite becomes null.

        Raises:
            TypeError: a value that JSON does not know.
        """
        text = json.dumps(finite(line), allow_nan=False)
        self._file.write(text.encode() + b"\n")
        self._file.flush()
        self.lines += 1

    def sync(self) -> None:
        """Returns when everything appended is on the disk."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


def count_lines(path: pathlib.Path) -> int:
    """Whole lines of a file; 0 if it is not there."""
    return path.read_bytes().count(b"\n") if path.exists() else 0


def truncate(path: pathlib.Path, lines: int) -> None:
    """Cuts a file to its first lines.

    Raises:
        ValueError: it has fewer.
    """
    parts = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    if sum(part.endswith(b"\n") for part in parts) < lines:
        raise ValueError(f"{path}: expected at least {lines} lines, got {count_lines(path)}")
    if path.exists():
        os.truncate(path, sum(map(len, parts[:lines])))


def read_metrics(path: pathlib.Path) -> list[dict[str, Any]]:
    """Every whole line of a metrics file; a last line still being written is left out.

    Raises:
        ValueError: a line is not a JSON object; the message names file and line.
    """
    records = []
    text = path.read_text() if path.exists() else ""
    for number, line in enumerate(text.splitlines(keepends=True), start=1):
        if not line.endswith("\n"):
            break
        try:
            record = json.loads(line)
        except ValueError as error:
            raise ValueError(f"{path}:{number}: expected a JSON object: {error}") from None
        if not isinstance(record, dict):
            raise ValueError(f"{path}:{number}: expected a JSON object, got {line.strip()[:40]}")
        records.append(record)
    return records


def finite(value: Any) -> Any:
    """A JSON-able value with null for every number that is not finite."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(k): finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(v) for v in value]
    return value
