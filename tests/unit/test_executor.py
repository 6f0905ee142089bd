"""The local executor, and the choice of one."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest

from admrl_native.jobs.executor import make_executor
from admrl_native.settings import SettingError
from jobs import Log, attempts, make_nothing, make_squares


@pytest.mark.parametrize("workers", [1, 2])
def test_jobs_report_steps_and_results(tmp_path: pathlib.Path, workers: int) -> None:
    log = Log()
    with make_executor("local", make_squares, (tmp_path,), workers) as executor:
        executor.run(["3", "0", "5"], log.step, log.result)
        executor.run(["4"], log.step, log.result)
        executor.run([], log.step, log.result)
    assert log.results == {"3": 9, "0": 0, "5": 25, "4": 16}
    assert sorted(log.steps) == [(job, i) for job in ("3", "4", "5") for i in range(int(job))]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_failure_does_not_stop_the_others(tmp_path: pathlib.Path, workers: int) -> None:
    log = Log()
    jobs = ["1 raise", "2", "3 raise", "4", "5"]
    with make_executor("local", make_squares, (tmp_path,), workers) as executor:
        executor.run(jobs, log.step, log.result, log.failure)
    assert log.results == {"2": 4, "4": 16, "5": 25}
    assert sorted(log.failures) == ["1 raise", "3 raise"]
    assert log.failures["1 raise"].endswith("ArithmeticError: 1 is a bad number\n")
    assert attempts(tmp_path, "1 raise") == 1


def test_a_process_that_dies_is_replaced(tmp_path: pathlib.Path) -> None:
    log = Log()
    jobs = ["1 die", "2", "3 die", "4 die", "5"]
    with make_executor("local", make_squares, (tmp_path,), 2) as executor:
        executor.run(jobs, log.step, log.result, log.failure)
    assert log.results == {"2": 4, "5": 25}
    assert sorted(log.failures) == ["1 die", "3 die", "4 die"]
    assert "died with exit code 3" in log.failures["3 die"]


def test_without_interest_in_failures_the_first_one_ends_the_work(tmp_path: pathlib.Path) -> None:
    log = Log()
    with (
        make_executor("local", make_squares, (tmp_path,), 2) as executor,
        pytest.raises(RuntimeError, match=r"(?s)a worker failed:.*1 is a bad number"),
    ):
        executor.run(["1 raise", "2"], log.step, log.result)


@pytest.mark.parametrize("workers", [1, 2])
def test_what_a_job_refuses_is_an_error_of_the_caller(tmp_path: pathlib.Path, workers: int) -> None:
    """A SettingError of a worker is one here: a line, not a traceback."""
    log = Log()
    with (
        make_executor("local", make_squares, (tmp_path,), workers) as executor,
        pytest.raises(SettingError, match=r"^number: expected another, got 1$"),
    ):
        executor.run(["1 refuse"], log.step, log.result)
    with make_executor("local", make_squares, (tmp_path,), workers) as executor:
        executor.run(["1 refuse", "2"], log.step, log.result, log.failure)
    assert log.results["2"] == 4
    assert log.failures["1 refuse"].strip().endswith("expected another, got 1")


def test_a_worker_that_cannot_be_made_is_nobody_s_failure() -> None:
    log = Log()
    with (
        make_executor("local", make_nothing, (), 2) as executor,
        pytest.raises(RuntimeError, match="nothing can be made"),
    ):
        executor.run(["1"], log.step, log.result, log.failure)
    assert log.failures == {}


@pytest.mark.parametrize(
    ("kind", "workers", "address", "problem"),
    [
        ("cloud", 1, None, "executor: expected one of local, ray, got 'cloud'"),
        ("local", 0, None, "workers: expected at least 1, got 0"),
        ("local", 1, "auto", "ray_address: expected none without the executor ray"),
        ("ray", 1, None, "executor: expected local, because Ray is missing: pip install"),
    ],
)
def test_bad_choices(
    monkeypatch: pytest.MonkeyPatch, kind: str, workers: int, address: str | None, problem: str
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)  # as if it were not installed
    with pytest.raises(SettingError) as error:
        make_executor(kind, make_nothing, (), workers, address)
    assert str(error.value).startswith(problem)


def test_a_script_without_main_guard_is_named_as_the_cause(tmp_path: pathlib.Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from admrl_native.jobs.executor import make_executor\n"
        "from jobs import Log, make_squares\n"
        "import pathlib\n"
        "log = Log()\n"
        f"with make_executor('local', make_squares, (pathlib.Path({str(tmp_path)!r}),), 2) as e:\n"
        "    e.run(['1', '2'], log.step, log.result)\n"
    )
    tests = pathlib.Path(__file__).parent.parent
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tests), *sys.path])}
    for words, text in (([str(script)], None), (["-"], script.read_text())):
        done = subprocess.run(
            [sys.executable, *words], input=text, capture_output=True, text=True, timeout=120,
            env=environment,
        )  # fmt: skip
        last = done.stderr.strip().splitlines()[-1]
        assert done.returncode == 1
        assert last.startswith("RuntimeError: a worker process died with exit code 1 before it")
        assert "keep it in a file, and what it runs below if __name__ == '__main__'" in last
