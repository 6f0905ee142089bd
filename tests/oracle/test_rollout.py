"""The closed loop: steps replayed one by one, policy against torch, noise against theory."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor

from admrl_native.families.catalogue import FAMILIES, make_family
from admrl_native.families.native import native_simulation
from admrl_native.families.physics import PhysicsSettings
from admrl_native.networks.policy import GaussianPolicy
from admrl_native.networks.settings import NetworkSettings
from admrl_native.sampling.real import PolicyArrays, RealEnvironment
from admrl_native.sampling.trajectories import Trajectories

PHYSICS = PhysicsSettings(horizon=30)


def make_policy(obs_dim: int, act_dim: int, log_std: float = -0.5) -> GaussianPolicy:
    """A policy whose every number matters: weights, biases, deviations and normaliser."""
    g = torch.Generator().manual_seed(0)
    settings = NetworkSettings(policy_output_scale=0.5, initial_log_std=log_std)
    policy = GaussianPolicy(obs_dim, act_dim, settings, g)
    with torch.no_grad():
        for p in policy.parameters():
            p += 0.1 * torch.randn(p.shape, generator=g)
    policy.normaliser.update(0.3 + 1.7 * torch.randn((500, obs_dim), generator=g))
    return policy


def rollout(
    name: str, num_steps: int = 70, **options: object
) -> tuple[Trajectories, GaussianPolicy]:
    family = make_family(name)
    environment = RealEnvironment(family, PHYSICS, num_envs=6, num_threads=2)
    policy = make_policy(family.obs_dim, family.act_dim)
    arguments: dict[str, object] = {"seed": 5, "psi": family.task_high, **options}
    return environment.rollout(PolicyArrays.of(policy), num_steps, **arguments), policy  # type: ignore[arg-type]


@pytest.mark.parametrize("name", FAMILIES)
def test_replay_through_step(name: str) -> None:
    """Recorded actions, given to `step`, lead through the same states to the same rewards."""
    t, _ = rollout(name, ou_theta=0.15, ou_sigma=0.3)
    family = make_family(name)
    native = native_simulation(family, PHYSICS, 6, 1)
    native.reset(5)
    for k in range(t.obs.shape[1]):
        np.testing.assert_array_equal(t.obs[:, k].numpy(), native.observations())
        step = native.step(t.actions[:, k].contiguous().numpy(), np.array(family.task_high))
        for key, values in step.items():
            np.testing.assert_array_equal(getattr(t, key)[:, k].numpy(), values, err_msg=key)
        native.reset(mask=step["dones"] | step["timeouts"])
    assert (t.dones | t.timeouts).sum() >= 12


@pytest.mark.parametrize("name", FAMILIES)
def test_policy_against_torch(name: str) -> None:
    t, policy = rollout(name, deterministic=True)
    with torch.no_grad():
        mean = policy(t.obs)
    # float32 sums of up to 35 terms in another order; actions are of order 1.
    torch.testing.assert_close(t.actions, mean, rtol=0, atol=5e-6)
    constant = torch.distributions.Normal(mean, policy.log_std.exp()).log_prob(mean).sum(-1)
    # A sum of A float32 terms of order 1.
    torch.testing.assert_close(t.log_probs, constant.detach(), rtol=0, atol=5e-6)


@pytest.mark.parametrize("ou_sigma", [0.0, 0.3])
def test_log_probs(ou_sigma: float) -> None:
    """log π(a|s) at the action that was taken, exploration included."""
    t, policy = rollout("Ant2D", ou_theta=0.15, ou_sigma=ou_sigma)
    double = policy.double()
    normal = torch.distributions.Normal(double(t.obs.double()), double.log_std.exp())
    expected = normal.log_prob(t.actions.double()).sum(-1).detach()
    # The native mean is float32, off by up to 2e-6; z / σ up to 10 multiplies it, over 8 actions.
    torch.testing.assert_close(t.log_probs.double(), expected, rtol=0, atol=1e-4)


def standardised(t: Trajectories, policy: GaussianPolicy) -> Tensor:
    with torch.no_grad():
        return (t.actions - policy(t.obs)) / policy.log_std.exp()


def test_action_noise_is_standard_normal() -> None:
    t, policy = rollout("Walker2D", num_steps=1000)
    z = standardised(t, policy).double()
    n = z.numel()
    # Five standard errors of the mean, of the variance and of the correlations of neighbours.
    assert abs(z.mean()) < 5 / n**0.5
    assert abs(z.var() - 1) < 5 * (2 / n) ** 0.5
    for a, b in ((z[:, 1:], z[:, :-1]), (z[1:], z[:-1]), (z[..., 1:], z[..., :-1])):
        assert abs((a * b).mean()) < 5 / a.numel() ** 0.5


def test_exploration_noise() -> None:
    """x ← x − θ x + σ N(0, 1) from x = 0 in every episode; the policy has next to no σ."""
    theta, sigma = 0.15, 0.3
    family = make_family("Cheetah-Highdim")  # never done: all episodes have 30 steps
    policy = make_policy(family.obs_dim, family.act_dim, log_std=-15.0)
    with torch.no_grad():
        policy.log_std.fill_(-15.0)
    environment = RealEnvironment(family, PHYSICS, num_envs=50, num_threads=2)
    t = environment.rollout(
        PolicyArrays.of(policy), 300, seed=1, psi=family.task_low, ou_theta=theta, ou_sigma=sigma
    )
    with torch.no_grad():
        x = (t.actions - policy(t.obs)).double().unflatten(1, (10, 30))
    before = torch.cat([torch.zeros_like(x[:, :, :1]), x[:, :, :-1]], 2)
    innovations = (x - (1 - theta) * before) / sigma
    n = innovations.numel()
    # Five standard errors; the policy's own noise (e^-15) is far below them.
    assert abs(innovations.mean()) < 5 / n**0.5
    assert abs(innovations.var() - 1) < 5 * (2 / n) ** 0.5
    lagged = (innovations[:, :, 1:] * innovations[:, :, :-1]).mean()
    assert abs(lagged) < 5 / n**0.5
    first = x[:, :, 0] / sigma  # an episode begins at 0, not where the last one ended
    assert abs(first.var() - 1) < 5 * (2 / first.numel()) ** 0.5


def test_deterministic_ignores_the_noise() -> None:
    a, _ = rollout("Ant2D", deterministic=True, ou_theta=0.15, ou_sigma=0.3)
    b, _ = rollout("Ant2D", deterministic=True)
    assert torch.equal(a.actions, b.actions)


def test_a_task_for_every_environment() -> None:
    family = make_family("Ant2D")
    tasks = torch.linspace(-3, 3, 12, dtype=torch.float64).view(6, 2)
    together, _ = rollout("Ant2D", psi=tasks)
    for i in range(6):
        alone, _ = rollout("Ant2D", psi=tasks[i])
        assert torch.equal(together.rewards[i], alone.rewards[i])
        assert torch.equal(together.obs[i], alone.obs[i])
    outside, _ = rollout("Ant2D", psi=[5.0, -5.0])  # tasks outside Ψ can be evaluated
    assert outside.rewards.shape == together.rewards.shape
    assert family.task_high == (3.0, 3.0)


def test_timeouts_and_next_observations() -> None:
    t, _ = rollout("Cheetah-Highdim", num_steps=65)
    assert not t.dones.any()
    assert t.timeouts.nonzero()[:, 1].unique().tolist() == [29, 59]
    same = (t.next_obs[:, :-1] == t.obs[:, 1:]).all(-1)
    assert torch.equal(same, ~t.timeouts[:, :-1])  # next_obs is never a reset observation


def test_trajectory_helpers_against_loops() -> None:
    t, _ = rollout("Hopper2D", num_steps=65)
    num_episodes = 0
    first: list[float] = []
    for i, row in enumerate(t.rewards.double().tolist()):
        total = 0.0
        own: list[float] = []
        for k, reward in enumerate(row):
            total += reward
            if t.dones[i, k] or t.timeouts[i, k] or k == len(row) - 1:
                own.append(total)
                total = 0.0
        first.append(own[0])
        num_episodes += len(own)
    assert num_episodes > 12
    assert t.num_episodes() == num_episodes
    assert t.num_samples == 6 * 65
    assert t.mean_episode_length() == t.num_samples / num_episodes
    # Differences of running sums of about 4000, in float64.
    torch.testing.assert_close(
        t.first_episode_returns(), torch.tensor(first, dtype=torch.float64), rtol=0, atol=1e-9
    )
    moved = t.to("cpu")
    assert all(
        torch.equal(getattr(moved, f.name), getattr(t, f.name)) for f in dataclasses.fields(t)
    )
