"""A selector and a method of one's own: registered, they do whatever the package's own do."""

from __future__ import annotations

import copy
import dataclasses
import json
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

import admrl_native as admrl
from admrl_native import cli
from admrl_native.algorithms.admrl.method import model_based
from admrl_native.algorithms.admrl.selectors.selector import Evidence
from admrl_native.algorithms.iterative import IterativeLearner
from admrl_native.algorithms.learner import AfterStep
from admrl_native.algorithms.methods import METHODS, register
from admrl_native.algorithms.model_free import model_free
from admrl_native.algorithms.setup import Setup
from admrl_native.families.task_space import Task
from admrl_native.networks.policy import GaussianPolicy
from admrl_native.seeding import derive_generator, derive_seed
from toy import flags

# --- A selector: the opposite corner of the task that went best.


class Opposite:
    def next_task(self, evidence: Evidence, generator: torch.Generator) -> Task:
        return evidence.space.at(-evidence.current.u.sign() * 0.75)


# --- A method: hill climbing on a random direction of the policy's weights.


class HillClimbing(IterativeLearner):
    def __init__(self, setup: Setup) -> None:
        super().__init__(setup, task_conditioned=False)
        environments, networks = self.environments, self.settings.networks
        generator = derive_generator(self.seed, "policy")
        self.policy = GaussianPolicy(
            environments.obs_dim, environments.act_dim, networks, generator
        )

    @property
    def num_iterations(self) -> int:
        return 3

    def iterate(self) -> dict[str, Any]:
        tried = copy.deepcopy(self.policy)
        generator = derive_generator(self.seed, self.iteration, "direction")
        with torch.no_grad():
            for weights in tried.parameters():
                weights += 0.1 * torch.randn(weights.shape, generator=generator)
        psis = self.train_psi[self.draw_tasks(2)]
        returns = [
            self.environments.many_trajectories(
                [policy], psis, 2, derive_seed(self.seed, self.iteration), "train"
            )
            .first_episode_returns()
            .mean()
            .item()
            for policy in (self.policy, tried)
        ]
        if returns[1] > returns[0]:
            self.policy = tried
        return {"real_return": max(returns), "adapted_return": None}

    def parts(self) -> dict[str, Any]:
        return {"networks": {"policy": self.policy.state_dict()}, "optimisers": {}}

    def load_parts(
        self, parts: Mapping[str, Any], transitions: Mapping[str, Mapping[str, Tensor]]
    ) -> None:
        self.policy.load_state_dict(parts["networks"]["policy"])

    def adaptations(
        self, psis: Tensor, *, seed: int, after_step: AfterStep = lambda: None
    ) -> list[Unadapted]:
        return [Unadapted(self.policy) for _ in psis]


@dataclasses.dataclass
class Unadapted:
    policy: GaussianPolicy

    def learn(self, samples: int) -> None:
        pass


@pytest.fixture(autouse=True)
def own() -> Iterator[None]:
    known = dict(METHODS)
    register(model_based("opposite", "Opposite corners", Opposite))
    register(
        model_free(
            "climbing",
            "Hill climbing",
            HillClimbing,
            ("networks.policy_hidden",),
            iterations=lambda _: 3,
            drawn=lambda _: {},
            memory=lambda _settings, _family: {},
        )
    )
    yield
    METHODS.clear()
    METHODS.update(known)


_FREE = {"--horizon": "20", "--n-adapt": "40", "--n-train-tasks": "4", "--policy-hidden": "8"}


def options(method: str) -> list[str]:
    if method == "opposite":
        return flags(n_tasks=3, n_adapt=40)
    return [word for pair in _FREE.items() for word in pair]


def learned(path: pathlib.Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(path.rglob("*.safetensors"))}


@pytest.mark.parametrize("method", ["opposite", "climbing"])
def test_trains_resumes_evaluates_and_is_reported(
    method: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train = ["train", "--method", method, "--threads", "1", *options(method), "--out"]
    assert cli.main([*train, str(whole)]) == 0
    records = admrl.Run.load(whole).metrics()
    if method == "opposite":
        tasks = [r["u"] for r in records if r["event"] == "task"]
        assert tasks == [[0.3, 0.3], [-0.75, -0.75], [0.75, 0.75]]

    from admrl_native.activities.training.recorder import Recorder

    checkpoint, saved = Recorder.checkpoint, []

    def stop(self: Recorder, state: Mapping[str, Any]) -> None:
        checkpoint(self, state)
        saved.append(state)
        if len(saved) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "checkpoint", stop)
        assert cli.main([*train, str(parts)]) == 130
    assert cli.main(["train", "--resume", str(parts)]) == 0
    assert learned(parts) == learned(whole)

    (tmp_path / "tasks.csv").write_text("-0.5,1.3\n0.5,1.5\n")
    evaluate = ["--tasks", str(tmp_path / "tasks.csv"), "--episodes", "2", "--no-oracle"]
    evaluate += ["--real-samples", "0", "40", "--threads", "1"]
    assert cli.main(["evaluate", str(parts), *evaluate]) == 0
    report = tmp_path / "report"
    assert cli.main(["report", str(parts), "--out", str(report)]) == 0
    assert METHODS[method].title in (report / "index.html").read_text()
    told = json.loads((report / "report.json").read_text())
    assert {run["method"] for run in told["families"][0]["runs"]} == {method}


def test_a_name_is_taken_once() -> None:
    with pytest.raises(ValueError, match="expected a name of its own, got 'opposite'"):
        register(model_based("opposite", "Again", Opposite))


def test_what_they_do_not_read_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", "--method", "climbing", "--n-tasks", "3"]) == 2
    expected = "--n-tasks: expected none for climbing: it is an option of admrl, mb-unif, mb-gauss"
    assert f"{expected}, opposite" in capsys.readouterr().err
