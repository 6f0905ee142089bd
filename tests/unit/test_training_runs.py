"""Training end to end at toy sizes: every family, every method."""

import math

import pytest
import torch

from admrl_native.algorithms.admrl import METHODS
from admrl_native.families.catalogue import FAMILIES
from toy import SETTINGS, Memory, make_trainer


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("family", FAMILIES)
def test_trains(family, method):
    memory = Memory()
    trainer = make_trainer(memory, family, method)
    trainer.train()
    tasks = [values for event, values in memory.records if event == "task"]
    assert len(tasks) == 3
    assert tasks[0]["u"] == [0.3] * trainer.family.task_dim
    assert all(-1 <= x <= 1 for t in tasks for x in t["u"])
    assert tasks[1]["u"] != tasks[2]["u"]
    assert all(math.isfinite(t["returns"]["random"]) for t in tasks)
    gradients = [values for event, values in memory.records if event == "task-gradient"]
    assert len(gradients) == (2 if method == "admrl" else 0)
    for values in gradients:
        assert len(values["gradient"]) == trainer.family.task_dim
    if gradients:
        assert gradients[0]["next_psi"] == tasks[2]["psi"]


def test_unknown_method():
    with pytest.raises(ValueError, match="method: expected one of admrl, mb-unif, mb-gauss"):
        make_trainer(Memory(), method="sac")


def test_the_first_two_tasks_do_not_depend_on_the_method():
    tasks = {}
    for method in ("admrl", "mb-unif"):
        memory = Memory()
        make_trainer(memory, method=method).train()
        tasks[method] = [v["u"] for event, v in memory.records if event == "task"]
    assert tasks["admrl"][:2] == tasks["mb-unif"][:2]
    assert tasks["admrl"][2] != tasks["mb-unif"][2]


@pytest.mark.parametrize(
    ("group", "change"),
    [
        ("task_gradient", {"form": "per-dimension"}),
        ("task_gradient", {"solver": "minres"}),
        ("task_gradient", {"solver": "cg", "damping": 1e3}),
        ("task_gradient", {"model": "latest"}),
        ("physics", {"frame_skip": 3}),
        ("collection", {"ou_sigma": 0.0}),
        ("value_fit", {"normalise_targets": False}),
    ],
)
def test_options_run(group, change):
    changed = SETTINGS.replace(**{group: getattr(SETTINGS, group).replace(**change)})
    memory = Memory()
    make_trainer(memory, settings=changed).train()
    assert memory.records[-1][0] == "end"


def test_adaptation_leaves_the_run_alone():
    memory = Memory()
    trainer = make_trainer(memory)
    trainer.train()
    before = trainer.state()
    psi = torch.tensor([1.0, 1.5], dtype=torch.float64)
    zero_shot = trainer.adapt(psi, real_samples=0, seed=1)
    adapted = trainer.adapt(psi, real_samples=40, seed=1)
    assert zero_shot.real_samples == 0
    assert not torch.equal(zero_shot.policy.get_params(), adapted.policy.get_params())
    after = trainer.state()
    for name, tensors in before["networks"].items():
        assert all(torch.equal(t, after["networks"][name][k]) for k, t in tensors.items())
    assert trainer.evaluate(adapted, psi, episodes=5, seed=2).shape == (5,)
    with pytest.raises(ValueError, match="real_samples: expected a multiple of n_adapt=40, got 7"):
        trainer.adapt(psi, real_samples=7, seed=1)
