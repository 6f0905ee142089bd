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
    """

    def __init__(self, path: pathlib.Path) -> None:
        self._file = open(path, "ab")  # noqa: SIM115  (open as long as the run)

    @property
    def offset(self) -> int:
        """Length of the file in bytes: where the next line begins."""
        return self._file.tell()

    def append(self, line: Mapping[str, Any]) -> None:
        """Writes one object and flushes it; a number that is not finite becomes null.

        Raises:
            TypeError: a value that JSON does not know.
        """
        text = json.dumps(_finite(line), allow_nan=False)
        self._file.write(text.encode() + b"\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def truncate(path: pathlib.Path, offset: int) -> None:
    """Cuts a file to a length it had before.

    Raises:
        ValueError: the file is shorter: it is not the one the offset was taken from.
    """
    length = path.stat().st_size if path.exists() else 0
    if length < offset:
        raise ValueError(f"{path}: expected at least {offset} bytes, got {length}: lines have been lost")
    if path.exists():
        os.truncate(path, offset)


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


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(v) for v in value]
    return value
