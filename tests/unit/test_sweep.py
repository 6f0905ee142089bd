"""Sweeps: the table, what is done again and what is not, what a person sees."""

from __future__ import annotations

import fcntl
import io
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import pytest
from rich.console import Console

import admrl_native as admrl
from admrl_native import cli
from admrl_native.activities.sweeping import folder as sweep_folder
from admrl_native.activities.sweeping import job
from admrl_native.configuration.cells import Cell, Evaluation, Sweep, parse_vary, value_text
from admrl_native.configuration.config import make_config
from admrl_native.evaluation.settings import OracleSettings
from admrl_native.settings import SettingError
from admrl_native.show.progress import ReportedProgress
from admrl_native.show.sweep_progress import SweepProgress
from toy import flags

# The table


def test_the_runs_of_a_sweep() -> None:
    sweep = Sweep(
        families=("Hopper2D", "Ant2D"),
        methods=("admrl", "mb-unif"),
        seeds=(0, 3),
        vary={"step_size": (1.0, 2.5), "dynamics_hidden": ((64, 64), (8,))},
        settings={"n_tasks": 3},
        threads=2,
    )
    cells = sweep.cells()
    assert len({cell.name for cell in cells}) == 2**5
    assert cells[0].name == "Hopper2D-admrl-step_size=1-dynamics_hidden=64,64-seed0"
    assert cells[-1].name == "Ant2D-mb-unif-step_size=2.5-dynamics_hidden=8-seed3"
    last = cells[-1]
    assert last.config == make_config(
        "Ant2D", method="mb-unif", seed=3, threads=2,
        overrides={"n_tasks": 3, "step_size": 2.5, "dynamics_hidden": (8,)},
    )  # fmt: skip
    assert last.varied == {"step_size": 2.5, "dynamics_hidden": (8,)}
    assert str(last) == last.name


def test_varied_options_are_read_as_their_types() -> None:
    words = [
        ["step-size", "1", "2.5"],
        ["n_tasks", "3"],
        ["dynamics_hidden", "64,64", "8"],
        ["gradient_damping", "auto", "0.1"],
        ["value_normalise_targets", "true", "false"],
        ["gradient_hessian", "causal"],
    ]
    assert parse_vary(words) == {
        "step_size": (1.0, 2.5),
        "n_tasks": (3,),
        "dynamics_hidden": ((64, 64), (8,)),
        "gradient_damping": ("auto", 0.1),
        "value_normalise_targets": (True, False),
        "gradient_hessian": ("causal",),
    }


def test_values_in_names() -> None:
    assert [value_text(x) for x in (2.0, 0.5, 1e-05, 3, True, "auto", (2, 3))] == [
        "2", "0.5", "1e-05", "3", "true", "auto", "2,3",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ("--families Dog2D", "--families: expected one of Hopper2D, "),
        ("--methods sac", "--methods: expected one of admrl, mb-unif, mb-gauss, mt-joint, ma"),
        ("--seeds 1 -1", "--seeds: expected at least 0, got -1"),
        ("--seeds 1 1", "--seeds: expected 1 once, got it twice"),
        ("--seeds x", "--seeds: expected a whole number, got 'x'"),
        ("--preset big", "--preset: expected one of quick, small, paper, got 'big'"),
        ("--threads 0", "--threads: expected at least 1, got 0"),
        ("--workers 0", "--workers: expected at least 1, got 0"),
        ("--vary speed 1", "--vary: expected the name of a setting, such as step_size, got 'spe"),
        ("--vary step_size", "--vary: expected values behind step_size, got none"),
        ("--vary step_size 1 --vary step-size 2", "--vary: expected step_size once, got it tw"),
        ("--vary step_size 1 1.0", "--step-size: expected 1 once, got it twice"),
        ("--vary step_size x", "--step-size: expected a number, got 'x'"),
        ("--vary gradient_damping x", "--gradient-damping: expected a number or auto, got 'x'"),
        (
            "--vary value_normalise_targets 1",
            "--value-normalise-targets: expected true or false, got '1'",
        ),
        ("--vary n_tasks 2 0", "--n-tasks: expected at least 1, got 0"),
        ("--n-tasks 2 --vary n_tasks 3", "--n-tasks: expected it once, got it as varied and as "),
        ("--n-collect 11", "--n-collect: expected a multiple of num_envs (10), got 11"),
        ("--executor cloud", "--executor: expected one of local, ray, got 'cloud'"),
        ("--ray-address auto", "--ray-address: expected none without the executor ray"),
        ("--executor ray --device cuda", "--device: expected cpu or auto: Ray is not asked for"),
        ("--real-samples 0", "--real-samples: expected none without --evaluate"),
        ("--oracle-samples 9000", "--oracle-samples: expected none without --evaluate"),
        ("--no-oracle", "--oracle: expected none without --evaluate"),
        ("--evaluate grid --oracle-batch 0", "--oracle-batch: expected at least 1, got 0"),
        ("--evaluate sphere", "--evaluate: invalid choice: 'sphere'"),
        ("--evaluate grid --real-samples 100", "--real-samples: expected a multiple of n_adapt ("),
        ("--physics none", "unrecognized arguments: --physics none"),
    ],
)
def test_usage_errors(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str], arguments: str, problem: str
) -> None:
    out = tmp_path / "sweep"
    assert cli.main(["sweep", "--out", str(out), *arguments.split()]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"admrl sweep: error: {problem}")
    assert (captured.out, captured.err.count("\n")) == ("", 1)
    assert not out.exists()


def test_a_folder_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["sweep"]) == 2
    assert capsys.readouterr().err.endswith("the following arguments are required: --out\n")


# The command, with the fake learner

_FLAGS = "--n-tasks 3 --n-zeroshot 2 --n-slbo 2 --n-slbo-first 2 --n-inner 2"
_TINY = _FLAGS.split()
_NAMES = [f"Hopper2D-{method}-seed{seed}" for method in ("admrl", "mb-unif") for seed in (0, 1)]

Command = Callable[..., int]


@pytest.fixture
def out(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "sweep"


@pytest.fixture
def sweep(fake: ModuleType, out: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """`admrl sweep` of two methods and two seeds, in this process; pictures are empty files."""

    def draw(path: pathlib.Path, *_: object) -> pathlib.Path:
        (path / "summary.png").touch()
        return path

    monkeypatch.setattr(job, "write_summary", draw)  # takes half the time

    def command(*arguments: object) -> int:
        table = ["--methods", "admrl", "mb-unif", "--seeds", "0", "1", "--workers", "1"]
        return cli.main(["sweep", "--out", str(out), *table, *_TINY, *map(str, arguments)])

    return command


def figures(out: pathlib.Path) -> dict[str, list[dict[str, Any]]]:
    """The metrics of every run but for its wall times."""
    found = {}
    for path in sorted(out.glob("*/metrics.jsonl")):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        found[path.parent.name] = [{**line, "wall_seconds": None} for line in lines]
    return found


def test_a_sweep(sweep: Command, out: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep() == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert captured.err == ""
    assert lines[0].startswith(f"runs in {out}; Ctrl-C leaves")
    assert lines[1] == "4 runs"
    assert lines[2] == f"{_NAMES[0]}: training task 1/3"
    assert [line.split(": done in")[0] for line in lines if ": done in" in line] == [
        f"{i}/4  {name}" for i, name in enumerate(_NAMES, 1)
    ]
    assert lines[-2] == f"4 of 4 runs are done, in {out}"
    assert lines[-1] == f"compare the runs: admrl report {out}/*-seed*/"
    assert list(figures(out)) == _NAMES
    assert all((out / name / "summary.png").exists() for name in _NAMES)
    about = json.loads((out / "sweep.json").read_text())
    assert about["command"].startswith(f"admrl sweep --out {out} --methods admrl mb-unif")
    assert about["runs"] == _NAMES
    assert (about["seeds"], about["settings"]["n_tasks"], about["evaluation"]) == ([0, 1], 3, None)


def test_runs_are_those_of_the_train_command(
    sweep: Command, out: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    assert sweep() == 0
    single = tmp_path / "single" / "run"
    command = ["train", "--method", "mb-unif", "--seed", "1", "--out", str(single), *_TINY]
    assert cli.main(command) == 0
    assert figures(single.parent)["run"] == figures(out)[_NAMES[3]]


def test_finished_runs_are_left_alone_and_others_added(
    sweep: Command, out: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sweep() == 0
    before = {p: p.stat().st_mtime_ns for p in out.glob("*/*")}
    capsys.readouterr()
    assert sweep() == 0
    assert capsys.readouterr().out.splitlines()[0] == f"4 of 4 runs are done, in {out}"
    assert sweep("--seeds", 0, 1, 2) == 0
    assert "6 runs, 4 of them finished before" in capsys.readouterr().out
    assert {p: p.stat().st_mtime_ns for p in before} == before
    assert len(figures(out)) == 6


@pytest.mark.parametrize("at_call", [0, 3, 40])
def test_interrupted_and_continued(
    sweep: Command,
    fake: ModuleType,
    out: pathlib.Path,
    tmp_path: pathlib.Path,
    capsys: pytest.CaptureFixture[str],
    at_call: int,
) -> None:
    fake.INTERRUPTION.at_call = at_call
    assert sweep() == 130
    assert capsys.readouterr().err.startswith("interrupted; go on with: admrl sweep --out ")
    assert len(figures(out)) == 1
    fake.INTERRUPTION.at_call = None
    assert sweep() == 0
    assert sweep("--out", tmp_path / "whole") == 0  # the last of two equal options wins
    assert figures(out) == figures(tmp_path / "whole")


@pytest.mark.parametrize("stage", [["checkpoints"], ["checkpoints", "data", ".config.yaml.part"]])
def test_a_folder_whose_making_was_interrupted(
    sweep: Command, out: pathlib.Path, stage: Sequence[str]
) -> None:
    path = out / _NAMES[0]
    path.mkdir(parents=True)
    for name in stage:
        (path / name).touch() if name.startswith(".") else (path / name).mkdir()
    assert sweep() == 0
    assert len(figures(out)) == 4


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (("--n-inner", 3), "--n-inner: expected 2 as in {path}, got 3; choose another --out"),
        (("--preset", "small"), "--preset: expected quick as in {path}, got small; choose ano"),
    ],
)
def test_other_settings_are_refused_before_any_work(
    sweep: Command,
    out: pathlib.Path,
    capsys: pytest.CaptureFixture[str],
    change: Sequence[object],
    problem: str,
) -> None:
    assert sweep("--seeds", 1) == 0
    capsys.readouterr()
    assert sweep(*change) == 2
    captured = capsys.readouterr()
    expected = problem.format(path=out / _NAMES[1])
    assert (captured.out, captured.err.startswith(f"admrl sweep: error: {expected}")) == ("", True)
    assert list(figures(out)) == [_NAMES[1], _NAMES[3]]


def test_a_folder_of_something_else_is_refused(
    sweep: Command, out: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (out / _NAMES[2]).mkdir(parents=True)
    (out / _NAMES[2] / "thesis.tex").touch()
    assert sweep() == 2
    assert "--out: expected a run folder, got " in capsys.readouterr().err
    assert [p.name for p in out.iterdir()] == [_NAMES[2]]


def test_two_sweeps_do_not_share_a_folder(
    sweep: Command, out: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with sweep_folder.locked(out, {}):
        assert sweep() == 2
    assert "--out: expected a folder without a sweep at work, got " in capsys.readouterr().err
    assert sweep() == 0


def test_a_run_that_fails_does_not_stop_the_others(
    sweep: Command,
    out: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    carry_on = job.train

    def failing(folder: Any, config: Any, progress: Any) -> None:
        if (config.method, config.seed) == ("admrl", 1):
            raise FloatingPointError("the model is not finite")
        carry_on(folder, config, progress)

    with monkeypatch.context() as patch:
        patch.setattr(job, "train", failing)
        assert sweep() == 1
    lines = capsys.readouterr().out.splitlines()
    reason, file = "FloatingPointError: the model is not finite", out / f"{_NAMES[1]}.error.txt"
    assert f"2/4  {_NAMES[1]}: failed: {reason}" in lines
    assert lines[-4:] == [
        f"3 of 4 runs are done, in {out}",
        f"failed: {_NAMES[1]}: {reason}  (more in {file})",
        "the same command tries them again",
        f"compare the runs: admrl report {out}/*-seed*/",
    ]
    assert "Traceback" in file.read_text()
    assert len(figures(out)) == 3
    assert sweep() == 0
    assert not file.exists()
    assert len(figures(out)) == 4


def test_trained_runs_are_evaluated(
    sweep: Command,
    out: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    calls: list[tuple[str, str]] = []

    def evaluate_run(run: pathlib.Path, grid: str, **options: Any) -> None:
        assert admrl.Run.load(run).metrics()[-1]["event"] == "end"
        assert options == {
            "real_samples": (0, 4000), "episodes": 5, "oracle": OracleSettings(samples=9000),
            "threads": 1, "device": "cpu", "progress": False,
        }  # fmt: skip
        calls.append((run.name, grid))

    monkeypatch.setattr(job, "evaluate_run", evaluate_run)
    assert sweep() == 0
    asked = ("--evaluate", "grid", "ood", "--real-samples", 0, 4000, "--device", "cpu")
    asked += ("--episodes", 5, "--oracle-samples", 9000)
    for _ in range(2):  # only the evaluation itself knows what is left to do
        calls.clear()
        assert sweep(*asked) == 0
        assert calls == [(name, grid) for name in _NAMES for grid in ("grid", "ood")]
    assert f"{_NAMES[0]}: evaluating ood" in capsys.readouterr().out
    about = json.loads((out / "sweep.json").read_text())
    assert about["evaluation"] == {
        "grids": ["grid", "ood"],
        "real_samples": [0, 4000],
        "episodes": 5,
        "oracle": OracleSettings(samples=9000).to_dict(),
    }


def test_a_run_waits_for_the_worker_that_is_still_at_it(
    sweep: Command, out: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out.mkdir()
    other = open(out / f".{_NAMES[0]}.lock", "wb")  # noqa: SIM115  (closed by the timer)
    fcntl.flock(other, fcntl.LOCK_EX)
    carry_on, others_at_it = job.train, []

    def recording(folder: Any, config: Any, progress: Any) -> None:
        others_at_it.append(not other.closed)
        carry_on(folder, config, progress)

    monkeypatch.setattr(job, "train", recording)
    timer = threading.Timer(1.0, other.close)
    timer.start()
    assert sweep() == 0
    timer.join()
    assert others_at_it == [False] * 4


# With real learners, in processes


def test_two_workers_make_the_runs_that_one_makes(tmp_path: pathlib.Path) -> None:
    for workers in ("1", "2"):
        table = ["--methods", "admrl", "mb-unif", "--workers", workers]
        assert cli.main(["sweep", "--out", str(tmp_path / workers), *table, *flags()]) == 0
    assert len(figures(tmp_path / "1")) == 2
    assert figures(tmp_path / "1") == figures(tmp_path / "2")


def test_ctrl_c_ends_all_processes(tmp_path: pathlib.Path) -> None:
    out = tmp_path / "sweep"
    command = [sys.executable, "-m", "admrl_native.sweep", "--out", str(out), "--seeds", "0", "1"]
    process = subprocess.Popen(
        [*command, "--workers", "2", *flags(n_inner=100_000)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while len(list(out.glob("*/metrics.jsonl"))) < 2:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    # Returns when every process has closed its output.
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert error.startswith(f"interrupted; go on with: admrl sweep --out {out}")
    assert error.count("\n") == 1


# Alone with a run


def test_one_worker_at_a_time_is_at_a_run(tmp_path: pathlib.Path) -> None:
    with open(tmp_path / ".run.lock", "wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with (
            pytest.raises(TimeoutError, match="expected to work alone on run"),
            sweep_folder.alone(tmp_path, "run", seconds=0.3),
        ):
            pass
    with sweep_folder.alone(tmp_path, "run", seconds=0):
        pass


# What a person sees


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def cells() -> list[Cell]:
    table = Sweep(("Ant2D",), ("admrl", "mb-unif"), (0, 1), vary={"step_size": (1.0, 2.0)})
    return table.cells()


def test_plain_progress(cells: list[Cell]) -> None:
    stream = io.StringIO()
    progress = SweepProgress(stream)
    first, second = cells[0].name, cells[1].name
    progress.start(cells, {cells[2].name})
    progress.update(first, "training task 1/3", None)
    progress.update(second, "training task 1/3", 125.0)
    progress.update(first, "training task 1/3", 80.0)  # no news
    progress.end(first, "done in 2 min 0 s")
    progress.end(second, "failed: out of [memory]")
    progress.stop()
    assert stream.getvalue().splitlines() == [
        "8 runs, 1 of them finished before",
        f"{first}: training task 1/3",
        f"{second}: training task 1/3  (2 min 5 s left)",
        f"2/8  {first}: done in 2 min 0 s",
        f"3/8  {second}: failed: out of [memory]",
    ]


def shown(progress: SweepProgress) -> list[str]:
    """The lines of the table that have words in them, the columns a space apart."""
    console = Console(file=io.StringIO(), width=120)
    with console.capture() as capture:
        console.print(progress.table())
    rows = capture.get().replace("│", " ").replace("┃", " ").splitlines()
    return [" ".join(row.split()) for row in rows if any(c.isalnum() for c in row)]


def test_the_live_table(cells: list[Cell]) -> None:
    progress = SweepProgress(Terminal())
    progress._display._console.size = (120, 40)
    progress.start(cells, {cells[2].name})
    progress.update(cells[0].name, "training task 1/3", 125.0)
    progress.end(cells[1].name, "failed: out of [memory]")
    header, *rows, caption = shown(progress)
    assert header == "family method step_size seed state left"
    assert rows[0] == "Ant2D admrl 1.0 0 training task 1/3 2 min 5 s"
    assert rows[1] == "Ant2D admrl 1.0 1 failed: out of [memory]"
    assert rows[2] == "Ant2D admrl 2.0 0 done before"
    assert rows[3] == "Ant2D admrl 2.0 1 waiting"
    assert len(rows) == 8
    assert caption == "1 of 8 runs done, 1 failed"
    progress.stop()


def test_a_low_terminal_shows_the_runs_at_work(cells: list[Cell]) -> None:
    progress = SweepProgress(Terminal())
    progress._display._console.size = (120, 9)
    progress.start(cells, {cells[0].name})
    for i, state in ((5, "training task 1/3"), (6, "evaluating grid")):
        progress.update(cells[i].name, state, None)
    _, *rows, caption = shown(progress)
    assert [row.split()[-1] for row in rows] == ["waiting", "1/3", "grid"]
    assert caption == "1 of 8 runs done; 5 rows are not shown"
    progress.stop()
    assert len(shown(progress)) == 10


def test_a_run_reports_its_task_and_the_time_left() -> None:
    now, reports = [0.0], []
    config = make_config(
        "Ant2D", overrides={"n_tasks": 2, "n_zeroshot": 2, "n_slbo_first": 1, "n_slbo": 1}
    )
    progress = ReportedProgress(
        config, lambda state, left: reports.append((state, left)), clock=lambda: now[0]
    )
    progress.start([])
    progress.phase("slbo 1/1", task=0, steps=5)
    for _ in range(5):
        now[0] += 0.5
        progress.step({})
    progress.record("slbo-stage", {})
    progress.phase("zero-shot", task=1, steps=2)
    # n_inner is 5: a step takes half a second, and 7 are left
    assert reports == [
        ("training task 1/2", None),
        ("training task 1/2", 0.5 * (3 + 7)),
        ("training task 1/2", 0.5 * (1 + 7)),
        ("training task 2/2", 0.5 * 7),
    ]


def test_many_iterations_are_few_states() -> None:
    now, reports = [0.0], []
    config = make_config("Ant2D", method="mt-joint", overrides={"mt_iterations": 100})
    progress = ReportedProgress(
        config, lambda state, left: reports.append((state, left)), clock=lambda: now[0]
    )
    progress.start([{"event": "iteration"}] * 40)  # of an earlier process
    for i in range(40, 100):
        progress.phase(f"iteration {i + 1}/100", task=0, steps=1)
        now[0] += 3.0
        progress.step({})
        progress.record("iteration", {"iteration": i})
    states = list(dict.fromkeys(state for state, _ in reports))
    assert states == [f"training {percent} %" for percent in range(40, 100, 5)]
    assert reports[0][1] is None
    assert reports[-1][1] == pytest.approx(3.0, rel=0.05)


def test_an_evaluation_without_adaptation_needs_no_real_samples() -> None:
    assert Evaluation(("grid",)).real_samples == (0,)
    with pytest.raises(SettingError, match="real_samples: expected a multiple"):
        Sweep(("Ant2D",), ("admrl",), (0,), evaluation=Evaluation(("grid",), (-2000,))).cells()
