"""Kills a run at its file operations, as often as is asked for, and lets it go on.

    python tests/kill_points.py --kills 500 --seed 0

One warm process forks a child for every attempt. An audit hook counts the operations on files below
the run's folder (opening to write, renaming, making and removing, cutting; and fsync); before the
k-th, the child kills itself with SIGKILL: what Python has not handed to the system is lost. In half
of the attempts the system loses power, too: what was written and not fsynced is cut off. (Renames
are taken to be on the disk once they are done; a file system may lose later ones of them together
with their folder's entry, which is not simulated.) The same command then goes on, and is perhaps
killed again, until it ends. What it leaves must be what a run leaves that nobody killed: the same
files with the same bytes, wall times aside.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import pathlib
import pkgutil
import re
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

import admrl_native as admrl
from admrl_native.activities.sweeping import folder as sweep_folder
from admrl_native.evaluation.settings import OracleSettings
from admrl_native.store import folder as folders
from model_free import tiny_options
from toy import OPTIONS

Command = Callable[[pathlib.Path], None]

_EVENTS = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "shutil.rmtree")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_TRUNC
_QUICK = {"threads": 1, "progress": False}
_ORACLE = OracleSettings(samples=800, batch=400, patience=9, window=1, episodes=5)
_PSIS = ((-0.5, 1.3), (0.5, 1.5), (1.5, 1.9))


def train(method: str) -> Command:
    """Trains in the folder "run", or goes on with it: what a person would type again."""
    options = OPTIONS | {"n_tasks": 2} if method == "admrl" else tiny_options(method)

    def command(place: pathlib.Path) -> None:
        if folders.never_begun(place / "run"):
            admrl.train(method=method, out=place / "run", **options, **_QUICK)
        else:
            admrl.resume(place / "run", **_QUICK)

    return command


def evaluate(place: pathlib.Path) -> None:
    """Evaluates the run that lies ready in the folder, with an oracle for each task."""
    admrl.evaluate_run(
        place / "run", "mine", psis=_PSIS, real_samples=(40,), episodes=2, oracle=_ORACLE,
        batch=2, threads=1, progress=False,
    )  # fmt: skip


def check(place: pathlib.Path) -> None:
    """Checks the task gradient of the run that lies ready."""
    admrl.check_task_gradient(place / "run", repeats=2, episodes=2, workers=1, progress=False)


def sweep(place: pathlib.Path) -> None:
    """The part of a sweep that its workers do: train a cell, or go on with it, and evaluate it."""
    from admrl_native.activities.sweeping import job as sweep_job
    from admrl_native.configuration.cells import Cell, Evaluation
    from admrl_native.configuration.config import make_config

    overrides = {**OPTIONS, "n_tasks": 2, "n_adapt": 40}
    config = make_config("Hopper2D", method="mb-unif", threads=1, overrides=overrides)
    cell = Cell("cell", config, {})
    about = {"what": "sweep"}
    evaluation = Evaluation(("ood",), (0,), 2, None)
    with sweep_folder.locked(place, about):
        sweep_job.make_worker(place, evaluation)(cell, lambda *_: None)


def prepared(place: pathlib.Path) -> None:
    """A finished run for those that only read it."""
    options = OPTIONS | {"n_tasks": 2, "n_adapt": 40}
    admrl.train(out=place / "run", **options, **_QUICK)


COMMANDS: dict[str, tuple[Command, Command | None]] = {
    "train admrl": (train("admrl"), None),
    "train pearl": (train("pearl"), None),
    "evaluate": (evaluate, prepared),
    "check": (check, prepared),
    "sweep": (sweep, None),
}


def warm_up() -> None:
    """Imports what the commands import when they need it, so that no child has to."""
    for name in ("torch", "matplotlib.figure", "matplotlib.backends.backend_agg"):
        importlib.import_module(name)
    for module in pkgutil.walk_packages(admrl.__path__, "admrl_native."):
        if not module.name.endswith(("ray_workers", "films", "camera", "__main__")):
            importlib.import_module(module.name)
    torch.set_num_threads(1)


class Bomb:
    """Counts the file operations below a folder; kills the process before one of them."""

    def __init__(self, place: pathlib.Path, when: int, power: bool) -> None:
        self._place, self._when, self._power = os.fspath(place), when, power
        self.count = 0
        self._synced: dict[str, int] = {}  # of the files written by this process
        self._fsync = os.fsync

    def arm(self) -> None:
        sys.addaudithook(self._hook)
        os.fsync = self._on_fsync

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if isinstance(flags, int) and flags & _WRITES and self._mine(path):
                self._tick()
                size = os.path.getsize(path) if os.path.exists(path) else 0
                self._synced[os.fspath(path)] = 0 if flags & os.O_TRUNC else size
        elif event in _EVENTS and self._mine(arguments[0]):
            self._tick()
            if event == "os.rename":
                source, target = map(os.fspath, arguments[:2])
                for name in [n for n in self._synced if n == source or n.startswith(source + "/")]:
                    self._synced[target + name[len(source) :]] = self._synced.pop(name)

    def _mine(self, path: Any) -> bool:
        return isinstance(path, (str, os.PathLike)) and os.fspath(path).startswith(self._place)

    def _on_fsync(self, descriptor: int) -> None:
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        if self._mine(path):
            self._tick()
        self._fsync(descriptor)
        if path in self._synced:
            self._synced[path] = os.fstat(descriptor).st_size

    def _tick(self) -> None:
        self.count += 1
        if self.count != self._when:
            return
        for path, size in self._synced.items() if self._power else ():
            if os.path.isfile(path) and os.path.getsize(path) > size:
                descriptor = os.open(path, os.O_WRONLY)
                os.ftruncate(descriptor, size)
        os.kill(os.getpid(), signal.SIGKILL)


def in_child(
    command: Command, place: pathlib.Path, when: int = 0, *, power: bool = False
) -> int | None:
    """Runs a command in a forked child; the operations it took, or None if it was killed.

    Raises:
        RuntimeError: it failed; its traceback.
    """
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        bomb = Bomb(place, when, power)
        try:
            bomb.arm()
            command(place)
            text = str(bomb.count)
        except BaseException:
            text = traceback.format_exc()
        bomb._when = 0
        os.write(write, text.encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        text = pipe.read().decode()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return None
    if not text.isdigit():
        raise RuntimeError(text)
    return int(text)


_TIMES = re.compile(rb'"(wall_seconds|seconds|batch)": ?[-0-9.e]+')
_LEFT_OUT = re.compile(r"events\.out|summary\.png|\.lock|^config\.yaml$|\.bias$")


def content(place: pathlib.Path) -> dict[str, bytes]:
    """Every file below a folder that holds results, by name; times are left out."""
    found = {}
    for path in sorted(place.rglob("*")):
        name = path.relative_to(place).as_posix()
        # What further adaptation goes on from: who shares a batch depends on what was done before.
        if path.is_file() and not _LEFT_OUT.search(path.name) and "/zero_shot/" not in name:
            raw = path.read_bytes()
            if path.suffix in (".json", ".jsonl"):
                raw = re.sub(rb'"seconds": \{[^}]*\}', b"", _TIMES.sub(b"", raw))
                raw = raw.replace(os.fsencode(place), b"PLACE")
            if path.name == "finished.jsonl" or path.suffix == ".jsonl":
                raw = b"\n".join(sorted(raw.splitlines()))
            found[name] = raw
    return found


def differing(found: dict[str, bytes], expected: dict[str, bytes]) -> list[str]:
    """The names of files that are not in both, or not the same."""
    return sorted(n for n in found.keys() | expected.keys() if found.get(n) != expected.get(n))


def repeated(attempt: Callable[[], tuple[int, str | None]], times: float) -> tuple[int, int, int]:
    """Attempts until there were so many blows: how many, in how many attempts, how many wrong."""
    blows = attempts = wrong = 0
    while blows < times:
        more, problem = attempt()
        blows, attempts = blows + more, attempts + 1
        if problem is not None:
            wrong += 1
            print(problem, file=sys.stderr, flush=True)
    return blows, attempts, wrong


class Scenario:
    """A command, what it leaves undisturbed, and how many operations that takes."""

    def __init__(self, name: str, work: pathlib.Path) -> None:
        self.name, self._work = name, work
        self._command, prepare = COMMANDS[name]
        self._ready = work / "ready"
        self._ready.mkdir(parents=True)
        if prepare is not None:
            in_child(prepare, self._ready)
        place = self._fresh()
        operations = in_child(self._command, place)
        assert operations is not None
        self.operations, self.expected = operations, content(place)

    def _fresh(self) -> pathlib.Path:
        place = self._work / "place"  # always the same: paths are part of some files
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(self._ready, place)
        return place

    def killed(self, rng: np.random.Generator) -> tuple[int, str | None]:
        """Kills it once or several times: how often, and what is wrong in the end, if anything."""
        place, kills, log = self._fresh(), 0, []
        while True:
            more = kills == 0 or (kills < 4 and rng.random() < 0.4)
            when = int(rng.integers(1, self.operations + 1)) if more else 0
            power = bool(rng.random() < 0.5)
            log.append(f"{when}{' power' if power else ''}")
            try:
                ended = in_child(self._command, place, when, power=power) is not None
            except RuntimeError as error:
                return kills, f"{self.name}, killed at {log}: {error}"
            if ended:
                break
            kills += 1
        others = differing(content(place), self.expected)
        return kills, f"{self.name}, killed at {log}: other {others}" if others else None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", default=list(COMMANDS))
    arguments = parser.parse_args()
    warm_up()
    began, report = time.monotonic(), {}
    with tempfile.TemporaryDirectory() as work:
        for i, name in enumerate(arguments.only):
            scenario = Scenario(name, pathlib.Path(work) / str(i))
            rng = np.random.default_rng([arguments.seed, i])
            share = arguments.kills / len(arguments.only)
            kills, runs, wrong = repeated(partial(scenario.killed, rng), share)
            report[name] = {"operations": scenario.operations, "runs": runs, "kills": kills,
                            "wrong": wrong}  # fmt: skip
            print(f"{name}: {json.dumps(report[name])}", flush=True)
    total = sum(r["kills"] for r in report.values())
    failures = sum(r["wrong"] for r in report.values())
    print(f"{total} kills, {failures} wrong, {time.monotonic() - began:.0f} s")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
