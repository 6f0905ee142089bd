"""Writes what an algorithm reports to the run folder, and shows it: the `Observer` of a run."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..settings import SettingError
from . import checkpoint as checkpoints
from .config import Config
from .data import DataShards
from .events import TensorBoardEvents
from .folder import RunFolder, lock
from .metrics import MetricsLog, read_metrics, truncate
from .progress import Progress
from .tasks_table import TasksTable

if TYPE_CHECKING:
    import torch


class Recorder:
    """Implements `algorithms.observer.Observer` on a run folder.

    Opening it puts the folder into the state it had at its newest checkpoint (`resumed_from`):
    whatever was written after that is cut off, because the run will write it again, bit for bit.

    Args:
        folder: the run folder.
        config: the run's configuration.
        progress: shows what happens.

    Raises:
        SettingError: the folder is damaged, or another process is training in it.
    """

    def __init__(self, folder: RunFolder, config: Config, progress: Progress) -> None:
        self._folder = folder
        self._lock = lock(folder)
        self._data = DataShards(folder.data)
        try:
            self.resumed_from = checkpoints.load_newest(folder.checkpoints)
            before = self.resumed_from.recorder if self.resumed_from else _NOTHING
            self._next_checkpoint = self.resumed_from.number + 1 if self.resumed_from else 0
            checkpoints.remove_after(folder.checkpoints, self._next_checkpoint - 1)
            truncate(folder.metrics, before["metrics_lines"])
            truncate(folder.tasks, before["tasks_lines"])
            self._data.truncate(before["data_shards"])
        except (ValueError, OSError) as error:
            self._lock.close()
            raise SettingError("resume", f"expected an undamaged run folder: {error}") from error
        self._task = self.resumed_from.task if self.resumed_from else 0
        self._wall_before = float(before["wall_seconds"])
        self._began = time.perf_counter()

        past = read_metrics(folder.metrics)
        began = [line for line in past if line["event"] == "compute"]
        self._compute = {k: began[-1][k] for k in ("path", "precision", "where")} if began else None
        self._metrics = MetricsLog(folder.metrics)
        self._tasks = TasksTable(folder.tasks, config.family.task_dim, before["pending_gradient"])
        self._events = TensorBoardEvents(folder.path, time.time() - self._wall_before)
        for line in past:
            self._events.append(line)
        self._progress = progress
        self._progress.start(past)

    def stored_data(self) -> dict[str, dict[str, torch.Tensor]]:
        """The transitions stored so far, by purpose, in order."""
        return self._data.load()

    def begin(self, compute: Mapping[str, str]) -> None:
        if compute == self._compute:  # the metrics of a resumed run are those of one that was not
            self._progress.record("compute", compute)
        else:
            self.record("compute", compute)

    def phase(self, name: str, *, task: int, steps: int) -> None:
        self._task = task
        self._progress.phase(name, task=task, steps=steps)

    def step(self, values: Mapping[str, float]) -> None:
        self._progress.step(values)

    def record(self, event: str, values: Mapping[str, Any]) -> None:
        line = {"event": event, **values, "wall_seconds": round(self._wall_seconds(), 3)}
        self._metrics.append(line)
        self._events.append(line)
        if event == "task":
            self._tasks.task(values)
        elif event == "task-gradient":
            self._tasks.gradient(values)
        self._progress.record(event, values)

    def store(self, purpose: str, transitions: Mapping[str, torch.Tensor]) -> None:
        self._data.append(purpose, transitions)

    def checkpoint(self, state: Mapping[str, Any]) -> None:
        # A checkpoint counts lines: they must be there whenever it is.
        self._metrics.sync()
        self._tasks.sync()
        position = {
            "metrics_lines": self._metrics.lines,
            "tasks_lines": self._tasks.lines,
            "data_shards": dict(self._data.counts),
            "pending_gradient": self._tasks.pending,
            "wall_seconds": self._wall_seconds(),
        }
        saved = checkpoints.Checkpoint(self._next_checkpoint, self._task, state, position)
        checkpoints.save(self._folder.checkpoints, saved)
        self._next_checkpoint += 1
        checkpoints.prune(self._folder.checkpoints)

    def close(self) -> None:
        """Closes every file and ends the display; the folder can be resumed."""
        self._progress.stop()
        self._tasks.close()
        self._metrics.close()
        self._events.close()
        self._lock.close()

    def _wall_seconds(self) -> float:
        return self._wall_before + time.perf_counter() - self._began


_NOTHING: Mapping[str, Any] = {
    "metrics_lines": 0,
    "tasks_lines": 0,
    "data_shards": {},
    "pending_gradient": {},
    "wall_seconds": 0.0,
}


def is_complete(folder: RunFolder) -> bool:
    """Whether the run came to its end: its last record is "end".

    Raises:
        SettingError: the metrics cannot be read.
    """
    try:
        lines = read_metrics(folder.metrics)
    except (OSError, ValueError) as error:
        raise SettingError("resume", f"expected an undamaged run folder: {error}") from error
    return bool(lines) and lines[-1]["event"] == "end"
