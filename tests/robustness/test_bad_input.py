"""Bad input on the command line: exit status 2, one line that names what was expected, no work."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Callable

import pytest
import yaml

from admrl_native import cli
from admrl_native.configuration.config import make_config
from admrl_native.store import folder as folders

_RUN = "DIR/run"


def _error(arguments: str, directory: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on standard error; checks that there is nothing else."""
    words = [word.replace("DIR", str(directory)) for word in arguments.split()]
    before = _files(directory)
    assert cli.main(["train", *words]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("admrl train: error: ")
    assert captured.err.count("\n") == 1
    assert _files(directory) == before
    return captured.err.removeprefix("admrl train: error: ").rstrip().replace(str(directory), "DIR")


def _files(directory: pathlib.Path) -> dict[pathlib.Path, bytes | None]:
    return {p: p.read_bytes() if p.is_file() else None for p in directory.rglob("*")}


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (
            "--family Hopper",
            "--family: expected one of Hopper2D, Walker2D, Ant2D, Ant3D, Cheetah-Highdim, "
            "got 'Hopper'",
        ),
        ("--method sac", "--method: expected one of admrl, mb-unif, mb-gauss, mt-joint, ma"),
        ("--preset big", "--preset: expected one of quick, small, paper, got 'big'"),
        ("--device tpu", "--device: expected one of auto, cpu, cuda, got 'tpu'"),
        ("--first-psi 0 9", "--first-psi: expected height in [1.2, 2], got 9"),
        ("--first-psi nan 1.5", "--first-psi: expected forward velocity in [-2, 2], got nan"),
        (
            "--first-psi 0",
            "--first-psi: expected K=2 numbers (forward velocity, height), got 1",
        ),
        (
            "--family Ant3D --first-psi 0 0",
            "--first-psi: expected K=3 numbers (x velocity, y velocity, height), got 2",
        ),
        ("--first-psi x", "--first-psi: expected a number, got 'x'"),
        ("--num-envs 0", "--num-envs: expected at least 1, got 0"),
        ("--n-virtual-envs 0", "--n-virtual-envs: expected at least 1, got 0"),
        ("--threads 0", "--threads: expected at least 1, got 0"),
        ("--threads -2", "--threads: expected at least 1, got -2"),
        ("--threads two", "--threads: expected a whole number, got 'two'"),
        ("--seed -1", "--seed: expected at least 0, got -1"),
        ("--seed 9223372036854775808", "--seed: expected at most 9223372036854775807, got 92"),
        ("--n-tasks 1.5", "--n-tasks: expected a whole number, got '1.5'"),
        ("--max-kl inf", "--max-kl: expected a finite number, got inf"),
        ("--max-kl nan", "--max-kl: expected a finite number, got nan"),
        ("--gamma 1.01", "--gamma: expected at most 1, got 1.01"),
        (
            "--gradient-solver lu",
            "--gradient-solver: expected one of minres, cgnr, cg, dense, auto, got 'lu'",
        ),
        (
            "--gradient-damping strong",
            "--gradient-damping: expected a number, got 'strong'",
        ),
        (
            "--gradient-real-samples 250",
            "--gradient-real-samples: expected at least 2 environments of 200 steps for",
        ),
        (
            "--n-virtual-envs 1",
            "--n-virtual-envs: expected at least 2 for gradient_hessian causal and gradient_damp",
        ),
        (
            "--n-virtual-envs 2 --gradient-hessian trajectory",
            "--n-virtual-envs: expected at least 4 for gradient_hessian trajectory",
        ),
        (
            "--gradient-virtual-samples 1990 --gradient-hessian trajectory",
            "--gradient-virtual-samples: expected at least 200 for each of 10 n_virtual_envs",
        ),
        ("--dynamics-hidden 0", "--dynamics-hidden: expected at least 1, got 0"),
        ("--dynamics-hidden", "--dynamics-hidden: expected at least one argument"),
        (
            "--n-trpo 1001 --n-virtual-envs 10",
            "--n-trpo: expected a multiple of n_virtual_envs (10), got 1001",
        ),
        (
            "--n-collect 1001 --num-envs 10",
            "--n-collect: expected a multiple of num_envs (10), got 1001",
        ),
        (
            "--first-u 0.1 --first-psi 0 1.5",
            "--first-psi: expected no first_u beside it: both choose the first task",
        ),
        ("--n-task 3", "unrecognized arguments: --n-task 3"),
        ("fast", "unrecognized arguments: fast"),
        ("--out", "--out: expected one argument"),
    ],
)
def test_a_value_that_cannot_be(
    arguments: str, error: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = "" if arguments == "--out" else " --out DIR/new"
    assert _error(arguments + out, tmp_path, capsys).startswith(error)


def test_cuda_that_is_not_there(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert _error("--device cuda --out DIR/new", tmp_path, capsys) == (
        "--device: expected a CUDA device for cuda, found none; use cpu or auto"
    )


def test_an_output_folder_that_has_files(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("mine")
    assert _error("--out DIR/mine", tmp_path, capsys) == (
        "--out: expected a new or empty folder that can be written, "
        "got DIR/mine, which has files in it"
    )


def test_an_output_folder_that_cannot_be_written(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    for out in ("DIR/file", "DIR/file/run"):
        error = _error(f"--out {out}", tmp_path, capsys)
        assert error.startswith("--out: expected a new or empty folder that can be written, got ")
        assert error.split(", got ")[1].startswith(out)

    # The administrator may write anywhere: a folder without permission is played.
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(pathlib.Path, "mkdir", refuse)
    assert _error("--out DIR/run", tmp_path, capsys).endswith("got DIR/run: Permission denied")


def _edit(key: str, value: object) -> Callable[[pathlib.Path], None]:
    def edit(config: pathlib.Path) -> None:
        values = yaml.safe_load(config.read_text())
        values[key] = value
        config.write_text(yaml.safe_dump(values))

    return edit


def _drop(key: str) -> Callable[[pathlib.Path], None]:
    def drop(config: pathlib.Path) -> None:
        values = yaml.safe_load(config.read_text())
        del values[key]
        config.write_text(yaml.safe_dump(values))

    return drop


_SETTING = "--resume: expected a valid DIR/run/config.yaml: "


@pytest.mark.parametrize(
    ("damage", "error"),
    [
        (
            _edit("version", "9.1.0"),
            r"--resume: expected a run of admrl_native \d+\.\d+ \(folder format 2\), "
            r"got DIR/run, written by 9\.1\.0 \(folder format 2\)",
        ),
        (_edit("format", 3), r".*got DIR/run, written by \S+ \(folder format 3\)"),
        (_edit("format", 1), r".*folder format 1\), which does not hold its robot: a report can"),
        (_drop("world"), _SETTING + "world: expected robot, mujoco, rules and model, got None"),
        (_drop("format"), "--resume: expected DIR/run/config.yaml to name its format"),
        (_edit("method", "sac"), _SETTING + "method: expected one of"),
        (_edit("threads", None), _SETTING + "threads: expected a whole number, got None"),
        (_edit("first_psi", 3), _SETTING),
        (_edit("first_psi", ["a", "b"]), _SETTING),
        (_edit("settings", {}), _SETTING + "schedule: expected a value in settings"),
        (_edit("settings", 3), _SETTING),
        (_edit("family_definition", {"name": "x"}), _SETTING),
        (_drop("seed"), _SETTING + "seed: expected a value, got none"),
        (lambda config: config.write_text("a: ["), "--resume: expected a readable DIR/run/config"),
        (lambda config: config.write_bytes(b"\xff\xfe\x00"), "--resume: expected a readable"),
        (lambda config: config.write_text("- 3"), "--resume: expected DIR/run/config.yaml to name"),
        (lambda config: config.write_text(""), "--resume: expected DIR/run/config.yaml to name"),
        (lambda config: config.unlink(), "--resume: expected a run folder, got DIR/run, which has"),
    ],
)
def test_a_run_folder_that_cannot_be_resumed(
    damage: Callable[[pathlib.Path], None],
    error: str,
    tmp_path: pathlib.Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    damage(folders.create(tmp_path / "run", make_config()).config)
    assert re.match(error, _error(f"--resume {_RUN}", tmp_path, capsys))


def test_a_run_folder_that_is_not_there(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _error("--resume DIR/none", tmp_path, capsys) == (
        "--resume: expected a run folder, got DIR/none, which has no config.yaml"
    )


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ("--seed 4", "--seed: expected 3 as in DIR/run, got 4"),
        ("--family Ant2D", "--family: expected Hopper2D as in DIR/run, got Ant2D"),
        ("--method mb-unif", "--method: expected admrl as in DIR/run, got mb-unif"),
        ("--preset paper", "--preset: expected quick as in DIR/run, got paper"),
        ("--n-inner 6", "--n-inner: expected 7 as in DIR/run, got 6"),
        ("--policy-hidden 32", "--policy-hidden: expected 32 32 as in DIR/run, got 32"),
        (
            "--no-value-normalise-targets",
            "--value-normalise-targets: expected True as in DIR/run, got False",
        ),
        ("--first-psi 0 1.6", "--first-psi: expected 0.0 1.5 as in DIR/run, got 0.0 1.6"),
        ("--out DIR/other", "--out: expected none, or DIR/run as in --resume, got DIR/other"),
        ("--threads 0", "--threads: expected at least 1, got 0"),
    ],
)
def test_resume_and_an_option_that_contradicts_the_run(
    arguments: str, error: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = make_config(seed=3, first_psi=(0.0, 1.5), overrides={"n_inner": 7})
    folders.create(tmp_path / "run", config)
    assert _error(f"--resume {_RUN} {arguments}", tmp_path, capsys) == error
