"""The fits find what they should find."""

import pytest
import torch

from admrl_native._native import _core
from admrl_native.networks.settings import NetworkSettings
from admrl_native.networks.value import ValueFunction
from admrl_native.sampling.replay import Replay
from admrl_native.training.learned_dynamics import LearnedDynamics
from admrl_native.training.settings import DynamicsFitSettings, ValueFitSettings
from admrl_native.training.value_fit import ValueFit

CPU = torch.device("cpu")


def linear_system(rows: int, seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    obs = torch.randn(rows, 3, generator=generator) * torch.tensor([1.0, 10.0, 0.1])
    actions = torch.rand(rows, 2, generator=generator) * 2 - 1
    a = torch.tensor([[0.0, 0.01, 0.0], [-1.0, 0.0, 2.0], [0.01, 0.0, -0.1]])
    b = torch.tensor([[0.5, 0.0], [0.0, 1.0], [0.02, -0.05]])
    return {"obs": obs, "actions": actions, "next_obs": obs + obs @ a.T + actions @ b.T}


def test_dynamics_fit_recovers_a_linear_system():
    networks = NetworkSettings(dynamics_hidden=(64, 64), dynamics_initial_std=0.1)
    model = LearnedDynamics(
        3, 2, networks, DynamicsFitSettings(), torch.Generator().manual_seed(0), CPU
    )
    model.add("train", linear_system(4000, seed=1))
    model.add("validation", linear_system(1000, seed=2))
    before = model.fit.validation_loss(model.replays["validation"])
    model.fit.fit(model.replays["train"], 1500, torch.Generator().manual_seed(3))
    after = model.fit.validation_loss(model.replays["validation"])
    assert before > 0.5  # an untrained model predicts the mean difference
    assert after < 0.05
    test = linear_system(500, seed=4)
    with torch.no_grad():
        error = model.dynamics(test["obs"], test["actions"]) - test["next_obs"]
    spread = (test["next_obs"] - test["obs"]).std(0)
    assert (error.std(0) < 0.1 * spread).all()


def test_dynamics_loss_is_the_mean_of_root_mean_squares():
    model = LearnedDynamics(
        3, 2, NetworkSettings(), DynamicsFitSettings(), torch.Generator().manual_seed(0), CPU
    )
    data = linear_system(50, seed=1)
    model.add("train", data)
    d = model.dynamics
    error = (d(data["obs"], data["actions"]) - data["next_obs"]) / d.differences.std
    expected = error.square().mean(1).sqrt().mean()
    torch.testing.assert_close(d.loss(**data), expected, rtol=1e-5, atol=0)  # float32


def test_replay_keeps_order_and_draws_only_what_it_holds():
    replay = Replay(3, 2, CPU)
    parts = [linear_system(n, seed=n) for n in (5, 1, 700)]
    for part in parts:
        replay.append(part)
    obs, actions, next_obs = replay.all()
    assert len(replay) == 706
    assert torch.equal(obs, torch.cat([p["obs"] for p in parts]))
    assert torch.equal(actions, torch.cat([p["actions"] for p in parts]))
    assert torch.equal(next_obs, torch.cat([p["next_obs"] for p in parts]))
    drawn = replay.sample(64, torch.Generator().manual_seed(0))[0]
    assert all((obs == row).all(1).any() for row in drawn)


def test_value_fit_learns_large_returns_with_normalised_targets():
    settings = ValueFitSettings(epochs=120, normalise_targets=True)
    value = ValueFunction(2, NetworkSettings(), torch.Generator().manual_seed(0))
    fit = ValueFit(value, settings)
    obs = torch.randn(2000, 2, generator=torch.Generator().manual_seed(1))
    returns = 800 + 50 * obs[:, 0] - 20 * obs[:, 1].square()
    fit.fit(obs, returns, torch.Generator().manual_seed(2))
    with torch.no_grad():
        error = (value(obs) - returns).std()
    assert error < 0.2 * returns.std()  # 3840 Adam steps


def test_native_and_torch_value_fits_are_the_same():
    obs = torch.randn(300, 4, generator=torch.Generator().manual_seed(1))
    returns = obs.sum(1).sin()
    fits = []
    for _ in range(2):
        value = ValueFunction(4, NetworkSettings(), torch.Generator().manual_seed(0))
        fits.append(ValueFit(value, ValueFitSettings(epochs=3)))
    native, plain = fits
    losses: list[list[float]] = [[], []]
    for seed in range(3):
        job = native.native_job(obs, returns, torch.Generator().manual_seed(seed))
        _core.ThreadPool(1).run([job])
        losses[0].append(native.finish(job))
        losses[1].append(plain.fit(obs, returns, torch.Generator().manual_seed(seed)))
    # float32: 45 Adam steps whose sums round differently
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    for ours, theirs in zip(native.value.parameters(), plain.value.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)
        steps = (native.optimiser.state[ours]["step"], plain.optimiser.state[theirs]["step"])
        assert steps == (45, 45)


def test_a_dynamics_step_is_adam_on_the_clipped_gradient_with_weight_decay():
    settings = DynamicsFitSettings(weight_decay=0.5, max_grad_norm=0.1, batch_size=40)
    networks = NetworkSettings(dynamics_hidden=(8,), dynamics_initial_std=0.5)
    model = LearnedDynamics(3, 2, networks, settings, torch.Generator().manual_seed(0), CPU)
    model.add("train", linear_system(100, seed=1))
    weights = [w.detach().clone() for w in model.dynamics.net.parameters()]
    batch = model.replays["train"].sample(40, torch.Generator().manual_seed(2))
    loss = model.dynamics.loss(*batch)
    gradients = torch.autograd.grad(loss, list(model.dynamics.net.parameters()))
    decayed = [g + 0.5 * w for g, w in zip(gradients, weights, strict=True)]
    norm = torch.sqrt(sum(g.square().sum() for g in decayed))
    assert norm > 0.1
    model.fit.fit(model.replays["train"], 1, torch.Generator().manual_seed(2))
    for before, g, after in zip(weights, decayed, model.dynamics.net.parameters(), strict=True):
        clipped = g * 0.1 / (norm + 1e-6)  # torch's own guard against a zero norm
        # Adam's first step: the rate times g / (|g| + ε); float32
        expected = before - 1e-3 * clipped / (clipped.abs() + 1e-8)
        torch.testing.assert_close(after, expected, rtol=1e-5, atol=1e-7)
