"""Eq. 2 assembled from samples, against dense matrices on the same samples."""

import pytest
import torch

from admrl_native.families.catalogue import make_family
from admrl_native.families.torch_family import TorchFamily
from admrl_native.networks.dynamics import Dynamics
from admrl_native.networks.policy import GaussianPolicy
from admrl_native.networks.settings import NetworkSettings
from admrl_native.networks.value import ValueFunction
from admrl_native.sampling.virtual import TorchVirtualSampler
from admrl_native.seeding import derive_generator
from admrl_native.task_gradient.gradient import task_gradient
from admrl_native.task_gradient.scans import centred_by_age
from admrl_native.task_gradient.settings import TaskGradientSettings
from admrl_native.training.advantage import (
    advantages_and_returns,
    expected_reward_grad_advantages,
)
from admrl_native.training.settings import AdvantageSettings

HORIZON = 15
ADVANTAGE = AdvantageSettings()


@pytest.fixture(scope="module")
def samples():
    """Three batches of trajectories with ragged episodes and a small policy."""
    generator = torch.Generator().manual_seed(0)
    networks = NetworkSettings(policy_hidden=(4,), dynamics_hidden=(16,), dynamics_initial_std=0.3)
    dynamics = Dynamics(11, 3, networks, 100.0, generator)
    starts = torch.randn(40, 11, generator=generator) * 0.05
    starts[:, 0] += 1.25
    dynamics.update_normalisers(starts, starts + 0.03 * torch.randn(40, 11, generator=generator))
    policy = GaussianPolicy(11, 3, networks, generator)
    value = ValueFunction(11, networks, generator)
    family = TorchFamily(make_family("Hopper2D"), torch.device("cpu"))
    sampler = TorchVirtualSampler(
        dynamics, [policy], family, num_envs=8, num_steps=40, horizon=HORIZON
    )
    psis = torch.tensor([[0.5, 1.25]])
    batches = [sampler.sample(psis, starts, [derive_generator(seed)])[0] for seed in range(3)]
    return policy, value, batches


def gradient(samples, **settings):
    policy, value, (star, hat, virtual) = samples
    return task_gradient(
        policy,
        value,
        star,
        hat,
        virtual,
        horizon=HORIZON,
        settings=TaskGradientSettings(
            **{"tolerance": 1e-12, "max_iterations": 2000, "jackknife_groups": 0, **settings}
        ),
        advantage=ADVANTAGE,
    )


def plain_weights(t):
    """γ^age over the number of episodes that could be seen at that age, over the horizon."""
    starts, ages = [], torch.zeros(t.rewards.shape, dtype=torch.int64)
    for n in range(ages.shape[0]):
        start = 0
        for step in range(ages.shape[1]):
            if step == start:
                starts.append(start)
            ages[n, step] = step - start
            if t.dones[n, step] or t.timeouts[n, step]:
                start = step + 1
    counts = [sum(s + age < ages.shape[1] for s in starts) for age in range(ages.shape[1])]
    return ADVANTAGE.gamma ** ages.double() / torch.tensor(counts)[ages] / HORIZON


def test_matches_dense_matrices(samples):
    policy, value, (star, hat, virtual) = samples
    advantage = ADVANTAGE.replace(gae_lambda=0.9)
    theta = policy.get_params().double()

    def scores(t):
        x = policy.normaliser(t.obs).double().flatten(0, 1)
        actions = t.actions.double().flatten(0, 1)

        def log_probs(p):
            mean, log_std = policy.mean_and_log_std(p, x)
            z = (actions - mean) / log_std.exp()
            return (-0.5 * z**2 - log_std).sum(1)

        return log_probs

    def weights(t):
        a = advantages_and_returns(t, value, advantage)[0].unsqueeze(-1)
        return (plain_weights(t) * centred_by_age(t, a).squeeze(-1)).flatten()

    functional = torch.autograd.functional
    g = functional.jacobian(scores(hat), theta).T @ weights(hat)
    rows, w = functional.jacobian(scores(virtual), theta), weights(virtual)
    curvature = functional.hessian(lambda p: w @ scores(virtual)(p), theta)
    h = rows.T @ (w[:, None] * rows) + curvature
    columns = centred_by_age(virtual, expected_reward_grad_advantages(virtual, advantage))
    m = rows.T @ columns.flatten(0, 1) / HORIZON
    p = theta.numel()
    x = torch.linalg.solve(h @ h + 0.1 * p * torch.eye(p, dtype=h.dtype), h @ m)

    result = gradient(samples, hessian="per-step", gae_lambda=0.9, damping=0.1)
    # solved to 1e-12 in float64, from float32 samples shared by both sides
    torch.testing.assert_close(result.implicit, x.T @ g, rtol=1e-7, atol=1e-13)
    for t, term in ((star, result.at_theta_star), (hat, result.at_theta_hat)):
        expected = (plain_weights(t)[..., None] * t.reward_grads).sum((0, 1))
        torch.testing.assert_close(term, expected)
    torch.testing.assert_close(
        result.total, result.at_theta_star - result.at_theta_hat + result.implicit
    )


@pytest.mark.parametrize("solver", ["cgnr", "minres", "dense", "auto"])
@pytest.mark.parametrize("hessian", ["causal", "per-step", "trajectory"])
def test_adjoint_and_per_dimension_agree(samples, solver, hessian):
    options = {"solver": solver, "hessian": hessian, "damping": 0.1}
    adjoint = gradient(samples, form="adjoint", **options)
    per_dimension = gradient(samples, form="per-dimension", **options)
    assert len(adjoint.solves) == 1
    assert len(per_dimension.solves) == 2
    # both solved to a relative residual of 1e-12
    torch.testing.assert_close(adjoint.implicit, per_dimension.implicit, rtol=1e-6, atol=1e-13)
    assert adjoint.implicit.abs().max() > 1e-9


def test_less_damping_changes_the_implicit_term_alone(samples):
    more, less = gradient(samples, damping=1e4), gradient(samples, damping=1e-6)
    assert torch.equal(more.at_theta_hat, less.at_theta_hat)
    assert less.implicit.norm() > 10 * more.implicit.norm()
