"""The bits depend on the seed, on nothing else."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from admrl_native.families.catalogue import FAMILIES, make_family
from admrl_native.families.native import native_simulation
from admrl_native.families.physics import PhysicsSettings
from admrl_native.families.state_normalisation import initial_policy_statistics
from admrl_native.networks.policy import GaussianPolicy
from admrl_native.networks.settings import NetworkSettings
from admrl_native.sampling.real import PolicyArrays, RealEnvironment
from admrl_native.sampling.trajectories import Trajectories

PHYSICS = PhysicsSettings(horizon=25)


def rollout(
    name: str, *, threads: int = 2, envs: int = 7, steps: int = 40, seed: int = 3
) -> Trajectories:
    family = make_family(name)
    environment = RealEnvironment(family, PHYSICS, envs, threads)
    settings = NetworkSettings(policy_output_scale=0.5)
    policy = GaussianPolicy(
        family.obs_dim, family.act_dim, settings, torch.Generator().manual_seed(0)
    )
    return environment.rollout(
        PolicyArrays.of(policy), steps, seed=seed, psi=family.task_low, ou_theta=0.15, ou_sigma=0.3
    )


def same(a: Trajectories, b: Trajectories) -> bool:
    fields = [f.name for f in dataclasses.fields(Trajectories)]
    return all(torch.equal(getattr(a, name), getattr(b, name)) for name in fields)


@pytest.mark.parametrize("name", FAMILIES)
def test_threads_do_not_matter_and_the_seed_does(name: str) -> None:
    reference = rollout(name, threads=1)
    assert same(reference, rollout(name, threads=2))
    assert same(reference, rollout(name, threads=3))
    other = rollout(name, threads=1, seed=4)
    assert not torch.equal(reference.obs[:, 0], other.obs[:, 0])
    assert not torch.equal(reference.actions[:, 0], other.actions[:, 0])


def test_every_environment_is_different() -> None:
    t = rollout("Ant2D")
    assert len(t.obs[:, 0].unique(dim=0)) == 7
    assert len(t.actions[:, 0].unique(dim=0)) == 7


def test_the_number_of_environments_and_steps_does_not_matter() -> None:
    large, small = rollout("Walker2D", envs=9, steps=60), rollout("Walker2D", envs=4, steps=35)
    assert torch.equal(large.next_obs[:4, :35], small.next_obs)
    assert torch.equal(large.actions[:4, :35], small.actions)


def test_earlier_calls_do_not_matter() -> None:
    family = make_family("Hopper2D")
    environment = RealEnvironment(family, PHYSICS, 4, 2)
    policy = GaussianPolicy(
        family.obs_dim, family.act_dim, NetworkSettings(), torch.Generator().manual_seed(0)
    )
    arrays = PolicyArrays.of(policy)
    first = environment.rollout(arrays, 30, seed=1, psi=family.task_low)
    environment.rollout(arrays, 17, seed=2, psi=family.task_high)
    environment.simulation.reset(9)
    environment.rollout(arrays, 10, seed=9, psi=family.task_low)
    assert same(first, environment.rollout(arrays, 30, seed=1, psi=family.task_low))


def test_weights_changed_in_place_are_seen() -> None:
    family = make_family("Hopper2D")
    environment = RealEnvironment(family, PHYSICS, 4, 2)
    policy = GaussianPolicy(
        family.obs_dim, family.act_dim, NetworkSettings(), torch.Generator().manual_seed(0)
    )
    arrays = PolicyArrays.of(policy)
    before = environment.rollout(arrays, 1, seed=1, psi=family.task_low, deterministic=True)
    with torch.no_grad():
        policy.mean.layers[-1].bias += 0.25  # type: ignore[operator]
    after = environment.rollout(arrays, 1, seed=1, psi=family.task_low, deterministic=True)
    # One float32 rounding of a sum of order 1.
    torch.testing.assert_close(after.actions, before.actions + 0.25, rtol=0, atol=1e-6)


def test_steps_are_the_rollouts_physics() -> None:
    """The actions of a rollout, taken one by one, at any number of threads."""
    t = rollout("Ant2D")
    family = make_family("Ant2D")
    psi = np.asarray(family.task_low, np.float64)
    states = []
    for threads in (1, 2):
        native = native_simulation(family, PHYSICS, 7, threads)
        native.reset(3)
        for step in range(t.rewards.shape[1]):
            taken = native.step(np.ascontiguousarray(t.actions[:, step].numpy()), psi)
            np.testing.assert_array_equal(taken["next_obs"], t.next_obs[:, step].numpy())
            native.reset(mask=(t.dones | t.timeouts)[:, step].numpy().copy())
        states.append(native.state())
        ended = (t.dones | t.timeouts)[:, -1].numpy()
        np.testing.assert_array_equal(
            native.observations()[~ended], t.next_obs[:, -1].numpy()[~ended]
        )
    np.testing.assert_array_equal(*states)


def test_state_normalisation_is_part_of_the_family() -> None:
    family = make_family("Cheetah-Highdim")
    plain = dataclasses.replace(family, offset=(), scale=())
    statistics = initial_policy_statistics(plain)
    assert (family.offset, family.scale) == (statistics.mean, statistics.std)
    assert make_family("Cheetah-Highdim", statistics) == family
