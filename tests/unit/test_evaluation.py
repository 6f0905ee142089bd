"""The evaluation of a run: its tasks, its files, its command, and that it can be interrupted."""

from __future__ import annotations

import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time
import types
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

import admrl_native as admrl
from admrl_native import cli
from admrl_native.activities.evaluating import work as evaluations
from admrl_native.evaluation.adapting import model_error
from admrl_native.evaluation.grids import test_tasks as tasks_of
from admrl_native.evaluation.settings import OracleSettings
from admrl_native.families.catalogue import FAMILIES, make_family
from admrl_native.settings import SettingError
from admrl_native.store import oracles as oracle_cache
from toy import SETTINGS

# Tasks


@pytest.mark.parametrize(
    ("family", "inside", "outside"),
    [("Ant2D", 36, 20), ("Hopper2D", 36, 20), ("Walker2D", 36, 20), ("Ant3D", 48, 44),
     ("Cheetah-Highdim", 20, 20)],
)  # fmt: skip
def test_the_grids_of_the_families(family: str, inside: int, outside: int) -> None:
    declared = make_family(family)
    low, high = np.array(declared.task_low), np.array(declared.task_high)
    for name, number, scale in (("grid", inside, 1), ("ood", outside, 5 / 3)):
        tasks = np.array(tasks_of(declared, name))
        assert tasks.shape == (number, declared.task_dim)
        assert len({tuple(task) for task in tasks.tolist()}) == number
        u = 2 * (tasks - low) / (high - low) - 1
        reach = np.abs(u).max(axis=1)
        assert reach.max() == pytest.approx(scale, abs=1e-6)
        if name == "ood" or declared.task_dim > 3:
            assert reach == pytest.approx(np.full(number, scale), abs=1e-6)
    assert tasks_of(declared, "grid") == tasks_of(make_family(family), "grid")


def test_ant_tasks_out_of_distribution_are_the_paper_s() -> None:
    tasks = tasks_of(make_family("Ant2D"), "ood")
    assert {max(abs(x), abs(y)) for x, y in tasks} == {5.0}
    assert (5.0, -5.0) in tasks


def test_an_unknown_grid() -> None:
    with pytest.raises(ValueError, match="grid: expected one of grid, ood, got 'x'"):
        tasks_of(make_family("Ant2D"), "x")


def test_every_family_has_its_tasks() -> None:
    assert all(
        tasks_of(make_family(family), name) for family in FAMILIES for name in ("grid", "ood")
    )


def test_a_model_error_is_in_standard_deviations_of_a_step() -> None:
    """1 for a model that is off by one of them in every coordinate, 0 for a perfect one."""
    generator = torch.Generator().manual_seed(0)
    obs = torch.randn(10, 20, 3, generator=generator)
    next_obs = obs + torch.tensor([5.0, 1.0, 0.1]) * torch.randn(10, 20, 3, generator=generator)
    excluded = torch.zeros(10, 20, dtype=torch.bool)
    excluded[3, 5] = excluded[9, 0] = True  # they do not count
    seen = next_obs.clone()
    seen[excluded] = 1e30
    rows = types.SimpleNamespace(
        obs=obs, actions=torch.zeros(10, 20, 2), next_obs=seen, excluded=excluded
    )
    environments = types.SimpleNamespace(real_trajectories=lambda *_: rows)
    true = next_obs[~excluded]
    scale = (next_obs - obs)[~excluded].std(0)
    for off in (0.0, 1.0, -2.5):
        predicted = true + off * scale
        model = types.SimpleNamespace(
            dynamics=lambda _obs, _actions, predicted=predicted: predicted
        )
        error = model_error(environments, model, None, None, 200)  # type: ignore[arg-type]
        assert error == pytest.approx(abs(off), abs=1e-5)


# The evaluation of a real run of toy size

PSIS = ((-0.5, 1.3), (0.5, 1.5), (1.5, 1.9), (2.5, 1.1))  # the last one outside
ORACLE = OracleSettings(samples=800, batch=400, patience=9, window=1, episodes=5)
CSV = "# velocity, height\n" + "".join(f"{x},{y}\n" for x, y in PSIS)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    s, out = SETTINGS, tmp_path_factory.mktemp("runs") / "toy"
    admrl.train(
        "Hopper2D",
        method="mb-unif",
        out=out,
        threads=1,
        progress=False,
        **{
            **s.schedule.replace(n_tasks=2).to_dict(),
            **s.collection.to_dict(),
            "gradient_virtual_samples": s.task_gradient.virtual_samples,
            "horizon": s.physics.horizon,
            "dynamics_hidden": s.networks.dynamics_hidden,
            "policy_hidden": s.networks.policy_hidden,
            "value_hidden": s.networks.value_hidden,
        },
    )
    return out


@pytest.fixture
def run(trained: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    """A copy of the run, without any evaluation."""
    shutil.copytree(trained, tmp_path / "run", ignore=shutil.ignore_patterns("evaluation"))
    return tmp_path / "run"


def evaluate(run: pathlib.Path, cache: pathlib.Path, **changes: Any) -> dict[str, Any]:
    """The content of evaluation.json, but for times."""
    given: dict[str, Any] = {
        "grid": "mine", "psis": PSIS, "real_samples": (80,), "episodes": 4, "oracle": ORACLE,
        "oracle_cache": cache, "progress": False, "threads": 1, **changes,
    }  # fmt: skip
    return content(admrl.evaluate_run(run, **given))


def content(path: pathlib.Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(path.read_text())
    assert set(values.pop("seconds")) == {"zero-shot", "further"}
    return values


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return tmp_path_factory.mktemp("oracle")


@pytest.fixture(scope="module")
def whole(trained: pathlib.Path, cache: pathlib.Path) -> dict[str, Any]:
    return evaluate(trained, cache)


def test_what_an_evaluation_holds(whole: dict[str, Any]) -> None:
    assert whole["run"]["method"] == "mb-unif"
    assert whole["psis"] == [list(psi) for psi in PSIS]
    assert whole["real_samples"] == [0, 80]
    for n in ("0", "80"):
        for kind in ("select", "fresh"):
            returns = np.array(whole["returns"][n][kind])
            assert returns.shape == (4, 4)
            assert np.isfinite(returns).all()
    # two independent sets of episodes
    assert whole["returns"]["0"]["select"] != whole["returns"]["0"]["fresh"]
    assert whole["returns"]["0"] != whole["returns"]["80"]
    assert np.shape(whole["oracle"]["fresh"]) == (4, 5)
    assert whole["oracle"]["samples"] == [800] * 4
    assert all(0 < error < 10 for error in whole["model_errors"])
    # Two sets of 4 episodes of 20 steps for 4 tasks and two n, and 4000 steps to judge the model.
    assert whole["samples"] == {
        "adaptation": 4 * 80,
        "evaluation": 2 * 4 * 20 * 4 * 2 + 4 * 4000,
        "oracle": 3200,
    }


@pytest.mark.parametrize("n", [0, 80])
def test_the_policies_are_those_of_adapt(
    whole: dict[str, Any], trained: pathlib.Path, n: int
) -> None:
    """In a batch, and continued from what was stored: bit for bit what one task alone gives."""
    loaded = admrl.Run.load(trained)
    for task, psi in enumerate(PSIS):
        path = trained / "evaluation" / "mine" / "policies" / f"{task:03d}-{n}.safetensors"
        stored = safetensors.torch.load_file(path)
        alone = loaded.adapt(psi, real_samples=n).policy.state_dict()
        assert stored.keys() == alone.keys()
        assert all(torch.equal(stored[name], alone[name]) for name in alone)


def test_the_run_itself_stays_as_it_was(
    whole: dict[str, Any], trained: pathlib.Path, run: pathlib.Path
) -> None:
    def files(path: pathlib.Path) -> dict[str, bytes]:
        return {
            str(p.relative_to(path)): p.read_bytes()
            for p in path.rglob("*")
            if p.is_file() and "evaluation" not in p.relative_to(path).parts
        }

    before = files(run)
    evaluate(run, run.parent / "cache", oracle=None)
    assert files(run) == before == files(trained)


def test_neither_workers_nor_threads_nor_batches_matter(
    whole: dict[str, Any], run: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    assert evaluate(run, tmp_path / "cache", workers=2) == whole
    shutil.rmtree(run / "evaluation")
    assert evaluate(run, tmp_path / "cache", threads=3, batch=3) == whole


def test_more_can_be_asked_for_later(
    whole: dict[str, Any], run: pathlib.Path, cache: pathlib.Path
) -> None:
    first = evaluate(run, cache, real_samples=(), oracle=None)
    assert first["real_samples"] == [0]
    assert first["oracle"] is first["model_errors"] is None
    later = evaluate(run, cache, real_samples=(40,))
    assert later["real_samples"] == [0, 40]
    everything = evaluate(run, cache, real_samples=(80,))
    assert everything["real_samples"] == [0, 40, 80]
    del everything["returns"]["40"]
    everything["real_samples"] = [0, 80]
    samples = everything.pop("samples")  # of three numbers n, not of two
    assert samples["evaluation"] - whole["samples"]["evaluation"] == 2 * 4 * 20 * 4
    assert everything == {key: value for key, value in whole.items() if key != "samples"}


def test_an_oracle_is_learned_once(
    whole: dict[str, Any], run: pathlib.Path, cache: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def learn(*_arguments: Any, **_options: Any) -> None:
        raise AssertionError("learned again")

    monkeypatch.setattr(oracle_cache, "learn", learn)
    assert evaluate(run, cache) == whole
    with pytest.raises(AssertionError, match="learned again"):
        evaluate(run, cache, oracle=ORACLE.replace(seed=1))


def interrupt_after(monkeypatch: pytest.MonkeyPatch, pieces: int) -> None:
    """Ctrl-C after some pieces were kept."""
    append, kept = evaluations.JobLog.append, 0

    def counted(log: Any, line: Any) -> None:
        nonlocal kept
        append(log, line)
        kept += 1
        if kept == pieces:
            raise KeyboardInterrupt

    monkeypatch.setattr(evaluations.JobLog, "append", counted)


@pytest.mark.parametrize("pieces", [1, 4, 5, 7, 9])
def test_interrupted_and_resumed(
    whole: dict[str, Any],
    run: pathlib.Path,
    cache: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    pieces: int,
) -> None:
    with monkeypatch.context() as patch:
        interrupt_after(patch, pieces)
        with pytest.raises(KeyboardInterrupt):
            evaluate(run, cache)
    finished = run / "evaluation" / "mine" / "finished.jsonl"
    assert len(finished.read_text().splitlines()) == 1 + pieces
    assert not (run / "evaluation" / "mine" / "evaluation.json").exists()
    with open(finished, "a") as file:
        file.write('{"piece": "retu')  # killed in the middle of a line
    assert evaluate(run, cache) == whole


def command(run: pathlib.Path, tasks: pathlib.Path, cache: pathlib.Path) -> list[str]:
    oracle = [f"--oracle-{k}={getattr(ORACLE, k)}" for k in ("samples", "batch", "episodes")]
    return [
        "evaluate", str(run), "--tasks", str(tasks), "--real-samples", "80", "--episodes", "4",
        "--threads", "1", "--oracle-cache", str(cache), "--oracle-patience", "9",
        "--oracle-window", "1", *oracle,
    ]  # fmt: skip


def test_killed_at_random_moments(
    whole: dict[str, Any], run: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """SIGKILL, again and again: in the end the file is that of an evaluation that ran through."""
    tasks = tmp_path / "mine.csv"
    tasks.write_text(CSV)
    arguments = command(run, tasks, tmp_path / "cache")
    result = run / "evaluation" / "mine" / "evaluation.json"
    moments = random.Random(0)
    kills = 0
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-m", "admrl_native.cli", *arguments],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        assert process.stdout is not None
        process.stdout.readline()  # the work begins
        time.sleep(moments.uniform(0, 0.6))
        kills += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert kills
    assert cli.main(arguments) == 0
    assert content(result) == whole


def test_the_command(
    whole: dict[str, Any],
    run: pathlib.Path,
    cache: pathlib.Path,
    tmp_path: pathlib.Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tasks = tmp_path / "mine.csv"
    tasks.write_text(CSV)
    assert cli.main(command(run, tasks, cache)) == 0
    printed = capsys.readouterr().out
    assert "4 tasks; gap = best known return - return" in printed
    for n in ("0", "80"):
        mean = f"{np.mean(whole['returns'][n]['fresh']):.0f}"
        assert any(line.split()[:2] == [n, mean] for line in printed.splitlines())
    assert str(run / "evaluation" / "mine" / "evaluation.json") in printed


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"real_samples": (30,)}, "real_samples: expected multiples of n_adapt (40), got 30"),
        ({"real_samples": (-40,)}, "real_samples: expected multiples of n_adapt (40), got -40"),
        ({"episodes": 0}, "episodes: expected at least 1, got 0"),
        ({"psis": None, "grid": "x"}, "grid: expected one of grid, ood, got 'x'"),
        ({"grid": "ood"}, "grid: expected a name for these tasks"),
        ({"grid": "a/b"}, "grid: expected a name for these tasks"),
        ({"psis": ()}, "psis: expected at least one task, got none"),
        ({"psis": ((1.0,),)}, "psis: expected K=2 numbers"),
        ({"workers": 0}, "workers: expected at least 1, got 0"),
        ({"batch": 0}, "batch: expected at least 1, got 0"),
        ({"seed": -1}, "seed: expected at least 0, got -1"),
    ],
)
def test_bad_input(
    trained: pathlib.Path, tmp_path: pathlib.Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingError) as caught:
        evaluate(trained, tmp_path / "cache", **changes)
    assert str(caught.value).startswith(message)
    assert not (tmp_path / "cache").exists()


def test_another_evaluation_of_that_name(
    whole: dict[str, Any], trained: pathlib.Path, cache: pathlib.Path
) -> None:
    with pytest.raises(SettingError, match="episodes"):
        evaluate(trained, cache, episodes=5)
    with pytest.raises(SettingError, match="tasks: expected 4 of mine"):
        evaluate(trained, cache, psis=PSIS[:2])


@pytest.mark.parametrize(
    ("text", "message"),
    [("1,2\n3,x\n", "expected numbers in line 2 of"), ("", "expected at least one task")],
)
def test_a_bad_file_of_tasks(
    trained: pathlib.Path,
    tmp_path: pathlib.Path,
    capsys: pytest.CaptureFixture[str],
    text: str,
    message: str,
) -> None:
    path = tmp_path / "tasks.csv"
    path.write_text(text)
    assert cli.main(["evaluate", str(trained), "--tasks", str(path)]) == 2
    assert message in capsys.readouterr().err
    assert cli.main(["evaluate", str(trained), "--tasks", str(tmp_path / "no.csv")]) == 2
    assert "--tasks: expected a CSV file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--grid", "ood", "--tasks", "x.csv"], "--tasks: expected no --grid beside it"),
        (["--no-oracle", "--oracle-samples", "9"], "--oracle: expected no settings of the oracle"),
        (["--oracle-samples", "0"], "--oracle-samples: expected at least 1, got 0"),
    ],
)
def test_options_that_do_not_fit(
    trained: pathlib.Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    assert cli.main(["evaluate", str(trained), *arguments]) == 2
    assert message in capsys.readouterr().err
