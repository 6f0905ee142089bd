"""A file of finished jobs, one JSON object a line below a line of settings: work to go on with."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Mapping
from typing import Any

from ..settings import SettingError
from .files import lock_file, reading
from .metrics import MetricsLog, read_metrics, truncate


class JobLog:
    """Opens, or starts, a file of finished jobs.

    Args:
        path: the file.
        header: what the jobs are about: "what" and "run", which must be the same in an existing
            file, and "options", by name, each of which must be the same.
        name: what the caller calls the file, for the messages of errors.
        again: how to start anew, for those messages.

    Attributes:
        finished: the lines of the jobs done so far.

    Raises:
        SettingError: the file is of something else, was made with other options, cannot be written
            or is in use by another process.
    """

    def __init__(
        self,
        path: pathlib.Path,
        header: Mapping[str, Any],
        name: str = "out",
        again: str = "choose another --out to start anew",
    ) -> None:
        header = json.loads(json.dumps(header))  # as it will be read: no tuples
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = open(path, "ab")  # noqa: SIM115  (open as long as the log)
            free = lock_file(self._lock)
        except OSError as error:
            raise SettingError(name, f"expected a file to write, got {path}: {error}") from None
        try:
            if not free:
                raise SettingError(name, f"expected a file nobody writes to, got {path}")
            with reading(path, f"a file of a {header['what']}", again):
                lines = _read(path, header, name)
                if len(lines) > 1:
                    _check(path, lines[0], header, name, again)
            if len(lines) == 1:
                lines = []  # nothing was finished: it is begun anew
            truncate(path, len(lines))  # a line that was never finished
            self._log = MetricsLog(path)
            if not lines:
                self._log.append(header)
        except BaseException:
            self._lock.close()
            raise
        self.finished: list[dict[str, Any]] = lines[1:]

    def append(self, line: Mapping[str, Any]) -> None:
        """Keeps a finished job; a number that is not finite becomes null."""
        self._log.append(line)

    def close(self) -> None:
        self._log.close()
        self._lock.close()


def _read(path: pathlib.Path, header: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    what = header["what"]
    try:
        lines = read_metrics(path)
    except (OSError, ValueError) as error:
        raise SettingError(name, f"expected a file of a {what}: {error}") from None
    # Only the beginning of a first line: that of this header, or of a file that is not ours.
    begun = not lines and json.dumps(header).startswith(path.read_text("utf-8"))
    if not begun and (not lines or lines[0].get("what") != what):
        raise SettingError(name, f"expected a new file or one of a {what}, got {path}")
    return lines


def _check(
    path: pathlib.Path,
    stored: Mapping[str, Any],
    header: Mapping[str, Any],
    name: str,
    again: str,
) -> None:
    for key in header["run"].keys() | stored["run"].keys():
        ours, theirs = header["run"].get(key), stored["run"].get(key)
        if ours != theirs:
            problem = f"expected a file of {key} {ours}, got {path}, of {key} {theirs}"
            raise SettingError(name, f"{problem}; {again}")
    keys = [*header["options"], *(k for k in stored["options"] if k not in header["options"])]
    for key in keys:
        ours, theirs = header["options"].get(key), stored["options"].get(key)
        if ours != theirs:
            problem = f"expected {_shown(theirs)} as in {path}, got {_shown(ours)}"
            raise SettingError(key, f"{problem}; {again}")


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    return " ".join(f"{x:g}" for x in value) if isinstance(value, list) else str(value)
