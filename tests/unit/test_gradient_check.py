"""The check of the task gradient: its arithmetic, its file, its command."""

from __future__ import annotations

import io
import json
import operator
import os
import pathlib
import signal
import subprocess
import sys
import time
from typing import Any

import numpy as np
import pytest
import scipy.stats

import admrl_native as admrl
from admrl_native import cli
from admrl_native.activities.checking import inside
from admrl_native.algorithms.settings import GradientCheckSettings
from admrl_native.evaluation import gradient_check as checks
from admrl_native.evaluation.t_interval import mean_interval, t_quantile
from admrl_native.families.catalogue import make_family
from admrl_native.jobs.workers import Workers
from admrl_native.settings import SettingError
from admrl_native.show.job_progress import JobProgress
from admrl_native.store.job_log import JobLog
from toy import SETTINGS

# Intervals and arithmetic


@pytest.mark.parametrize("probability", [0.5, 0.95, 0.999])
def test_t_quantiles_are_scipy_s(probability: float) -> None:
    for freedom in (*range(1, 60), 1000):
        expected = scipy.stats.t.ppf((1 + probability) / 2, freedom)
        # 60 bisections of [0, π/2]; the tangent of an angle near π/2 loses some digits.
        assert t_quantile(freedom, probability) == pytest.approx(expected, rel=1e-11)


def test_the_interval_of_a_mean_is_scipy_s() -> None:
    figures = [1.0, 2.5, -0.5, 4.0]
    low, high = scipy.stats.t.interval(
        0.95, 3, loc=np.mean(figures), scale=scipy.stats.sem(figures)
    )
    interval = mean_interval(figures)
    assert (interval.mean - interval.half_width, interval.mean + interval.half_width) == (
        pytest.approx((low, high), rel=1e-12)
    )
    assert interval.contains_zero == (low <= 0 <= high)


def test_one_figure_has_no_interval() -> None:
    interval = mean_interval([3.0])
    assert (interval.mean, interval.known, str(interval)) == (3.0, False, "+3 ± ?")
    assert not mean_interval([1.0, np.nan]).known


HOPPER, CHEETAH = make_family("Hopper2D"), make_family("Cheetah-Highdim")
U = (0.5, -0.25)


def finished_jobs(
    settings: GradientCheckSettings, noise: float = 0.0, implicit: tuple[float, float] = (2.0, -1.0)
) -> dict[tuple[int, int, int], dict[str, Any]]:
    """Figures of η*(θ̂(u), u) = 5 − 3 u₁ + u₂ + 4 u₁² and η*(θ*(u), u) = 7 + 2 u₁ − u₂.

    The formula's explicit part at θ̂ is (3, 0): the implicit term (2, −1) makes it right, because
    the derivative of the first is (−3 + 8 u₁, 1) = (1, 1) at u.

    Args:
        noise: added to the implicit term, with the sign of the repeat's parity.
        implicit: the term.
    """
    found = {}
    centres = checks.centre_jobs(U, settings)
    jobs = centres + checks.difference_jobs(U, np.eye(2), settings)
    for job in jobs:
        a, b = job.u
        figures: dict[str, Any] = {
            "eta_hat": 5 - 3 * a + b + 4 * a**2,
            "eta_star": 7 + 2 * a - b,
        }
        if job.sign == 0:
            error = noise * (-1) ** job.repeat
            figures["gradient_u"] = {
                "at_theta_star": [2.0, -1.0],
                "at_theta_hat": [3.0, 0.0],
                "implicit": [implicit[0] + error, implicit[1] + error],
            }
            figures["estimate"] = {"solver": []}
        found[job.key] = figures
    return found


def test_combine_knows_the_derivatives_of_a_quadratic() -> None:
    settings = GradientCheckSettings(epsilon=0.1, repeats=3, along="axes")
    check = checks.combine(HOPPER, U, settings, finished_jobs(settings))
    # A central difference of a quadratic is its derivative.
    expected = {
        "zero-shot": ([-1.0, -1.0], [-1.0, -1.0]),
        "zero-shot without implicit": ([-3.0, 0.0], [-1.0, -1.0]),
        "implicit": ([2.0, -1.0], [2.0, -1.0]),
        "trained": ([2.0, -1.0], [2.0, -1.0]),
        "total": ([1.0, -2.0], [1.0, -2.0]),
    }
    assert [p.name for p in check.parts] == list(expected)
    for name, (formula, finite) in expected.items():
        part = check.part(name)
        np.testing.assert_allclose(part.formula, [formula] * 3, rtol=1e-12)
        np.testing.assert_allclose(part.finite_difference, [finite] * 3, rtol=1e-12)
        np.testing.assert_allclose(part.difference, part.formula - part.finite_difference)
    assert check.part("total").cosine() == pytest.approx(1.0)
    assert check.part("zero-shot without implicit").cosine() == pytest.approx(0.5**0.5)
    np.testing.assert_allclose(check.eta_star - check.eta_hat, [8.25 - 4.25] * 3)
    np.testing.assert_allclose(check.psi, [1.0, 1.5])
    assert check.direction_names == HOPPER.task_names
    assert check.repeats == len(check.estimates) == 3


def test_intervals_and_verdicts() -> None:
    settings = GradientCheckSettings(epsilon=0.1, repeats=4, along="axes")
    check = checks.combine(HOPPER, U, settings, finished_jobs(settings, noise=0.1))
    formula, finite, difference = check.part("total").intervals(0)
    half = scipy.stats.t.ppf(0.975, 3) * 0.1 * (4 / 3) ** 0.5 / 2  # of ±0.1, ±0.1
    assert (formula.mean, formula.half_width) == pytest.approx((1.0, half))
    assert (difference.mean, difference.half_width) == pytest.approx((0.0, half), abs=1e-12)
    assert finite.half_width < 1e-12
    assert check.part("total").verdict(0) == "agree within the interval"
    assert check.part("zero-shot without implicit").verdict(0) == "differ"
    table = check.table().splitlines()
    assert len(table) == 2 + 2 * 5
    assert all(row.count("|") == 7 for row in table)
    assert "| forward velocity | total | +1 ± 0.18 | +1 ± " in check.table()
    assert "A difference of up to 0.18 cannot be excluded." in check.conclusion()


def part(formula: list[float], finite: list[float]) -> checks.Comparison:
    return checks.Comparison("x", np.array(formula)[:, None], np.array(finite)[:, None])


@pytest.mark.parametrize(
    ("formula", "finite", "verdict"),
    [
        ([1.0, 1.1, 0.9], [1.05, 0.9, 1.05], "agree within the interval"),
        ([2.0, 2.1, 1.9], [1.05, 0.9, 1.05], "differ"),
        # It differs from something of which not even the sign is known.
        ([2.0, 2.0, 2.0], [0.1, -0.1, 0.05], "differ"),
        (
            [0.1, 0.0, -0.2],
            [0.1, -0.1, 0.05],
            "undecided: the interval of the finite difference contains 0",
        ),
        (
            [9.0, -8.0, 1.0],
            [1.05, 0.9, 1.05],
            "undecided: the difference may be as large as the finite difference itself",
        ),
        ([1.0], [1.0], "undecided: an interval takes at least two repeats with finite figures"),
        (
            [1.0, np.nan],
            [1.0, 1.1],
            "undecided: an interval takes at least two repeats with finite figures",
        ),
    ],
)
def test_verdicts(formula: list[float], finite: list[float], verdict: str) -> None:
    compared = part(formula, finite)
    assert compared.verdict(0) == verdict
    assert compared.lost_in_noise() == (abs(np.mean(finite)) < 0.1 or len(finite) == 1)


def test_along_the_gradient_of_the_pilot() -> None:
    auto = GradientCheckSettings(repeats=2)
    assert auto.decided(3).along == "axes"
    settings = auto.decided(18)
    assert settings.along == "gradient"
    u = (0.0,) * 18
    centres = checks.centre_jobs(u, settings)
    assert [job.repeat for job in centres] == [checks.PILOT, 0, 1]
    star = [3.0, -4.0, *[0.0] * 16]
    zero = [0.0] * 18
    terms = {"at_theta_star": star, "at_theta_hat": zero, "implicit": zero}
    finished = {(checks.PILOT, -1, 0): {"gradient_u": terms}}
    directions = checks.find_directions(CHEETAH, settings, finished)
    np.testing.assert_allclose(directions, [[0.6, -0.8, *[0.0] * 16]])
    jobs = checks.difference_jobs(u, directions, settings)
    assert [job.key for job in jobs] == [(0, 0, 1), (0, 0, -1), (1, 0, 1), (1, 0, -1)]
    np.testing.assert_allclose(jobs[1].u[:2], [-0.12, 0.16])
    for bad in (zero, [None] * 18):
        finished[checks.PILOT, -1, 0]["gradient_u"]["at_theta_star"] = bad
        with pytest.raises(ValueError, match="expected a finite one to look along"):
            checks.find_directions(CHEETAH, settings, finished)


def test_the_default_task_leaves_room_for_its_neighbours() -> None:
    low, high = np.array(HOPPER.task_low), np.array(HOPPER.task_high)
    edge = inside(HOPPER, (low[0], high[1]), 0.2)
    np.testing.assert_allclose(
        edge, [low[0] + 0.1 * (high - low)[0], high[1] - 0.1 * (high - low)[1]]
    )
    middle = tuple((low + high) / 2)
    assert inside(HOPPER, middle, 0.2) == middle
    np.testing.assert_allclose(inside(HOPPER, (low[0], high[1]), 1.0), middle)


# The file of finished jobs

HEADER = {
    "what": "task gradient check",
    "run": {"family": "Hopper2D", "checkpoint": 3},
    "options": {"epsilon": 0.2, "psi": (0.5, 1.0)},
}


def test_a_log_goes_on_where_it_stopped(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "new folder/jobs.jsonl"
    log = JobLog(path, HEADER)
    assert log.finished == []
    log.append({"repeat": 0, "eta_hat": float("nan")})
    with pytest.raises(SettingError, match="expected a file nobody writes to"):
        JobLog(path, HEADER)
    log.close()
    whole = path.read_text()
    path.write_text(whole + '{"repeat": 1, "eta')  # killed in the middle of a line
    log = JobLog(path, HEADER)
    assert log.finished == [{"repeat": 0, "eta_hat": None}]
    log.append({"repeat": 1})
    log.close()
    assert path.read_text() == whole + '{"repeat": 1}\n'
    path.write_text(whole[:30])  # killed in the middle of the first line
    JobLog(path, HEADER).close()
    assert path.read_text() == whole.splitlines(keepends=True)[0]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"options": {"epsilon": 0.1, "psi": (0.5, 1)}}, "epsilon: expected 0.2 as in .*got 0.1;"),
        ({"options": {"epsilon": 0.2, "psi": (0.5, 2)}}, "psi: expected 0.5 1 as in .*, got 0.5 2"),
        ({"options": {"epsilon": 0.2}}, "psi: expected 0.5 1 as in .*, got nothing"),
        ({"run": {"family": "Hopper2D", "checkpoint": 4}}, "out: expected a file of checkpoint 4"),
        ({"what": "something else"}, "out: expected a new file or one of a something else"),
    ],
)
def test_a_file_of_something_else_is_refused(
    tmp_path: pathlib.Path, change: dict[str, Any], problem: str
) -> None:
    path = tmp_path / "jobs.jsonl"
    log = JobLog(path, HEADER)
    log.append({"job": 0})
    log.close()
    before = path.read_bytes()
    with pytest.raises(SettingError, match=problem):
        JobLog(path, {**HEADER, **change})
    assert path.read_bytes() == before


@pytest.mark.parametrize("text", ["a note", "a note\n", "[1]\n", '{"what": "x"}\n'])
def test_a_file_that_is_no_log_stays_as_it_is(tmp_path: pathlib.Path, text: str) -> None:
    path = tmp_path / "notes.txt"
    path.write_text(text)
    with pytest.raises(SettingError, match="out: expected"):
        JobLog(path, HEADER)
    assert path.read_text() == text


# Workers and progress


def test_a_worker_that_dies_or_fails_is_reported() -> None:
    def ignore(*_: object) -> None:
        pass

    with Workers(os._exit, (3,), 2) as pool, pytest.raises(RuntimeError, match="exit code 3"):
        pool.run([1, 2, 3], ignore, ignore)
    failing = Workers(operator.itemgetter, (0,), 2)  # type: ignore[arg-type]
    with failing as pool, pytest.raises(RuntimeError, match=r"(?s)a worker failed:.*TypeError"):
        pool.run([1], ignore, ignore)


def test_plain_progress() -> None:
    now = [0.0]
    stream = io.StringIO()
    progress = JobProgress(stream, clock=lambda: now[0])
    progress.start("a check", jobs=4, done=1, steps=2)
    assert progress.seconds_left() is None
    for i in range(2):
        for _ in range(2):
            progress.step()
        now[0] += 60
        progress.job(f"job {i}")
    assert stream.getvalue().splitlines() == [
        "a check",
        "1 of 4 jobs were done before",
        "2/4  job 0  (2 min 0 s left)",
        "3/4  job 1  (1 min 0 s left)",
    ]


# The command, on a real run of toy size


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> admrl.Run:
    s, out = SETTINGS, tmp_path_factory.mktemp("runs") / "toy"
    sizes = {
        **s.schedule.replace(n_tasks=2, n_inner=2).to_dict(),
        **s.collection.replace(evaluation_episodes=3).to_dict(),
        **{f"gradient_{k}": v for k, v in s.task_gradient.to_dict().items()},
        "horizon": s.physics.horizon,
        "dynamics_hidden": s.networks.dynamics_hidden,
        "policy_hidden": s.networks.policy_hidden,
        "value_hidden": s.networks.value_hidden,
    }
    return admrl.train("Hopper2D", out=out, threads=1, progress=False, **sizes)


def check(run: admrl.Run, *arguments: object) -> int:
    few = ("--episodes", 8, "--repeats", 2)
    return cli.main(["check-gradient", *map(str, (run.path, *few, *arguments))])


def jobs_of(path: pathlib.Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        line.pop("seconds", None)
    return lines


@pytest.fixture(scope="module")
def uninterrupted(run: admrl.Run, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    before = {p: p.read_bytes() for p in run.path.rglob("*") if p.is_file()}
    folder = tmp_path_factory.mktemp("check")
    out, figures = folder / "jobs.jsonl", folder / "figures.json"
    assert check(run, "--workers", 1, "--out", out, "--json", figures) == 0
    assert {p: p.read_bytes() for p in run.path.rglob("*") if p.is_file()} == before
    return folder


def test_what_a_check_finds(uninterrupted: pathlib.Path, run: admrl.Run) -> None:
    header, *jobs = jobs_of(uninterrupted / "jobs.jsonl")
    assert len(jobs) == 2 * (1 + 2 * 2)
    task = next(line for line in reversed(run.metrics()) if line["event"] == "task")
    u = [min(max(x, -0.8), 0.8) for x in task["u"]]
    assert header["options"]["epsilon"] == 0.2
    figures = json.loads((uninterrupted / "figures.json").read_text())
    assert figures["u"] == pytest.approx(u)
    at_psi = [job for job in jobs if job["sign"] == 0]
    assert [job["repeat"] for job in at_psi] == [0, 1]
    assert at_psi[0]["eta_hat"] != at_psi[1]["eta_hat"]
    # In a repeat, everything but the task is the same.
    total = figures["parts"]["total"]
    assert np.isfinite(total["formula"]).all()
    by_key = {(j["repeat"], j["direction"], j["sign"]): j for j in jobs}
    for r in range(2):
        for i in range(2):
            plus, minus = (by_key[r, i, s] for s in (1, -1))
            assert np.subtract(plus["u"], minus["u"])[i] == pytest.approx(0.4)
            ends = [job["eta_star"] - job["eta_hat"] for job in (plus, minus)]
            assert total["finite_difference"][r][i] == pytest.approx((ends[0] - ends[1]) / 0.4)


def test_a_job_depends_on_its_repeat_and_its_task_alone(run: admrl.Run) -> None:
    learner = run._learner()
    u = (0.1, 0.2)
    settings = {"episodes": 5, "seed": 4}
    steps: list[int] = []
    figures = checks.run_job(
        learner.environments, learner.model, checks.Job(0, 0, 1, u), **settings,  # type: ignore[arg-type]
        after_step=lambda: steps.append(1),
    )  # fmt: skip
    assert set(figures) == {"eta_hat", "eta_star"}
    assert len(steps) == checks.steps_of_job(learner.settings.schedule)
    again = checks.run_job(learner.environments, learner.model, checks.Job(0, 1, -1, u), **settings)  # type: ignore[arg-type]
    assert again == figures
    other = checks.run_job(learner.environments, learner.model, checks.Job(1, 0, 1, u), **settings)  # type: ignore[arg-type]
    assert other != figures


def test_interrupted_and_resumed(
    uninterrupted: pathlib.Path,
    run: admrl.Run,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "jobs.jsonl"
    original, calls = checks.run_job, 0

    def interrupted(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise KeyboardInterrupt
        return original(*arguments, **options)

    monkeypatch.setattr(checks, "run_job", interrupted)
    assert check(run, "--workers", 1, "--out", out) == 130
    error = capsys.readouterr().err
    assert error.startswith("interrupted; go on with: admrl check-gradient ")
    assert error.endswith(f" --workers 1 --out {out}\n")
    monkeypatch.undo()
    assert len(jobs_of(out)) == 1 + 3
    # One repeat first: more of them can be asked for later.
    assert check(run, "--workers", 1, "--out", out, "--repeats", 1) == 0
    assert "an interval takes at least two repeats" in capsys.readouterr().out
    assert check(run, "--workers", 1, "--out", out) == 0
    printed = capsys.readouterr().out
    assert "6 of 10 jobs were done before" in printed
    assert "| height | total |" in printed
    assert "per unit of u" in printed
    assert jobs_of(out) == jobs_of(uninterrupted / "jobs.jsonl")


def test_the_number_of_workers_does_not_matter(
    uninterrupted: pathlib.Path, run: admrl.Run, tmp_path: pathlib.Path
) -> None:
    result = admrl.check_task_gradient(
        run, repeats=2, episodes=8, workers=2, out=tmp_path / "jobs.jsonl", progress=False
    )
    assert isinstance(result, admrl.GradientCheck)
    expected = json.loads((uninterrupted / "figures.json").read_text())
    assert json.loads(json.dumps(result.to_dict())) == expected


def test_along_the_estimated_gradient(run: admrl.Run, tmp_path: pathlib.Path) -> None:
    result = admrl.check_task_gradient(
        run, [0.5, 1.2], along="gradient", repeats=1, episodes=4, epsilon=0.05,
        out=tmp_path / "jobs.jsonl", progress=False, gradient_solver="minres",
    )  # fmt: skip
    assert result.directions.shape == (1, 2)
    assert np.linalg.norm(result.directions) == pytest.approx(1)
    assert result.estimates[0]["solver"][0]["method"] == "minres"
    assert [line["repeat"] for line in jobs_of(tmp_path / "jobs.jsonl")[1:]] == [-1, 0, 0, 0]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--epsilon", "0"], "--epsilon: expected more than 0, got 0.0"),
        (["--repeats", "0"], "--repeats: expected at least 1, got 0"),
        (["--along", "x"], "--along: expected one of auto, axes, gradient, got 'x'"),
        (["--workers", "0"], "--workers: expected at least 1, got 0"),
        (["--seed", "-1"], "--seed: expected at least 0, got -1"),
        (["--psi", "1"], "--psi: expected K=2 numbers (forward velocity, height), got 1"),
        (["--gradient-damping", "-1"], "--gradient-damping: expected at least 0, got -1.0"),
        (["--n-zeroshot", "1"], "unrecognized arguments: --n-zeroshot 1"),
        (["--json", "no/such/folder/x"], "--json: expected a file that can be written: "),
    ],
)
def test_usage_errors(
    run: admrl.Run, capsys: pytest.CaptureFixture[str], arguments: list[str], problem: str
) -> None:
    assert cli.main(["check-gradient", str(run.path), *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"admrl check-gradient: error: {problem}")
    assert (captured.out, captured.err.count("\n")) == ("", 1)
    assert not (run.path / "gradient_check.jsonl").exists()


def test_a_folder_that_is_no_run(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["check-gradient", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("admrl check-gradient: error: RUN: expected a run folder, got ")


def test_other_settings_for_a_file_are_refused(
    uninterrupted: pathlib.Path, run: admrl.Run, capsys: pytest.CaptureFixture[str]
) -> None:
    out = uninterrupted / "jobs.jsonl"
    before = out.read_bytes()
    assert check(run, "--out", out, "--gradient-damping", 0.5) == 2
    error = capsys.readouterr().err
    assert "--gradient-damping: expected auto as in" in error
    assert "choose another --out to start anew" in error
    assert out.read_bytes() == before


def test_ctrl_c_ends_all_processes(run: admrl.Run, tmp_path: pathlib.Path) -> None:
    out = tmp_path / "jobs.jsonl"
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "admrl_native.check_gradient", run.path),
            *("--repeats", "1000", "--episodes", "4", "--workers", "2", "--out", out),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not (out.exists() and out.read_text().count("\n") >= 4):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    # Returns when every process has closed its output.
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert error.startswith("interrupted; go on with: admrl check-gradient ")
    assert error.count("\n") == 1


def test_torch_is_not_loaded_for_a_usage_error(tmp_path: pathlib.Path) -> None:
    code = (
        "import sys; from admrl_native.cli import main;"
        "assert main(['check-gradient', 'x', '--repeats', '0']) == 2;"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
