"""Writes what an algorithm reports to the run folder, and shows it: the `Observer` of a run."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...algorithms.observer import Observer
from ...configuration.config import Config
from ...errors import NumericalError
from ...settings import SettingError
from ...show.progress import Progress
from ...store import checkpoint as checkpoints
from ...store.data import DataShards
from ...store.events import TensorBoardEvents
from ...store.files import reading
from ...store.folder import RunFolder, lock
from ...store.metrics import MetricsLog, read_records, truncate
from ...store.tasks_table import TasksTable

if TYPE_CHECKING:
    import torch


class Recorder(Observer):
    """The `Observer` that keeps a run in its folder, and shows it.

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
        with contextlib.ExitStack() as failed:
            failed.callback(self._lock.close)
            with reading(folder.path, "an undamaged run folder"):
                past, pending = self._go_back(folder, config)
            self._identity = _identity(config)
            self._began = time.perf_counter()
            self._progress = progress
            self._tasks = TasksTable(folder.tasks, config.family.task_dim, pending)
            failed.callback(self._tasks.close)
            self._metrics = MetricsLog(folder.metrics)
            failed.callback(self._metrics.close)
            self._events = TensorBoardEvents(folder.path, time.time() - self._wall_before)
            failed.callback(self._events.close)
            with reading(folder.metrics, "the records of this run"):
                began = [line for line in past if line["event"] == "compute"]
                self._compute = (
                    {k: began[-1][k] for k in ("path", "precision", "where")} if began else None
                )
                for line in past:
                    self._events.append(line)
                self._progress.start(past)
            failed.pop_all()

    def _go_back(
        self, folder: RunFolder, config: Config
    ) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """To the newest checkpoint; the records up to it, and the gradient that waits for its task.

        What cannot be gone on with is refused before anything is cut off.
        """
        self.resumed_from = newest = checkpoints.load_newest(folder.checkpoints)
        if newest is None:
            _check_nothing_is_lost(folder)
        else:
            check_unedited(folder, newest, config)
        before = newest.recorder if newest else _NOTHING
        self._next_checkpoint = newest.number + 1 if newest else 0
        self._task = newest.task if newest else 0
        self._wall_before = float(before["wall_seconds"])
        past = read_records(folder.metrics, before["metrics_lines"])
        self._data.truncate(before["data_shards"], before["data_digests"])
        truncate(folder.metrics, before["metrics_lines"])
        truncate(folder.tasks, before["tasks_lines"])
        checkpoints.remove_after(folder.checkpoints, self._next_checkpoint - 1)
        checkpoints.prune(folder.checkpoints)  # what a crash kept from it
        return past, dict(before["pending_gradient"])

    def stored_data(self) -> dict[str, dict[str, torch.Tensor]]:
        """The transitions stored so far, by purpose, in order.

        Raises:
            SettingError: they are damaged.
        """
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
        import torch

        for kind in ("networks", "optimisers"):
            for name, tensors in state[kind].items():
                if not all(torch.isfinite(t).all() for t in tensors.values()):
                    raise NumericalError(
                        f"training in {self._folder.path} cannot go on: {name} ({kind}) is not "
                        "finite; the checkpoint before is kept: see learning rates, step sizes and "
                        "the scale of the rewards"
                    )
        # A checkpoint counts lines: they must be there whenever it is.
        self._metrics.sync()
        self._tasks.sync()
        position = {
            "metrics_lines": self._metrics.lines,
            "tasks_lines": self._tasks.lines,
            "data_shards": dict(self._data.counts),
            "data_digests": dict(self._data.digests),
            "config": self._identity,
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
    "data_digests": {},
    "config": None,
    "pending_gradient": {},
    "wall_seconds": 0.0,
}


# Whoever writes one of these saves a checkpoint next.
_CLOSED_BY_A_CHECKPOINT = {"zero-shot", "slbo-stage", "iteration"}


def _check_nothing_is_lost(folder: RunFolder) -> None:
    """Whether a folder without a checkpoint is one that never had any: it begins anew then.

    Raises:
        SettingError: it had one; what it has learned is not to be thrown away unasked.
    """
    lines = read_records(folder.metrics)
    had = any(line["event"] in _CLOSED_BY_A_CHECKPOINT for line in lines[:-1])
    if had or not folder.checkpoints.is_dir():
        raise SettingError(
            "resume",
            f"expected the run's checkpoints in {folder.checkpoints}, found none; bring them back, "
            "or remove the folder of the run to begin anew",
        )


def _identity(config: Config) -> dict[str, Any]:
    """What must not change under a run, as JSON reads it back."""
    values = {k: v for k, v in config.to_dict().items() if k not in ("threads", "device")}
    values["family_definition"] = config.family.declaration()
    return dict(json.loads(json.dumps(values)))


def check_unedited(
    folder: RunFolder, checkpoint: checkpoints.Checkpoint, config: Config, name: str = "resume"
) -> None:
    """Whether the configuration is the one that a checkpoint was saved with.

    Args:
        folder: of the run.
        checkpoint: of the run.
        config: as config.yaml has it now.
        name: what the caller calls the folder, for the message of the error.

    Raises:
        SettingError: it was edited.
    """
    with reading(folder.checkpoints, "a checkpoint of this run"):
        if before := checkpoint.recorder["config"]:
            _check_config(folder, before, _identity(config), name)


def _check_config(
    folder: RunFolder, before: Mapping[str, Any], now: Mapping[str, Any], called: str
) -> None:
    for name in sorted(before.keys() | now):
        ours, theirs = now.get(name), before.get(name)
        if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
            _check_config(folder, theirs, ours, called)
        elif ours != theirs:
            raise SettingError(
                called,
                f"expected {name}: {theirs} in {folder.config}, as the run was begun with, got "
                f"{ours}; it was edited",
            )
