"""The command line, with the fake learner: what it does, prints and returns."""

from __future__ import annotations

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
from types import ModuleType
from typing import Any

import pytest
import yaml

import admrl_native as admrl
from admrl_native import cli
from admrl_native.algorithms.methods import METHODS
from admrl_native.configuration.config import make_config
from admrl_native.configuration.options import options

_FLAGS = "--n-tasks 3 --n-zeroshot 2 --n-slbo 2 --n-slbo-first 2 --n-inner 2"
_TINY = _FLAGS.split()


def _train(*arguments: object) -> int:
    return cli.main(["train", *map(str, arguments)])


def test_a_run_from_the_command_line(
    fake: ModuleType, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert _train(*_TINY, "--family", "Ant2D", "--first-psi", -1, 2.5, "--out", out) == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert captured.err == ""
    assert lines[0].startswith(f"training in {out}")
    assert lines[1] == "virtual training: fake, fp32, nowhere"
    assert lines[2] == "task 1/3  psi (-1, 2.5)  random policy: return 10.0"
    assert "Mean return by task: admrl on Ant2D, quick, seed 0" in lines
    assert lines[-1] == f"results in {out}, picture in {out / 'summary.png'}"
    assert sorted(p.name.split(".")[0] for p in out.iterdir() if p.name[0] != ".") == [
        "checkpoints", "config", "data", "events", "metrics", "robot", "summary", "tasks",
    ]  # fmt: skip


def test_a_complete_run_is_not_trained_again(
    fake: ModuleType, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _train(*_TINY, "--out", tmp_path / "run") == 0
    metrics = (tmp_path / "run/metrics.jsonl").read_bytes()
    capsys.readouterr()
    assert _train("--resume", tmp_path / "run") == 0
    assert "is complete; nothing is left to train" in capsys.readouterr().out
    assert (tmp_path / "run/metrics.jsonl").read_bytes() == metrics


def test_without_out_every_run_gets_a_folder_of_its_own(
    fake: ModuleType, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert _train(*_TINY, "--method", "mb-unif", "--seed", 7) == 0
    assert sorted(p.name for p in (tmp_path / "runs").iterdir()) == [
        "hopper2d-mb-unif-quick-seed7",
        "hopper2d-mb-unif-quick-seed7-2",
    ]


def test_interrupted_and_resumed(
    fake: ModuleType, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    fake.INTERRUPTION.at_call = 50
    assert _train(*_TINY, "--out", out) == 130
    error = capsys.readouterr().err
    assert error == f"interrupted; go on with: admrl train --resume {out}\n"
    fake.INTERRUPTION.at_call = None
    assert _train("--resume", out, "--threads", 1, "--family", "Hopper2D", "--n-tasks", 3) == 0
    lines = (out / "metrics.jsonl").read_text().splitlines()
    events = [json.loads(line)["event"] for line in lines]
    assert events.count("task") == 3
    assert events[-1] == "end"


def test_every_value_can_be_overridden(fake: ModuleType, tmp_path: pathlib.Path) -> None:
    given: dict[str, Any] = {}
    arguments: list[object] = []
    defaults = make_config(preset_name="small").training
    for option in options().values():
        if not METHODS["admrl"].reads(option.group, option.field):
            continue
        value = option.of(defaults)
        if option.item is bool:
            value = not value
            arguments.append(("--" if value else "--no-") + option.name.replace("_", "-"))
        else:
            if option.many:
                value = (*value, 3)
            elif option.choices:
                value = option.choices[-1]
            elif option.item is int:
                value *= 2
            elif option.words:
                value = 0.25  # a number where the preset has a word
            else:
                value = (value + 1) / 2  # within every range
            shown = value if option.many else [value]
            arguments += ["--" + option.name.replace("_", "-"), *shown]
        given[option.name] = value
    # small, and with whole episodes for the trajectory estimator
    tiny = {"n_tasks": 1, "n_slbo_first": 1, "n_inner": 1, "horizon": 100}
    for name, value in tiny.items():
        given[name] = value
        arguments += ["--" + name.replace("_", "-"), value]
    # The last of two equal options wins.
    assert _train("--preset", "small", *arguments, "--out", tmp_path / "run") == 0
    training = admrl.Run.load(tmp_path / "run").config.training
    assert {name: options()[name].of(training) for name in given} == given


def test_help_explains_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        _train("--help")
    assert stopped.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for option in options().values():
        assert re.search(rf"--{option.name.replace('_', '-')}[ ,]", text)
        assert " ".join(option.help.split()[:3]) in text
    assert "trust region: largest mean KL divergence (default: 0.01 nats)" in text
    assert "training tasks (quick 5, small 6, paper 10 to 20 by family)" in text
    assert "causal, per-step, trajectory (quick causal, small causal, paper per-step)" in text
    assert "(quick auto, small auto, paper 0.1)" in text


def test_admrl_lists_its_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    assert "train" in capsys.readouterr().out
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"admrl {admrl.__version__}\n"
    assert cli.main([]) == 2
    assert cli.main(["fly"]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    expected = "train, evaluate, sweep, check-gradient, report"
    assert error == f"admrl: error: expected a command ({expected}), got 'fly'"


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_command_and_leaves_a_run(
    fake_command: list[str], tmp_path: pathlib.Path, number: signal.Signals, status: int
) -> None:
    out = tmp_path / "run"
    slow = {**os.environ, "FAKE_SECONDS": "0.05"}
    process = subprocess.Popen(
        # As from a script's background job, which has SIGINT ignored.
        [
            "sh",
            "-c",
            "trap '' INT; exec \"$@\"",
            "sh",
            *fake_command,
            "--n-inner",
            "1000",
            "--out",
            str(out),
        ],
        env=slow,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    metrics = out / "metrics.jsonl"
    deadline = time.monotonic() + 60
    while not (metrics.exists() and metrics.read_text().count("\n") >= 3):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(number)
    began = time.monotonic()
    output, error = process.communicate(timeout=60)
    # Two seconds is what is promised; a machine that is busy with other things takes longer.
    assert time.monotonic() - began < 2 * max(1.0, os.getloadavg()[0])
    assert process.returncode == status
    assert error == f"interrupted; go on with: admrl train --resume {out}\n"
    assert "task 1/3" in output
    assert (
        yaml.safe_load((out / "config.yaml").read_text())["settings"]["schedule"]["n_inner"] == 1000
    )


def test_the_module_is_the_command(tmp_path: pathlib.Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "admrl_native.train", "--threads", "-1"],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "admrl train: error: --threads: expected at least 1, got -1\n"
    assert list(tmp_path.iterdir()) == []


def test_text_that_no_file_can_have_as_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert _train("--out", "\ud800") == 2
    assert capsys.readouterr().err == (
        "admrl train: error: expected text that the file system takes, got '\\ud800'\n"
    )
