"""TRPO on problems whose answer is known."""

import pytest
import torch

from admrl_native.derivatives.fisher import FisherProducts, mean_kl
from admrl_native.derivatives.linearisation import MlpLinearisation
from admrl_native.derivatives.settings import TrpoSettings
from admrl_native.networks.policy import GaussianPolicy
from admrl_native.networks.settings import NetworkSettings
from admrl_native.training.trpo import trpo_update


def make_policy(seed: int = 0) -> GaussianPolicy:
    return GaussianPolicy(
        2, 2, NetworkSettings(policy_hidden=(8,)), torch.Generator().manual_seed(seed)
    )


def sample(policy, rows, generator):
    obs = torch.randn(rows, 2, generator=generator)
    with torch.no_grad():
        actions = policy(obs) + policy.log_std.exp() * torch.randn(rows, 2, generator=generator)
    return obs, actions


def test_improves_a_contextual_bandit_to_near_its_optimum():
    """Reward −‖a − W s‖²: the optimal mean is linear in s."""
    policy, generator = make_policy(), torch.Generator().manual_seed(1)
    w = torch.tensor([[0.5, -0.3], [0.2, 0.4]])

    def reward(obs, actions):
        return -((actions - obs @ w.T) ** 2).sum(1)

    first = None
    for _ in range(150):
        obs, actions = sample(policy, 1000, generator)
        rewards = reward(obs, actions)
        first = rewards.mean().item() if first is None else first
        result = trpo_update(policy, obs, actions, rewards, TrpoSettings(entropy_coefficient=0.0))
        assert result.kl <= 1.5 * 0.01 + 1e-6
    obs, actions = sample(policy, 5000, generator)
    last = reward(obs, actions).mean().item()
    assert first < -2.0  # σ = 1 alone costs 2
    assert last > 0.1 * first


def test_fisher_product_is_the_hessian_of_the_kl():
    policy = make_policy(3)
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        policy.log_std += torch.tensor([0.2, -0.5])
    obs, _ = sample(policy, 40, generator)
    theta = policy.get_params().double()
    x = obs.double()
    mean, log_std = policy.mean_and_log_std(theta, x)

    def kl(candidate):
        new_mean, new_log_std = policy.mean_and_log_std(candidate, x)
        return mean_kl(mean.detach(), log_std.detach(), new_mean, new_log_std)

    hessian = torch.autograd.functional.hessian(kl, theta)
    v = torch.randn(theta.numel(), generator=generator)
    product = FisherProducts(policy.double(), theta, x)(v.double())
    # float64 on both sides
    torch.testing.assert_close(product, hessian @ v.double(), rtol=1e-9, atol=1e-10)


def test_no_step_without_a_direction():
    policy = make_policy()
    obs, actions = sample(policy, 100, torch.Generator().manual_seed(0))
    before = policy.get_params()
    result = trpo_update(
        policy, obs, actions, torch.zeros(100), TrpoSettings(entropy_coefficient=0.0)
    )
    assert result.line_search_steps == -1
    assert torch.equal(policy.get_params(), before)


def test_the_entropy_is_in_nats():
    policy = make_policy()
    generator = torch.Generator().manual_seed(0)
    obs, actions = sample(policy, 100, generator)
    result = trpo_update(
        policy, obs, actions, torch.randn(100, generator=generator), TrpoSettings()
    )
    assert result.line_search_steps >= 0
    std = policy.log_std.detach().exp()
    expected = torch.distributions.Normal(0.0, std).entropy().sum().item()
    assert result.entropy == pytest.approx(expected, rel=1e-6)  # float32


def test_entropy_bonus_widens_the_policy():
    policy = make_policy()
    obs, actions = sample(policy, 100, torch.Generator().manual_seed(0))
    trpo_update(policy, obs, actions, torch.zeros(100), TrpoSettings(entropy_coefficient=1.0))
    assert (policy.log_std > 0).all()


def test_linearisation_is_what_torch_func_says():
    policy = GaussianPolicy(
        4, 3, NetworkSettings(policy_hidden=(7, 5)), torch.Generator().manual_seed(0)
    ).double()
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(20, 4, generator=generator, dtype=torch.float64)
    theta = policy.get_params()
    v = torch.randn(theta.numel(), generator=generator, dtype=torch.float64)
    w = torch.randn(20, 3, generator=generator, dtype=torch.float64)

    def mean_of(p):
        return policy.mean_and_log_std(p, x)[0]

    output, jvp = torch.func.jvp(mean_of, (theta,), (v,))
    vjp = torch.func.vjp(mean_of, theta)[1](w)[0]
    linear = MlpLinearisation(policy.split_params(theta)[0], x)
    flat = torch.cat([part.reshape(-1) for pair in linear.vjp(w) for part in pair])
    # float64 on both sides
    torch.testing.assert_close(linear.output, output, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(linear.jvp(policy.split_params(v)[0]), jvp, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(flat, vjp[: flat.numel()], rtol=1e-12, atol=1e-13)
