"""TensorBoard events: a view of metrics.jsonl, written anew when a run is resumed."""

from __future__ import annotations

import os
import pathlib
import socket
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

_X_AXIS = {"task", "stage", "iteration", "wall_seconds"}


class TensorBoardEvents:
    """Writes every number of every metrics record as a scalar "event/name".

    The step of a scalar is the number of earlier records of that event.

    Args:
        folder: where the events file goes; older ones there are deleted.
        start: time at which the run began, seconds since 1970; wall times count from it.
    """

    def __init__(self, folder: pathlib.Path, start: float) -> None:
        # tensorboard's own record format, without its writer: that has a thread and a queue, in
        # which an interrupted run can be stuck.
        from tensorboard.compat.proto.event_pb2 import Event  # type: ignore[import-untyped]
        from tensorboard.summary.writer.record_writer import (  # type: ignore[import-untyped]
            RecordWriter,
        )

        for old in folder.glob("events.out.tfevents.*"):
            old.unlink()
        name = f"events.out.tfevents.{int(start):010d}.{socket.gethostname()}.{os.getpid()}.0"
        self._writer = RecordWriter(open(folder / name, "wb"))  # noqa: SIM115  (as long as the run)
        version = Event(wall_time=start, file_version="brain.Event:2")
        self._writer.write(version.SerializeToString())
        self._start = start
        self._steps: Counter[str] = Counter()

    def append(self, record: Mapping[str, Any]) -> None:
        """Adds a record of metrics.jsonl."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary  # type: ignore[import-untyped]

        name = record["event"]
        values = [
            Summary.Value(tag=f"{name}/{key}", simple_value=number)
            for key, number in _numbers(record)
            if key not in _X_AXIS
        ]
        wall_time = self._start + record["wall_seconds"]
        event = Event(wall_time=wall_time, step=self._steps[name], summary=Summary(value=values))
        self._writer.write(event.SerializeToString())
        self._steps[name] += 1

    def flush(self) -> None:
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


def _numbers(record: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """The finite numbers of a record, nested ones named by their path."""
    for key, value in record.items():
        name = f"{prefix}{key}"
        if isinstance(value, bool) or value is None:
            continue
        if isinstance(value, (int, float)):
            yield name, float(value)
        elif isinstance(value, Mapping):
            yield from _numbers(value, f"{name}/")
        elif isinstance(value, (list, tuple)):
            yield from _numbers({str(i): v for i, v in enumerate(value, start=1)}, f"{name}/")
