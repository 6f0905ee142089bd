"""A run of PEARL from end to end, small enough for a test."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from admrl_native.algorithms.methods import METHODS
from admrl_native.algorithms.mt_joint.settings import MetaSettings
from admrl_native.algorithms.pearl.adaptation import PearlAdaptation
from admrl_native.algorithms.pearl.learner import Pearl
from admrl_native.algorithms.pearl.settings import PearlSettings
from admrl_native.algorithms.settings import ScheduleSettings, TrainingSettings
from admrl_native.algorithms.setup import Setup
from admrl_native.families.catalogue import make_family
from admrl_native.families.physics import PhysicsSettings
from admrl_native.settings import SettingError
from admrl_native.training.sac_settings import SacSettings
from toy import Memory

SETTINGS = TrainingSettings(
    schedule=ScheduleSettings(n_adapt=40),
    physics=PhysicsSettings(horizon=20),
    meta=MetaSettings(n_train_tasks=5),
    pearl=PearlSettings(
        iterations=3,
        tasks_per_iteration=2,
        prior_samples=40,
        posterior_samples=60,
        initial_samples=80,
        gradient_steps=4,
        meta_batch=3,
        batch_size=16,
        context_size=8,
        encoder_hidden=(8,),
    ),
    sac=SacSettings(hidden=(8, 8), temperature="auto"),
)
ITERATIONS = SETTINGS.pearl.iterations


def make(observer: Memory, **options: Any) -> Pearl:
    method, settings = options.pop("method", "pearl"), options.pop("settings", SETTINGS)
    setup = Setup(make_family("Hopper2D"), settings, observer=observer, **options)
    learner = METHODS[method].learner(setup)
    assert isinstance(learner, Pearl)
    return learner


def run(**options: Any) -> tuple[Pearl, Memory]:
    memory = Memory()
    learner = make(memory, **options)
    learner.train()
    return learner, memory


def changed(**changes: Any) -> TrainingSettings:
    return SETTINGS.replace(pearl=SETTINGS.pearl.replace(**changes))


@pytest.fixture(scope="module")
def trained() -> tuple[Pearl, Memory]:
    return run()


@pytest.fixture(scope="module")
def told() -> Pearl:
    return run(method="pearl-mt")[0]


def same(a: Any, b: Any) -> bool:
    """Whether two states are the same, bit for bit."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


def policies_equal(a: PearlAdaptation, b: PearlAdaptation) -> bool:
    return same(dict(a.policy.state_dict()), dict(b.policy.state_dict()))


def test_what_a_run_tells(trained: tuple[Pearl, Memory]) -> None:
    _, memory = trained
    figures = [values for event, values in memory.records if event == "iteration"]
    assert len(figures) == ITERATIONS
    for values in figures:
        names = ("real_return", "adapted_return", "critic_loss", "actor_loss", "kl", "entropy")
        assert all(np.isfinite(values[name]) for name in names)
    assert figures[-1]["real_samples"] == {
        "initial": 5 * 80,
        "prior": ITERATIONS * 2 * 40,
        "posterior": ITERATIONS * 2 * 60,
    }


def test_same_seed_same_bits_at_any_number_of_threads(trained: tuple[Pearl, Memory]) -> None:
    learner, memory = trained
    for threads in (1, 2):
        again, records = run(threads=threads)
        assert records.records == memory.records
        assert same(again.state(), learner.state())
    other, _ = run(seed=1)
    assert not same(other.state(), learner.state())


@pytest.mark.parametrize("stop_after", range(1, ITERATIONS))
def test_resumed_is_uninterrupted(trained: tuple[Pearl, Memory], stop_after: int) -> None:
    learner, memory = trained
    first, second = Memory(stop_after), Memory()
    with pytest.raises(KeyboardInterrupt):
        make(first).train()
    resumed = make(second, threads=2)
    resumed.load(first.states[-1], first.stored())
    resumed.train()
    assert first.records + second.records == memory.records
    assert same(resumed.state(), learner.state())


def test_the_replay_of_a_resumed_run(trained: tuple[Pearl, Memory]) -> None:
    learner, memory = trained
    resumed = make(Memory())
    resumed.load(memory.states[-1], memory.stored())
    for task in range(5):
        for name in ("obs", "actions", "rewards", "next_obs", "dones"):
            stored, original = (getattr(x.replay.all(task), name) for x in (resumed, learner))
            assert torch.equal(stored, original)
        drawn = [
            x.replay.sample_context([task], 50, torch.Generator().manual_seed(0)).obs
            for x in (resumed, learner)
        ]
        assert torch.equal(*drawn)


def test_scales_are_set_once(trained: tuple[Pearl, Memory]) -> None:
    learner, memory = trained
    first, last = memory.states[0]["networks"], memory.states[-1]["networks"]
    for network in ("actor", "critics", "targets", "encoder"):
        for name in ("mean", "std"):
            key = f"normaliser.{name}"
            assert torch.equal(first[network][key], last[network][key])
    initial = {k: x[: 5 * 80] for k, x in memory.stored()["train"].items()}
    assert (initial["iteration"] == -1).all()
    obs, rewards = initial["obs"].double(), initial["rewards"].double()
    dim, latent = learner.environments.obs_dim, SETTINGS.pearl.latent_dim
    actor, encoder = learner.update.sac.actor.normaliser, learner.update.encoder.normaliser
    # Double precision rounded to float32.
    torch.testing.assert_close(actor.mean[:dim], obs.mean(0).float())
    torch.testing.assert_close(actor.std[:dim], obs.std(0, correction=0).float())
    assert torch.equal(actor.mean[dim:], torch.zeros(latent))
    assert torch.equal(actor.std[dim:], torch.ones(latent))
    torch.testing.assert_close(encoder.mean[-1], rewards.mean().float())
    torch.testing.assert_close(encoder.std[-1], rewards.std(correction=0).float())


def test_critics_begin_at_the_average_fixed_point() -> None:
    memory = Memory()
    learner = make(memory)
    learner.prepare()
    stored = memory.stored()["train"]
    gamma, scale = SETTINGS.advantage.gamma, SETTINGS.sac.reward_scale
    critics = learner.update.sac.critics
    obs = torch.cat([stored["obs"], torch.zeros(len(stored["obs"]), 5)], dim=1)
    with torch.no_grad():
        values = critics(obs, stored["actions"])
    after = gamma * (1 - stored["dones"]).mean() * values.mean()
    # The fresh last layers move them by 3e-3 times activations below 10.
    assert values.mean().item() == pytest.approx(
        (scale * stored["rewards"].mean() + after).item(), abs=0.2
    )
    assert values.std().item() < 0.1


def test_adaptation_begins_with_the_prior(trained: tuple[Pearl, Memory], told: Pearl) -> None:
    psi = torch.tensor([-1.0, 1.5], dtype=torch.float64)
    for learner, u in ((trained[0], torch.empty(0)), (told, told.task_inputs(psi))):
        (adaptation,) = learner.adaptations(psi.unsqueeze(0), seed=0)
        policy = adaptation.policy
        assert policy.deterministic
        assert torch.equal(policy.context_mean, torch.cat([u, torch.zeros(5)]))
        assert torch.equal(policy.context_std, torch.cat([torch.zeros_like(u), torch.ones(5)]))


def test_learning_narrows_the_belief_and_leaves_the_learner(
    trained: tuple[Pearl, Memory],
) -> None:
    learner, _ = trained
    before = {k: x.clone() for k, x in learner.update.encoder.state_dict().items()}
    psis = learner.train_psi[:2]
    steps = []
    adaptations = learner.adaptations(psis, seed=3, after_step=lambda: steps.append(1))
    stds = [adaptations[0].policy.context_std.max().item()]
    for _ in range(2):
        adaptations[0].learn(40)
        stds.append(adaptations[0].policy.context_std.max().item())
    assert stds[0] > stds[1] > stds[2]
    assert len(steps) == 2
    assert adaptations[1].policy.context_std.max().item() == 1.0
    assert same(dict(learner.update.encoder.state_dict()), before)
    again = learner.adaptations(psis, seed=3)[0]
    again.learn(40)
    again.learn(40)
    assert policies_equal(again, adaptations[0])


def test_adapt_and_evaluate(told: Pearl) -> None:
    psi = told.train_psi[0]
    adapted = told.adapt(psi, real_samples=80, seed=1)
    returns = told.evaluate(adapted, psi, episodes=3, seed=2)
    assert returns.shape == (3,)
    assert np.isfinite(returns).all()
    assert np.array_equal(returns, told.evaluate(adapted, psi, episodes=3, seed=2))
    with pytest.raises(ValueError, match="real_samples: expected a multiple of n_adapt=40, got 50"):
        told.adapt(psi, real_samples=50, seed=1)


def test_the_encoder_may_see_next_states() -> None:
    learner, memory = run(settings=changed(encoder_next_obs=True, iterations=1))
    assert learner.update.encoder.input_dim == 2 * 11 + 3 + 1
    assert np.isfinite(memory.records[-2][1]["critic_loss"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"meta_batch": 6}, r"pearl_meta_batch: expected at most n_train_tasks \(5\), got 6"),
        (
            {"tasks_per_iteration": 6},
            r"pearl_tasks_per_iteration: expected at most n_train_tasks \(5\), got 6",
        ),
        ({"prior_samples": 50}, r"pearl_prior_samples: expected a multiple of horizon \(20\)"),
        ({"posterior_samples": 10}, r"pearl_posterior_samples: expected a multiple of horizon"),
        ({"initial_samples": 1}, r"pearl_initial_samples: expected a multiple of horizon"),
    ],
)
def test_settings_that_do_not_fit_one_another(changes: dict[str, Any], message: str) -> None:
    for method in ("pearl", "pearl-mt"):
        with pytest.raises(SettingError, match="^" + message):
            METHODS[method].check(changed(**changes))


@pytest.mark.parametrize(
    ("settings", "changes", "message"),
    [
        (PearlSettings, {"latent_dim": 0}, "latent_dim: expected at least 1, got 0"),
        (PearlSettings, {"kl_weight": -0.1}, "kl_weight: expected at least 0, got -0.1"),
        (SacSettings, {"temperature": 0.0}, "temperature: expected more than 0, got 0.0"),
        (SacSettings, {"temperature": "x"}, "temperature: expected a number or auto, got 'x'"),
        (SacSettings, {"target_rate": 1.5}, "target_rate: expected at most 1, got 1.5"),
    ],
)
def test_values_that_a_setting_cannot_take(
    settings: Any, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingError, match="^" + message):
        settings(**changes)
