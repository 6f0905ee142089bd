"""Numbers that fail: updates are skipped and counted, and a command ends in one line."""

from __future__ import annotations

import io
import math
import pathlib
from typing import Any

import pytest
import torch

import admrl_native as admrl
from admrl_native import cli
from admrl_native.algorithms.environments import Environments
from admrl_native.errors import NumericalError
from admrl_native.families.catalogue import make_family
from admrl_native.jobs.executor import make_executor
from admrl_native.reporting.run_table import write_summary
from admrl_native.sampling.trajectories import Trajectories
from admrl_native.training.compute import Targets
from admrl_native.training.native_compute import NativeCompute
from jobs import FAILURES, Log, make_failures
from toy import OPTIONS, Memory, make_trainer


class Exploding(NativeCompute):
    """In some of the policy updates, the model's samples of the first task are not finite."""

    def __init__(self, *updates: int) -> None:
        super().__init__(make_family("Hopper2D"), 1, "fp32")
        self.updates, self.update = updates, -1

    def advantages_and_returns(self, samples: Any, values: Any, settings: Any) -> list[Targets]:
        self.update += 1
        if self.update in self.updates:
            samples[0].obs[3, 2, 1] = math.inf
        return super().advantages_and_returns(samples, values, settings)


def trained(compute: NativeCompute, psis: list[list[float]]) -> tuple[Environments, Any, Any]:
    environments = make_trainer(Memory()).environments
    model = environments.new_model(torch.Generator().manual_seed(0))
    agents = [environments.new_agent(torch.Generator().manual_seed(1)) for _ in psis]
    first = torch.tensor(psis[0], dtype=torch.float64)
    model.add("train", environments.collect(agents[0].policy, first, 400, 2, "train"))
    figures: list[Any] = []
    environments.virtual_training(
        agents, model, torch.tensor(psis, dtype=torch.float64), 2, 3,
        lambda _, of_tasks: figures.append(of_tasks), compute=compute,
    )  # fmt: skip
    return environments, agents, figures


def test_an_update_from_samples_that_are_not_finite_is_skipped_and_counted() -> None:
    psis = [[0.5, 1.4], [1.0, 1.1]]
    environments, agents, figures = trained(Exploding(1), psis)
    assert environments.sample_counts()["skipped_updates"] == 1
    _, plain, all_figures = trained(Exploding(), psis)
    first, second = ([x.policy.get_params() for x in y] for y in (agents, plain))
    assert torch.equal(first[1], second[1])  # the other task's is as if nothing had been
    assert not torch.equal(first[0], second[0])
    assert all(torch.isfinite(p).all() for p in first)
    assert math.isnan(figures[0][0]["kl"])
    assert figures[0][1]["kl"] == all_figures[0][1]["kl"]
    assert math.isfinite(figures[1][0]["value_loss"])


def test_where_all_are_skipped_the_policy_stays() -> None:
    environments, (agent,), _ = trained(Exploding(0, 1, 2, 3), [[0.5, 1.4]])
    new = environments.new_agent(torch.Generator().manual_seed(1))
    assert torch.equal(agent.policy.get_params(), new.policy.get_params())
    assert environments.sample_counts()["skipped_updates"] == 4


def test_skipped_updates_are_in_the_records_and_below_the_table(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adv = NativeCompute.advantages_and_returns

    def explode(self: NativeCompute, samples: list[Trajectories], *rest: Any) -> Any:
        samples[0].rewards[0, 0] = math.nan
        return adv(self, samples, *rest)

    monkeypatch.setattr(NativeCompute, "advantages_and_returns", explode)
    run = admrl.train(out=tmp_path / "run", threads=1, progress=False, **OPTIONS)
    # 2 + 1 + 1 stages and two zero-shot adaptations, of 1 iteration with 2 updates each.
    assert run.metrics()[-1]["skipped_updates"] == 12
    shown = io.StringIO()
    write_summary(run.path, shown)
    assert "12 policy updates skipped, the samples of the model were not finite" in shown.getvalue()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> admrl.Run:
    out = tmp_path_factory.mktemp("runs") / "toy"
    return admrl.train(out=out, threads=1, progress=False, **OPTIONS)


@pytest.mark.parametrize("failure", ["solver", "simulation", "not finite"])
@pytest.mark.parametrize(
    "words",
    [
        ["evaluate", "RUN", "--episodes", "2", "--no-oracle", "--workers", "1"],
        ["check-gradient", "RUN", "--repeats", "2", "--episodes", "8", "--workers", "1"],
    ],
    ids=lambda words: words[0],
)
def test_a_command_ends_in_one_line(
    failure: str,
    words: list[str],
    run: admrl.Run,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise FAILURES[failure]()

    monkeypatch.setattr(Environments, "virtual_training", fail)
    assert cli.main([str(run.path) if word == "RUN" else word for word in words]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1, error
    assert error.startswith(f"admrl {words[0]}: error: ")
    assert str(FAILURES[failure]()) in error


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_say_it_in_one_line_too(workers: int) -> None:
    log, jobs = Log(), list(FAILURES)
    with make_executor("local", make_failures, (), workers) as executor:
        executor.run(jobs, log.step, log.result, log.failure)
    assert set(log.failures) == set(jobs)
    assert all(text and "\n" not in text for text in log.failures.values()), log.failures
    with make_executor("local", make_failures, (), 2) as executor:
        with pytest.raises(NumericalError, match="stack overflow"):
            executor.run(["simulation"], log.step, log.result)
        with pytest.raises(OSError, match="No space left"):
            executor.run(["disk"], log.step, log.result)
