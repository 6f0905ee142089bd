"""MAML and MAML-MT end to end, on a hopper of twenty steps."""

from __future__ import annotations

import copy
import math

import pytest
import torch

from admrl_native.algorithms.maml.learner import Maml
from admrl_native.algorithms.maml.settings import MamlSettings
from admrl_native.algorithms.methods import METHODS
from admrl_native.algorithms.mt_joint.settings import MetaSettings
from admrl_native.algorithms.setup import Setup
from admrl_native.families.catalogue import make_family
from admrl_native.networks.conditioned import ConditionedPolicy, unconditioned
from admrl_native.settings import SettingError
from toy import SETTINGS, Memory

SMALL = SETTINGS.replace(
    maml=MamlSettings(hidden=(8,), meta_batch=3, rollouts=2, iterations=3),
    meta=MetaSettings(n_train_tasks=5),
)
PSIS = torch.tensor([[0.5, 1.3], [3.0, 1.5]], dtype=torch.float64)  # the second lies outside Ψ


def make_learner(
    observer: Memory | None = None,
    method: str = "maml",
    seed: int = 0,
    threads: int = 1,
    **changes: object,
) -> Maml:
    settings = SMALL.replace(maml=SMALL.maml.replace(**changes))
    METHODS[method].check(settings)
    setup = Setup(make_family("Hopper2D"), settings, seed, threads, "cpu", observer or Memory())
    learner = METHODS[method].learner(setup)
    assert isinstance(learner, Maml)
    return learner


@pytest.fixture(scope="module")
def trained() -> dict[str, Maml]:
    learners = {method: make_learner(method=method) for method in ("maml", "maml-mt")}
    for learner in learners.values():
        learner.train()
    return learners


@pytest.mark.parametrize("method", ["maml", "maml-mt"])
def test_every_iteration_tells_what_it_did(trained, method):
    learner = trained[method]
    assert isinstance(learner.observer, Memory)
    records = [values for event, values in learner.observer.records if event == "iteration"]
    assert [r["iteration"] for r in records] == [0, 1, 2]
    for i, record in enumerate(records):
        samples = (i + 1) * 3 * 2 * 20  # tasks, rollouts, steps
        assert record["real_samples"] == {"pre-adaptation": samples, "post-adaptation": samples}
        for name in ("real_return", "adapted_return", "improvement", "entropy"):
            assert math.isfinite(record[name])
        assert 0 <= record["kl"] <= SMALL.maml.max_kl
    assert any(r["line_search_steps"] >= 0 for r in records)
    assert len(learner.observer.states) == 3
    assert learner.policy.normaliser.count == 3 * 3 * 2 * 2 * 20


def test_the_multi_task_policy_sees_the_task(trained):
    assert trained["maml"].policy.normaliser.mean.shape == (11,)
    assert trained["maml-mt"].policy.normaliser.mean.shape == (13,)
    adaptations = trained["maml-mt"].adaptations(PSIS, seed=0)
    seen = trained["maml-mt"].task_space.to_normalised(PSIS).float()
    for adaptation, u in zip(adaptations, seen, strict=True):
        policy = adaptation.policy
        assert isinstance(policy, ConditionedPolicy)
        assert torch.equal(policy.context_mean, u)
        assert not policy.context_std.any()
        assert not policy.deterministic


@pytest.mark.parametrize("method", ["maml", "maml-mt"])
def test_an_interrupted_run_ends_with_the_same_bits(trained, method):
    observer = Memory(stop_after=1)
    with pytest.raises(KeyboardInterrupt):
        make_learner(observer, method).train()
    resumed = make_learner(method=method)
    resumed.load(observer.states[-1], observer.stored())
    resumed.train()
    expected, found = trained[method].state(), resumed.state()
    assert found["counters"] == expected["counters"]
    for key, value in expected["networks"]["policy"].items():
        assert torch.equal(found["networks"]["policy"][key], value), key


def test_the_number_of_threads_changes_nothing_and_the_seed_does(trained):
    expected = trained["maml"].policy.get_params()
    for options, same in (({"threads": 2}, True), ({"seed": 1}, False)):
        other = make_learner(**options)
        other.train()
        assert torch.equal(other.policy.get_params(), expected) == same


@pytest.mark.parametrize("changes", [{"inner_steps": 2}, {"surrogate": "dice"}])
def test_other_ways_to_adapt_in_training(trained, changes):
    learner = make_learner(**changes)
    learner.train()
    assert not torch.equal(learner.policy.get_params(), trained["maml"].policy.get_params())
    steps = changes.get("inner_steps", 1)
    counts = learner.environments.sample_counts()["real_samples"]
    assert counts == {"pre-adaptation": 360 * steps, "post-adaptation": 360}


@pytest.mark.parametrize("method", ["maml", "maml-mt"])
def test_adaptation_starts_at_theta_and_leaves_it_alone(trained, method):
    learner = copy.copy(trained[method])
    theta = learner.policy.get_params()
    (unadapted, other) = learner.adaptations(PSIS, seed=3)
    assert torch.equal(unconditioned(unadapted.policy).get_params(), theta)
    before = learner.environments.sample_counts()["real_samples"]["pre-adaptation"]
    unadapted.learn(40)
    assert not torch.equal(unconditioned(unadapted.policy).get_params(), theta)
    assert torch.equal(unconditioned(other.policy).get_params(), theta)
    assert torch.equal(learner.policy.get_params(), theta)
    counts = learner.environments.sample_counts()["real_samples"]
    assert counts["pre-adaptation"] == before
    assert counts["adaptation"] >= 40
    adapted = learner.adapt(PSIS[0], real_samples=80, seed=3)
    returns = learner.evaluate(adapted, PSIS[0], episodes=3, seed=0)
    assert returns.shape == (3,)


def test_step_sizes_at_test_time():
    """The first step has all of it; what comes later, in this round or the next, half."""
    whole, halves = make_learner(), make_learner(test_later_factor=1.0)
    theta = whole.policy.get_params()
    moves = []
    for learner in (whole, halves):
        (adaptation,) = learner.adaptations(PSIS[:1], seed=0)
        steps = []
        for _ in range(2):
            adaptation.learn(40)
            steps.append(unconditioned(adaptation.policy).get_params())
        moves.append(steps)
    assert torch.equal(moves[0][0], moves[1][0])
    half, full = (steps[1] - steps[0] for steps in moves)
    # θ is of order 1 and the steps 0.01, so that their difference is known to 1e-5
    torch.testing.assert_close(half, full / 2, rtol=1e-3, atol=1e-6)
    assert not torch.equal(moves[0][0], theta)


def test_a_round_may_have_several_steps():
    one, two = make_learner(), make_learner(test_steps=2)
    (a,), (b,) = (x.adaptations(PSIS[:1], seed=0) for x in (one, two))
    a.learn(20)
    a.learn(20)
    b.learn(40)
    assert torch.equal(
        unconditioned(a.policy).get_params(), unconditioned(b.policy).get_params()
    )  # the same steps on the same samples


def test_samples_that_are_no_whole_episodes():
    (adaptation,) = make_learner(test_steps=2).adaptations(PSIS[:1], seed=0)
    with pytest.raises(ValueError, match=r"samples: expected a multiple of .* \(40\), got 60"):
        adaptation.learn(60)
    with pytest.raises(ValueError, match=r"samples: expected a multiple of .* \(40\), got 0"):
        adaptation.learn(0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"meta_batch": 6}, r"maml_meta_batch: expected at most n_train_tasks \(5\), got 6"),
        ({"test_steps": 3}, r"maml_test_steps: expected n_adapt \(40\) to be a multiple .* got 3"),
        ({"surrogate": "maml"}, r"surrogate: expected one of lvc, dice, first-order, got 'maml'"),
        ({"inner_step_size": 0.0}, r"inner_step_size: expected more than 0, got 0.0"),
        ({"hidden": (0,)}, r"hidden: expected at least 1, got 0"),
        ({"kl_tolerance": 0.5}, r"kl_tolerance: expected at least 1, got 0.5"),
    ],
)
def test_bad_settings(changes, message):
    with pytest.raises(SettingError, match=message):
        make_learner(**changes)
