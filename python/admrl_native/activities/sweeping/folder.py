"""The folder of a sweep: what is done of each run in it, and who works there."""

from __future__ import annotations

import contextlib
import json
import pathlib
import time
from collections.abc import Iterator, Mapping
from typing import Any

from ...configuration.config import Config
from ...configuration.options import options
from ...families.world import World
from ...settings import SettingError
from ...store.files import lock_file, write_atomically
from ...store.folder import RunFolder, create, is_complete, never_begun, open_folder

# Longer than it takes until a machine that is lost also loses its locks on a shared file system.
_LOCK_SECONDS = 300.0


def is_trained(path: pathlib.Path, config: Config) -> bool:
    """Whether a run came to its end; False too if it was never begun.

    Args:
        path: the run's folder, which need not exist.
        config: what the run must have; but for threads and device.

    Raises:
        SettingError: the folder is of something else, or of a run with other settings.
    """
    if never_begun(path):
        return False
    folder, stored = open_folder(path, name="out")
    _check_same(path, stored, config)
    return is_complete(folder)


def begin(path: pathlib.Path, config: Config) -> RunFolder:
    """The folder of a run that is not finished; made, if there is none."""
    if not never_begun(path):
        return RunFolder(path)
    return create(path, config)


@contextlib.contextmanager
def locked(out: pathlib.Path, about: Mapping[str, Any]) -> Iterator[None]:
    """Makes the folder of a sweep, with its sweep.json, and keeps other sweeps from it.

    Raises:
        SettingError: it cannot be written, or another sweep is at work there.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = open(out / ".lock", "wb")  # noqa: SIM115  (open as long as the sweep)
    except OSError as error:
        raise SettingError("out", f"expected a folder to write in: {error}") from error
    with lock:
        if not lock_file(lock):
            problem = f"expected a folder without a sweep at work, got {out}, which is in use"
            raise SettingError("out", problem)
        write_atomically(out / "sweep.json", (json.dumps(about, indent=1) + "\n").encode())
        yield


@contextlib.contextmanager
def alone(out: pathlib.Path, name: str, seconds: float = _LOCK_SECONDS) -> Iterator[None]:
    """Waits until no other worker is at this run: one that was given up may not know it yet.

    Args:
        out: the sweep's folder.
        name: of the run.
        seconds: how long at most.

    Raises:
        TimeoutError: somebody else still is.
    """
    with open(out / f".{name}.lock", "wb") as lock:
        deadline = time.monotonic() + seconds
        while not lock_file(lock):
            if time.monotonic() > deadline:
                raise TimeoutError(f"expected to work alone on {name}; another process does, too")
            time.sleep(0.2)
        yield


def error_file(out: pathlib.Path, name: str) -> pathlib.Path:
    """Where it is said why a run failed."""
    return out / f"{name}.error.txt"


def _check_same(path: pathlib.Path, stored: Config, config: Config) -> None:
    values = {
        name: (getattr(stored, name), getattr(config, name))
        for name in ("preset", "method", "seed", "first_psi")
    }
    for option in options().values():
        values[option.name] = option.of(stored.training), option.of(config.training)
    for name, (theirs, ours) in values.items():
        if theirs != ours:
            problem = f"expected {theirs} as in {path}, got {ours}; choose another --out"
            raise SettingError(name, problem)
    worlds = (World.of(c.family, c.training.physics) for c in (stored, config))
    if difference := next(worlds).difference(next(worlds)):
        problem = f"expected {config.family.name} as in {path}, but they differ: {difference}"
        raise SettingError("out", f"{problem}; choose another --out")
