"""Too much asked for, of memory, threads, disk: one line, and the next attempt is not refused."""

from __future__ import annotations

import errno
import pathlib
import subprocess
import sys
from typing import Any

import pytest

from admrl_native import cli
from admrl_native.algorithms.environments import Environments
from admrl_native.configuration import memory
from admrl_native.configuration.config import make_config
from admrl_native.settings import SettingError
from admrl_native.store import folder as folders
from admrl_native.store.job_log import JobLog
from toy import OPTIONS

WORDS = [
    word
    for name, value in OPTIONS.items()
    for word in (
        f"--{name.replace('_', '-')}",
        *map(str, value if isinstance(value, tuple) else (value,)),
    )
]


@pytest.mark.parametrize(
    ("method", "option", "value"),
    [
        ("admrl", "n_trpo", 2 * 10**9),
        ("admrl", "n_collect", 2 * 10**9),
        ("admrl", "n_validation", 2 * 10**9),
        ("admrl", "gradient_virtual_samples", 2 * 10**9),
        ("admrl", "gradient_real_samples", 10**9),
        ("admrl", "evaluation_episodes", 10**8),
        ("admrl", "dynamics_hidden", (10**6, 10**6)),
        ("mb-unif", "policy_hidden", (10**6, 10**6)),
        ("mt-joint", "mt_rollouts", 10**8),
        ("maml", "maml_rollouts", 10**8),
        ("maml", "maml_hidden", (10**6, 10**6)),
        ("pearl", "pearl_prior_samples", 10**9),
        ("pearl", "sac_hidden", (10**6, 10**6)),
        ("pearl", "pearl_batch_size", 10**9),
    ],
)
def test_memory_is_refused_before_any_work(
    method: str,
    option: str,
    value: Any,
    tmp_path: pathlib.Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "memory", lambda: 64 * 10**9)
    flag = f"--{option.replace('_', '-')}"
    values = [str(v) for v in (value if isinstance(value, tuple) else (value,))]
    out = tmp_path / "run"
    status = cli.main(["train", "--method", method, "--out", str(out), flag, *values])
    error = capsys.readouterr().err
    assert (status, error.count("\n")) == (2, 1), error
    assert f"{flag}: expected what fits into the 64.0 GB of memory" in error
    assert not out.exists()


def test_every_preset_fits_into_eight_gigabytes() -> None:
    for method in ("admrl", "mb-unif", "mt-joint", "maml", "pearl"):
        for family in ("Hopper2D", "Cheetah-Highdim"):
            config = make_config(family, method=method, preset_name="paper")
            assert sum(memory.estimate(config).values()) < 8e9, (method, family)


# The kernel's own figure: that of getrusage begins with the size of the process that forked this.
STATUS = pathlib.Path("/proc/self/status")
PEAK = f"""
import sys
from admrl_native import cli
assert cli.main(sys.argv[1:]) == 0
print("peak", open("{STATUS}").read().split("VmHWM:")[1].split()[0])
"""


@pytest.mark.skipif(not STATUS.exists(), reason="asks Linux for the process's memory")
def test_the_estimate_is_what_a_training_takes(tmp_path: pathlib.Path) -> None:
    options = {**OPTIONS, "n_tasks": 1, "n_slbo_first": 1, "policy_hidden": (64, 64)}
    peaks, estimates = [], []
    for n in (6000, 240_000):
        options["n_trpo"] = n
        words = [
            word
            for name, value in options.items()
            if name != "n_policy"
            for word in (
                f"--{name.replace('_', '-')}",
                *map(str, value if isinstance(value, tuple) else (value,)),
            )
        ]
        out = ["train", "--threads", "1", "--n-policy", "1", "--out", str(tmp_path / str(n))]
        done = subprocess.run(
            [sys.executable, "-c", PEAK, *out, *words], capture_output=True, text=True, check=True
        )
        peaks.append(1024 * int(done.stdout.split("peak ")[1]))
        config = make_config(overrides=options)
        estimates.append(sum(memory.estimate(config).values()))
    taken, estimated = peaks[1] - peaks[0], estimates[1] - estimates[0]
    # An estimate: half and twice are as good for what it decides.
    assert 0.5 * taken < estimated < 2 * taken, (taken, estimated)


def test_too_many_threads_are_refused(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["train", "--threads", "4096", "--out", str(tmp_path / "run")]) == 2
    assert capsys.readouterr().err == (
        "admrl train: error: --threads: expected at most 1024, got 4096\n"
    )


@pytest.mark.parametrize(
    "failure",
    [
        MemoryError(),
        OSError(errno.ENOSPC, "No space left on device", "data/part"),
        OSError(errno.EROFS, "Read-only file system", "metrics.jsonl"),
        RuntimeError("can't start new thread"),
        RuntimeError("Resource temporarily unavailable"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"),
    ],
    ids=str,
)
def test_where_the_work_cannot_begin_nothing_stays(
    failure: Exception,
    tmp_path: pathlib.Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "run"
    words = ["train", "--threads", "1", "--out", str(out), *WORDS]

    def fail(*_: object, **__: object) -> None:
        raise failure

    with monkeypatch.context() as patch:
        patch.setattr(Environments, "real_trajectories", fail)
        status = cli.main(words)
    error = capsys.readouterr().err
    assert status in (1, 2)
    assert error.count("\n") == 1, error
    assert "--resume" not in error
    assert not out.exists()
    if isinstance(failure, MemoryError):  # of all of them the same
        assert cli.main(words) == 0


def test_what_is_learned_stays(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, calls = tmp_path / "run", []

    def fail(self: Environments, *given: Any, **more: Any) -> Any:
        calls.append(1)
        if len(calls) == 5:
            raise MemoryError
        return real(self, *given, **more)

    real = Environments.collect
    with monkeypatch.context() as patch:
        patch.setattr(Environments, "collect", fail)
        assert cli.main(["train", "--threads", "1", "--out", str(out), *WORDS]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f"go on with: admrl train --resume {out}" in error
    assert cli.main(["train", "--resume", str(out)]) == 0


def test_a_log_without_a_finished_job_takes_other_options(tmp_path: pathlib.Path) -> None:
    def log(episodes: int) -> JobLog:
        header = {"what": "check", "run": {"run": "a"}, "options": {"episodes": episodes}}
        return JobLog(tmp_path / "jobs.jsonl", header)

    log(3).close()
    again = log(4)
    again.append({"job": 0})
    again.close()
    with pytest.raises(SettingError, match=r"episodes: expected 4 as in .*, got 5"):
        log(5)
    with_one = log(4)
    with_one.close()
    assert with_one.finished == [{"job": 0}]


def test_a_run_interrupted_before_it_began_is_made_anew(tmp_path: pathlib.Path) -> None:
    folder = folders.create(tmp_path / "run", make_config(overrides=OPTIONS))
    other = make_config(overrides={**OPTIONS, "n_tasks": 2})
    assert folders.open_folder(folders.create(folder.path, other).path)[1].training == (
        other.training
    )
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.yaml").write_text("somebody's")
    with pytest.raises(SettingError, match="which has files in it"):
        folders.create(tmp_path / "mine", other)
