"""metrics.jsonl: one JSON object a line, flushed as it happens."""

from __future__ import annotations

import json
import math
import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

from .files import DamagedFile, parse_json


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


def read_metrics(path: pathlib.Path, most: int | None = None) -> list[dict[str, Any]]:
    """Every whole line of a metrics file; a last line still being written is left out.

    Args:
        path: the file.
        most: lines; None: all.

    Raises:
        DamagedFile: a line is not a JSON object; a ValueError that names file and line.
    """
    records = []
    content = path.read_bytes() if path.exists() else b""
    for number, line in enumerate(content.split(b"\n")[:-1][:most], start=1):
        try:
            record = parse_json(line.decode())
        except ValueError as error:
            raise DamagedFile(f"{path}:{number}", f"expected a JSON object: {error}") from None
        if not isinstance(record, dict):
            got = line.decode().strip()[:40]
            raise DamagedFile(f"{path}:{number}", f"expected a JSON object, got {got}")
        records.append(record)
    return records


def read_records(path: pathlib.Path, most: int | None = None) -> list[dict[str, Any]]:
    """The records of a run, of its metrics.jsonl; what all of them share is checked.

    Args:
        path: the file.
        most: records; None: all.

    Raises:
        DamagedFile: a line is no record; a ValueError that names file and line.
    """
    records = read_metrics(path, most)
    for number, record in enumerate(records, start=1):
        for name, (is_it, expected) in _SHARED.items():
            if name in record and not is_it(record[name]):
                got = json.dumps(record[name])[:40]
                raise DamagedFile(f"{path}:{number}", f"{name}: expected {expected}, got {got}")
        for name in ("event", "wall_seconds"):
            if name not in record:
                raise DamagedFile(f"{path}:{number}", f"expected a record with its {name}")
    return records


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_point(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_number, value))


def _are_counts(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_count, value.values()))


_SHARED: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "event": (lambda value: isinstance(value, str), "a name"),
    "wall_seconds": (lambda value: _is_number(value) and value >= 0, "seconds"),
    "task": (_is_count, "the number of a task"),
    "iteration": (_is_count, "the number of an iteration"),
    "psi": (_is_point, "numbers"),
    "u": (_is_point, "numbers"),
    "real_samples": (_are_counts, "counts by name"),
    "virtual_samples": (_is_count, "a count"),
}


def finite(value: Any) -> Any:
    """A JSON-able value with null for every number that is not finite."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(k): finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(v) for v in value]
    return value
