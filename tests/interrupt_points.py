"""Interrupts commands at random moments, as often as is asked for, and lets them go on.

    python tests/interrupt_points.py --interrupts 500 --seed 0

One warm process forks a child for every attempt, which runs the command line; one attempt in ten
is a process of its own, so that imports are met too. At a random moment it gets SIGINT or SIGTERM,
half of the times together with its workers, as from a terminal. It must end with 130 or 143 and one
line, soon; the same command (or the one that the line names) then goes on, is perhaps interrupted
again, and must end in what a run leaves that nobody interrupted, wall times aside.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from functools import partial
from typing import Any

import numpy as np

from admrl_native import cli
from kill_points import content, differing, repeated, warm_up
from model_free import tiny_options
from toy import OPTIONS

SOON = 2.0  # seconds: the promise
_RESULTS = (".json", ".jsonl", ".csv", ".safetensors", ".html")


def flags(options: dict[str, Any]) -> list[str]:
    words = []
    for name, value in options.items():
        values = value if isinstance(value, tuple) else (value,)
        words += ["--" + name.replace("_", "-"), *map(str, values)]
    return words


_TRAIN = ["train", "--out", "run", "--threads", "1"]
_READY = [*_TRAIN, *flags(OPTIONS | {"n_tasks": 2, "n_adapt": 40})]
_ORACLE = ["--oracle-samples", "800", "--oracle-batch", "400", "--oracle-episodes", "5"]
_EVALUATE = ["evaluate", "run", "--episodes", "2", "--real-samples", "0", "40", *_ORACLE]
_TASKS = "-0.5,1.3\n0.5,1.5\n1.5,1.9\n"
_EVALUATE += ["--tasks", "../tasks.csv", "--threads", "1"]
_CHECK = ["check-gradient", "run", "--repeats", "2", "--episodes", "2"]
_SWEEP = ["sweep", "--out", "sweep", "--seeds", "0", "1", "--methods", "admrl", "mt-joint",
          "--workers", "1"]  # fmt: skip

# What is done before, and what is interrupted.
COMMANDS: dict[str, tuple[list[str] | None, list[str]]] = {
    "train admrl": (None, _READY),
    "train pearl": (None, [*_TRAIN, "--method", "pearl", *flags(tiny_options("pearl"))]),
    "train maml": (None, [*_TRAIN, "--method", "maml", *flags(tiny_options("maml"))]),
    "evaluate": (_READY, [*_EVALUATE, "--workers", "1"]),
    "evaluate, two workers": (_READY, [*_EVALUATE, "--workers", "2"]),
    "check-gradient": (_READY, [*_CHECK, "--workers", "1"]),
    "sweep": (None, [*_SWEEP, *flags(OPTIONS | tiny_options("mt-joint"))]),
    "report": (_READY, ["report", "run", "--out", "page"]),
}


class Child:
    """A command line in a process group of its own."""

    def __init__(self, words: list[str], place: pathlib.Path, *, cold: bool) -> None:
        self._error = open(place / ".stderr", "w+")  # noqa: SIM115  (as long as the child)
        if cold:
            self._process: subprocess.Popen[bytes] | None = subprocess.Popen(
                [sys.executable, "-m", "admrl_native.cli", *words], cwd=place,
                stdout=subprocess.DEVNULL, stderr=self._error, process_group=0,
            )  # fmt: skip
            self.pid = self._process.pid
            return
        self._process = None
        self.pid = os.fork()
        if self.pid == 0:
            os.setpgid(0, 0)
            os.chdir(place)
            with open(os.devnull, "w") as nowhere:
                os.dup2(nowhere.fileno(), 1)
            os.dup2(self._error.fileno(), 2)
            status = 99
            try:
                status = cli.main(words)
                sys.stderr.flush()
            finally:
                os._exit(status)

    def wait(self, seconds: float) -> int | None:
        """The exit status; None: it has not ended."""
        until = time.monotonic() + seconds
        while True:
            if self._process is not None:
                status = self._process.poll()
            else:
                pid, code = os.waitpid(self.pid, os.WNOHANG)
                status = os.waitstatus_to_exitcode(code) if pid else None
            if status is not None or time.monotonic() > until:
                return status
            time.sleep(0.002)

    def send(self, number: int, *, group: bool) -> None:
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if group else os.kill)(self.pid, number)

    def error(self) -> str:
        self._error.seek(0)
        text = self._error.read()
        self._error.close()
        return text


class Scenario:
    """A command, what it leaves undisturbed, and how long that takes."""

    def __init__(self, name: str, work: pathlib.Path) -> None:
        self.name, self._work = name, work
        prepare, self._words = COMMANDS[name]
        work.mkdir(parents=True)
        (work / "tasks.csv").write_text(_TASKS)
        self._ready = work / "ready"
        self._ready.mkdir()
        if prepare is not None:
            self._complete(prepare, self._ready)
        began, place = time.monotonic(), self._fresh()
        self._complete(self._words, place)
        self.seconds = time.monotonic() - began
        self.expected = self._content(place)
        self.times: list[float] = []

    def _complete(self, words: list[str], place: pathlib.Path) -> None:
        child = Child(words, place, cold=False)
        status, error = child.wait(600), child.error()
        if status != 0:
            raise RuntimeError(f"{words}: {status}: {error}")

    def _content(self, place: pathlib.Path) -> dict[str, bytes]:
        found = content(place)
        return {name: raw for name, raw in found.items() if name.endswith(_RESULTS)}

    def _fresh(self) -> pathlib.Path:
        place = self._work / "place"
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(self._ready, place)
        return place

    def interrupted(self, rng: np.random.Generator) -> tuple[int, str | None]:
        """Interrupts it once or several times: how often, and what is wrong, if anything."""
        place, number, log, words = self._fresh(), 0, [], self._words
        while True:
            more = number == 0 or (number < 4 and rng.random() < 0.4)
            cold = more and bool(rng.random() < 0.1)
            child = Child(words, place, cold=cold)
            early = None
            if more:
                moment = rng.uniform(0.02, self.seconds + (4 if cold else 0))
                early = child.wait(moment)
            if early is None and more:
                which = signal.SIGINT if rng.random() < 0.7 else signal.SIGTERM
                group, sent = bool(rng.random() < 0.5), time.monotonic()
                child.send(which, group=group)
                status = child.wait(30)
                took = time.monotonic() - sent
                log.append(f"{which.name}{' group' if group else ''}{' cold' if cold else ''} "
                           f"at {moment:.3f} s, {took:.2f} s")  # fmt: skip
            else:
                status, which = (early if more else child.wait(600)), None
            error = child.error()
            if status is None:
                os.killpg(child.pid, signal.SIGKILL)
                return number, f"{self.name}, {log}: a hang: {error}"
            if which is not None and status in (130, 143):
                number += 1
                self.times.append(took)
                if error.count("\n") != 1 or not error.startswith("interrupted"):
                    return number, f"{self.name}, {log}: {error}"
                if took > SOON:
                    return number, f"{self.name}, {log}: too late"
                if "go on with: " in error:
                    words = shlex.split(error.split("go on with: ")[1])[1:]
                continue
            if which is not None and cold and status == -which:
                continue  # the command had not begun
            if status != 0:
                # What had been made before anything was learned, or a report begun, is made anew.
                return number, f"{self.name}, {log}: status {status}: {error}"
            break
        others = differing(self._content(place), self.expected)
        return number, f"{self.name}, {log}: other {others}" if others else None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--interrupts", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", default=list(COMMANDS))
    arguments = parser.parse_args()
    warm_up()
    began, failures, total = time.monotonic(), 0, 0
    with tempfile.TemporaryDirectory() as work:
        for i, name in enumerate(arguments.only):
            scenario = Scenario(name, pathlib.Path(work) / str(i))
            rng = np.random.default_rng([arguments.seed, i])
            share = arguments.interrupts / len(arguments.only)
            number, runs, wrong = repeated(partial(scenario.interrupted, rng), share)
            times = np.sort(scenario.times) if scenario.times else np.zeros(1)
            print(f"{name}: " + json.dumps({
                "seconds": round(scenario.seconds, 2), "runs": runs, "interrupts": number,
                "wrong": wrong, "median": round(float(np.median(times)), 3),
                "99 %": round(float(np.quantile(times, 0.99)), 3),
                "longest": round(float(times[-1]), 3),
            }), flush=True)  # fmt: skip
            total, failures = total + number, failures + wrong
    print(f"{total} interrupts, {failures} wrong, {time.monotonic() - began:.0f} s")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
