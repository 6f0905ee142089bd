"""Training end to end at toy sizes: every family, every method."""

import copy
import math

import pytest
import torch

from admrl_native.algorithms.methods import METHODS
from admrl_native.families.catalogue import FAMILIES
from toy import SETTINGS, Memory, make_trainer


@pytest.mark.parametrize("method", [m.name for m in METHODS.values() if m.model_based])
@pytest.mark.parametrize("family", FAMILIES)
def test_trains(family, method):
    memory = Memory()
    trainer = make_trainer(memory, family, method)
    trainer.train()
    tasks = [values for event, values in memory.records if event == "task"]
    assert len(tasks) == 3
    assert tasks[0]["u"] == [0.3] * trainer.family.task_dim
    assert all(-1 <= x <= 1 for t in tasks for x in t["u"])
    assert all(math.isfinite(t["returns"]["random"]) for t in tasks)
    gradients = [values for event, values in memory.records if event == "task-gradient"]
    assert len(gradients) == (1 if method == "admrl" else 0)  # the last chooses nothing
    for values in gradients:
        assert len(values["gradient"]) == trainer.family.task_dim
    if gradients:
        assert gradients[0]["next_psi"] == tasks[2]["psi"]
        step = SETTINGS.task_selection.step_size
        uphill = [
            u + step * g for u, g in zip(tasks[1]["u"], gradients[0]["gradient_u"], strict=True)
        ]
        assert tasks[2]["u"] == [min(max(u, -1.0), 1.0) for u in uphill]
    else:
        assert tasks[1]["u"] != tasks[2]["u"]


def test_a_gradient_comes_with_its_health():
    memory = Memory()
    make_trainer(memory, "Cheetah-Highdim").train()
    values = next(v for event, v in memory.records if event == "task-gradient")
    health, k = values["health"], 18
    assert len(health["standard_error"]) == len(health["trusted"]) == k
    assert all(error > 0 for error in health["standard_error"])
    assert health["ritz_smallest"] < health["ritz_largest"]
    assert health["stationarity"] > 0
    assert -1 <= health["halves_cosine"] <= 1
    assert values["damping"]["value"] > 0
    assert values["damping"]["why"].startswith("auto: ")
    assert values["verdict"]
    assert [len(values["terms"][name]) for name in ("at_theta_star", "implicit")] == [k, k]


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


def test_zero_shot_adaptation_to_many_tasks_is_that_to_each():
    trainer = make_trainer(Memory())
    trainer.train()
    before = copy.deepcopy(trainer.model.networks())
    psis = torch.tensor([[0.5, 1.2], [-1.0, 1.6], [0.5, 1.2]], dtype=torch.float64)
    policies = trainer.adapt_zero_shot(psis, seed=1)
    for policy, psi in zip(policies, psis, strict=True):
        alone = trainer.adapt(psi, real_samples=0, seed=1)
        assert torch.equal(policy.policy.get_params(), alone.policy.get_params())
        assert torch.equal(policy.psi, psi)
        assert policy.real_samples == 0
    assert not torch.equal(policies[0].policy.get_params(), policies[1].policy.get_params())
    for name, tensor in trainer.model.networks()["dynamics"].items():
        assert torch.equal(tensor, before["dynamics"][name])


def test_adaptation_leaves_the_run_alone():
    memory = Memory()
    trainer = make_trainer(memory)
    trainer.train()
    before = copy.deepcopy(trainer.state())
    psi = torch.tensor([1.0, 1.5], dtype=torch.float64)
    zero_shot = trainer.adapt(psi, real_samples=0, seed=1)
    adapted = trainer.adapt(psi, real_samples=40, seed=1)
    assert zero_shot.real_samples == 0
    assert not torch.equal(zero_shot.policy.get_params(), adapted.policy.get_params())
    after = trainer.state()
    for part in ("networks", "optimisers"):
        for name, tensors in before[part].items():
            assert all(torch.equal(t, after[part][name][k]) for k, t in tensors.items())
    assert len(trainer.model.replays["train"]) == 4 * 80
    assert trainer.evaluate(adapted, psi, episodes=5, seed=2).shape == (5,)
    with pytest.raises(ValueError, match="real_samples: expected a multiple of n_adapt=40, got 7"):
        trainer.adapt(psi, real_samples=7, seed=1)


def test_the_zero_shot_policy_and_model_stay_as_they_were_while_slbo_goes_on():
    memory = Memory()
    make_trainer(memory).train()
    zero_shot, after_slbo = memory.states[3], memory.states[4]  # of the second task
    assert zero_shot["counters"]["progress"]["slbo_stages"] == 0
    assert after_slbo["counters"]["progress"]["slbo_stages"] == 1
    pairs = {
        "zero_shot.policy": "agent.policy",
        "zero_shot.value": "agent.value",
        "zero_shot.dynamics": "dynamics",
    }
    for snapshot, live in pairs.items():
        first, later = (s["networks"] for s in (zero_shot, after_slbo))
        for key, tensor in first[snapshot].items():
            assert torch.equal(tensor, first[live][key])
            assert torch.equal(tensor, later[snapshot][key])
        assert not all(torch.equal(t, later[live][key]) for key, t in first[live].items())


def test_the_model_of_the_gradient_is_the_one_asked_for():
    gradients = []
    for model in ("zero-shot", "latest"):
        memory = Memory()
        change = SETTINGS.task_gradient.replace(model=model)
        settings = SETTINGS.replace(task_gradient=change)
        # linear rewards: ∂Â/∂ψ, and with it M, is never the same for all episodes
        make_trainer(memory, "Cheetah-Highdim", settings=settings).train()
        gradients.append(next(v for event, v in memory.records if event == "task-gradient"))
    ours, theirs = (g["terms"] for g in gradients)
    assert ours["at_theta_hat"] == theirs["at_theta_hat"]
    assert ours["implicit"] != theirs["implicit"]


def test_every_task_starts_afresh():
    memory = Memory()
    make_trainer(memory).train()
    first, second = memory.states[0], memory.states[3]
    weights = [s["networks"]["agent.policy"]["mean.layers.0.weight"] for s in (first, second)]
    assert not torch.equal(*weights)
    steps = [s["optimisers"]["agent.value"]["0.step"].item() for s in (first, second)]
    # one virtual iteration of two policy updates: two minibatches of at most 64 of 120 samples
    assert steps == [4, 4]


def test_the_order_is_algorithm_1_s():
    memory = Memory()
    make_trainer(memory).train()
    later = ["random-policy", "zero-shot", "slbo 1/1"]
    assert memory.phases == [
        # no data yet: no zero-shot adaptation, and no gradient without its policy
        *[(0, name) for name in ("random-policy", "slbo 1/2", "slbo 2/2")],
        *[(1, name) for name in (*later, "task-gradient")],
        *[(2, name) for name in later],
    ]
    iterations = [(v["task"], v["phase"]) for event, v in memory.records if "iteration" in event]
    assert iterations == [
        (0, "slbo-0"),
        (0, "slbo-1"),
        (1, "zero-shot"),
        (1, "slbo-0"),
        (2, "zero-shot"),
        (2, "slbo-0"),
    ]
