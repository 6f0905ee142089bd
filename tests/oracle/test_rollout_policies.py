"""Rollouts under many policies, contexts, squashed policies: against one at a time and torch."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor

from admrl_native.families.catalogue import make_family
from admrl_native.families.native import native_simulation
from admrl_native.families.physics import PhysicsSettings
from admrl_native.networks.policy import GaussianPolicy
from admrl_native.networks.settings import NetworkSettings
from admrl_native.networks.squashed_policy import SquashedGaussianPolicy, squashed_log_prob
from admrl_native.sampling.real import PolicyArrays, RealEnvironment, SquashedPolicyArrays
from admrl_native.sampling.trajectories import Trajectories

PHYSICS = PhysicsSettings(horizon=20)
NUM_ENVS = 7
CONTEXT_DIM = 3
OF_ENV = [0, 2, 1, 2, 0, 1, 2]  # not in order, so that a policy's environments are not neighbours
KINDS = ("gaussian", "squashed")
Policy = GaussianPolicy | SquashedGaussianPolicy


def make_policy(kind: str, obs_dim: int, act_dim: int, seed: int) -> Policy:
    """A policy whose every number matters; policies of other seeds have other layers."""
    g = torch.Generator().manual_seed(seed)
    hidden = (24 + 8 * seed, 16)
    policy: Policy
    if kind == "gaussian":
        settings = NetworkSettings(policy_hidden=hidden, policy_output_scale=0.5)
        policy = GaussianPolicy(obs_dim, act_dim, settings, g)
    else:
        policy = SquashedGaussianPolicy(obs_dim, act_dim, hidden, g, log_std_low=-0.2)
    with torch.no_grad():
        for p in policy.parameters():
            p += 0.2 * torch.randn(p.shape, generator=g)
    policy.normaliser.update(0.3 + 1.7 * torch.randn((500, obs_dim), generator=g))
    return policy


def arrays(policy: Policy) -> PolicyArrays | SquashedPolicyArrays:
    if isinstance(policy, GaussianPolicy):
        return PolicyArrays.of(policy)
    return SquashedPolicyArrays.of(policy)


def draw(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(9))


def rollout(
    name: str, policies: list[Policy], *, threads: int = 2, num_steps: int = 45, **options: object
) -> Trajectories:
    family = make_family(name)
    environment = RealEnvironment(family, PHYSICS, NUM_ENVS, threads)
    arguments: dict[str, object] = {"seed": 5, "psi": family.task_high, **options}
    return environment.rollout([arrays(p) for p in policies], num_steps, **arguments)  # type: ignore[arg-type]


def many(kind: str, name: str = "Hopper2D") -> list[Policy]:
    family = make_family(name)
    obs_dim = family.obs_dim + CONTEXT_DIM
    return [make_policy(kind, obs_dim, family.act_dim, seed) for seed in range(3)]


def assert_same(a: Trajectories, b: Trajectories, env: int | slice = slice(None)) -> None:
    for field in dataclasses.fields(Trajectories):
        x, y = getattr(a, field.name)[env], getattr(b, field.name)[env]
        assert torch.equal(x, y), field.name


@pytest.mark.parametrize("kind", KINDS)
def test_each_environment_follows_its_own_policy_and_context(kind: str) -> None:
    """Environment i is what it is when all environments have its policy, context and task."""
    policies, contexts = many(kind), draw(NUM_ENVS, CONTEXT_DIM)
    psis = torch.linspace(-1, 1, 2 * NUM_ENVS, dtype=torch.float64).view(NUM_ENVS, 2)
    together = rollout("Hopper2D", policies, psi=psis, policy_of_env=OF_ENV, contexts=contexts)
    for env, policy in enumerate(OF_ENV):
        alone = rollout(
            "Hopper2D",
            [policies[policy]],
            psi=psis[env],
            contexts=contexts[env].expand(NUM_ENVS, -1),
        )
        assert_same(together, alone, env)
    assert len(together.actions[:, 0].unique(dim=0)) == NUM_ENVS
    assert together.timeouts.sum() >= 2 * NUM_ENVS  # several episodes each
    assert together.obs.shape[2] == 11


@pytest.mark.parametrize("kind", KINDS)
def test_replay_through_step(kind: str) -> None:
    """Recorded actions, given to `step`, lead through the same states to the same rewards."""
    family = make_family("Hopper2D")
    t = rollout("Hopper2D", many(kind), policy_of_env=OF_ENV, contexts=draw(NUM_ENVS, CONTEXT_DIM))
    native = native_simulation(family, PHYSICS, NUM_ENVS, 1)
    native.reset(5)
    for k in range(t.obs.shape[1]):
        np.testing.assert_array_equal(t.obs[:, k].numpy(), native.observations())
        step = native.step(t.actions[:, k].contiguous().numpy(), np.array(family.task_high))
        for key, values in step.items():
            np.testing.assert_array_equal(getattr(t, key)[:, k].numpy(), values, err_msg=key)
        native.reset(mask=step["dones"] | step["timeouts"])


@pytest.mark.parametrize("kind", KINDS)
def test_threads_do_not_matter(kind: str) -> None:
    options = {"policy_of_env": OF_ENV, "contexts": draw(NUM_ENVS, CONTEXT_DIM)}
    reference = rollout("Ant2D", many(kind, "Ant2D"), threads=1, **options)
    for threads in (2, 3):
        assert_same(reference, rollout("Ant2D", many(kind, "Ant2D"), threads=threads, **options))
    other = rollout("Ant2D", many(kind, "Ant2D"), threads=1, seed=6, **options)
    assert not torch.equal(reference.actions[:, 0], other.actions[:, 0])


@pytest.mark.parametrize("kind", KINDS)
def test_one_policy_without_context_in_every_form(kind: str) -> None:
    family = make_family("Walker2D")
    policy = make_policy(kind, family.obs_dim, family.act_dim, 1)
    plain = rollout("Walker2D", [policy])
    environment = RealEnvironment(family, PHYSICS, NUM_ENVS, 2)
    assert_same(plain, environment.rollout(arrays(policy), 45, seed=5, psi=family.task_high))
    assert_same(plain, rollout("Walker2D", [policy], contexts=torch.zeros(NUM_ENVS, 0)))
    assert_same(plain, rollout("Walker2D", [policy], policy_of_env=torch.zeros(NUM_ENVS).long()))
    assert_same(plain, rollout("Walker2D", [policy, policy], policy_of_env=[1, 0, 1, 0, 1, 0, 1]))


def with_contexts(t: Trajectories, contexts: Tensor) -> Tensor:
    return torch.cat([t.obs, contexts[:, None].expand(-1, t.obs.shape[1], -1)], 2)


@pytest.mark.parametrize("kind", KINDS)
def test_actions_against_torch(kind: str) -> None:
    policies, contexts = many(kind), draw(NUM_ENVS, CONTEXT_DIM)
    t = rollout("Hopper2D", policies, policy_of_env=OF_ENV, contexts=contexts, deterministic=True)
    inputs = with_contexts(t, contexts)
    with torch.no_grad():
        expected = torch.stack([policies[b](inputs[i]) for i, b in enumerate(OF_ENV)])
    # float32 sums of up to 40 terms in another order; actions are of order 1.
    torch.testing.assert_close(t.actions, expected, rtol=0, atol=1e-5)
    assert expected.abs().mean() > 0.1


def noise(num_steps: int) -> Tensor:
    """ε of every step, (N, T, A): the actions of a policy that has nothing else."""
    family = make_family("Cheetah-Highdim")
    policy = GaussianPolicy(
        family.obs_dim, family.act_dim, NetworkSettings(initial_log_std=0.0), torch.Generator()
    )
    with torch.no_grad():
        for p in policy.parameters():
            p.zero_()
    return rollout("Cheetah-Highdim", [policy], num_steps=num_steps).actions


@pytest.mark.parametrize("deterministic", [False, True])
def test_squashed_policy_against_its_torch_twin(deterministic: bool) -> None:
    """Mean, clamped deviation, tanh and log π of the action that was taken."""
    contexts = draw(NUM_ENVS, CONTEXT_DIM)
    policies = many("squashed", "Cheetah-Highdim")  # never done: all have the same episodes
    options = {"policy_of_env": OF_ENV, "contexts": contexts, "deterministic": deterministic}
    t = rollout("Cheetah-Highdim", policies, **options)
    eps = noise(45).double() * (0 if deterministic else 1)
    inputs = with_contexts(t, contexts).double()
    clamped = torch.zeros((), dtype=torch.int64)
    for i, b in enumerate(OF_ENV):
        twin = policies[b].double()
        assert isinstance(twin, SquashedGaussianPolicy)
        with torch.no_grad():
            mean, log_std = twin.mean_and_log_std(inputs[i])
            clamped += (log_std == policies[b].log_std_low).sum()
            x = mean + log_std.exp() * eps[i]
            expected = squashed_log_prob(x, mean, log_std)
        # float32 sums of up to 40 terms in another order, numbers of order 1; 6 actions add up.
        torch.testing.assert_close(t.actions[i].double(), torch.tanh(x), rtol=0, atol=3e-6)
        torch.testing.assert_close(t.log_probs[i].double(), expected, rtol=0, atol=1e-5)
    assert 0 < clamped < t.actions.numel()
