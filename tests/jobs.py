"""Jobs for the tests of executors, importable in their workers."""

from __future__ import annotations

import os
import pathlib
import time
from collections.abc import Callable

from admrl_native._native import _core
from admrl_native.settings import SettingError


def make_squares(folder: pathlib.Path) -> Callable[[str, Callable[..., None]], int]:
    """What does a job such as "7": the square of a number, reporting each of so many steps.

    A word behind the number says what happens after the steps: "raise"; "refuse", with an error of
    a setting; "die", the process ends;
    "die-once", the first time; "wait", until there is a file "go" in the folder. Every attempt at a
    job is a line of the file "attempts".
    """

    def work(job: str, after_step: Callable[..., None]) -> int:
        number, *words = job.split()
        with open(folder / "attempts", "a") as file:
            file.write(f"{job}\n")
        for step in range(int(number)):
            after_step(job, step)
        if "raise" in words:
            raise ArithmeticError(f"{number} is a bad number")
        if "refuse" in words:
            raise SettingError("number", f"expected another, got {number}")
        once = folder / f"{number}-died"
        if "die" in words or ("die-once" in words and not once.exists()):
            once.touch()
            time.sleep(0.5)  # Ray sends steps in the background
            os._exit(3)
        while "wait" in words and not (folder / "go").exists():
            time.sleep(0.05)
        return int(number) ** 2

    return work


def make_nothing() -> Callable[[str, Callable[..., None]], int]:
    """Fails to make what does a job."""
    raise ArithmeticError("nothing can be made")


FAILURES: dict[str, Callable[[], Exception]] = {
    "solver": lambda: _core.SolverError("hvp: expected finite values, got nan"),
    "simulation": lambda: _core.SimulationError("environment 3: MuJoCo: stack overflow"),
    "not finite": lambda: _core.NotFiniteError("a policy gradient that is not finite"),
    "memory": MemoryError,
    "disk": lambda: OSError(28, "No space left on device", "part"),
    "setting": lambda: SettingError("", "expected another robot"),
}


def make_failures() -> Callable[[str, Callable[..., None]], None]:
    """Fails as the job says."""

    def work(job: str, after_step: Callable[..., None]) -> None:
        raise FAILURES[job]()

    return work


class Log:
    """Keeps what an executor calls back with."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, int]] = []
        self.results: dict[str, int] = {}
        self.failures: dict[str, str] = {}

    def step(self, job: str, step: int) -> None:
        self.steps.append((job, step))

    def result(self, job: str, result: int, seconds: float) -> None:
        assert seconds >= 0
        assert job not in self.results
        self.results[job] = result

    def failure(self, job: str, text: str) -> None:
        assert job not in self.failures
        self.failures[job] = text


def attempts(folder: pathlib.Path, job: str) -> int:
    """How often workers began with a job."""
    return (folder / "attempts").read_text().splitlines().count(job)
