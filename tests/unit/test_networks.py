"""Initialisation, parameter vectors and copies."""

import torch

from admrl_native.networks.dynamics import Dynamics
from admrl_native.networks.policy import GaussianPolicy
from admrl_native.networks.settings import NetworkSettings
from admrl_native.networks.value import ValueFunction


def make_policy(seed: int = 0) -> GaussianPolicy:
    return GaussianPolicy(6, 3, NetworkSettings(), torch.Generator().manual_seed(seed))


def test_initialisation_is_normalised_columns():
    first, second, last = [w for w, _ in make_policy().mean.weights_and_biases()]
    # float32 norms
    torch.testing.assert_close(first.norm(dim=1), torch.ones(32))
    torch.testing.assert_close(second.norm(dim=1), torch.ones(32))
    torch.testing.assert_close(last.norm(dim=1), torch.full((3,), 0.01))
    assert all((b == 0).all() for _, b in make_policy().mean.weights_and_biases())
    assert torch.equal(make_policy().log_std, torch.zeros(3))


def test_same_seed_same_weights_other_seed_others():
    assert torch.equal(make_policy(1).get_params(), make_policy(1).get_params())
    assert not torch.equal(make_policy(1).get_params(), make_policy(2).get_params())


def test_parameter_vector_round_trip_and_functional_form():
    policy = make_policy()
    theta = torch.randn(policy.get_params().numel(), generator=torch.Generator().manual_seed(5))
    policy.set_params(theta)
    assert torch.equal(policy.get_params(), theta)
    obs = torch.randn(7, 6, generator=torch.Generator().manual_seed(6))
    mean, log_std = policy.mean_and_log_std(theta, policy.normaliser(obs))
    assert torch.equal(mean, policy(obs))
    assert torch.equal(log_std, policy.log_std)


def test_truncated_normal_initialisation():
    settings = NetworkSettings(dynamics_hidden=(300, 200), dynamics_initial_std=1e-3)
    model = Dynamics(5, 2, settings, 100.0, torch.Generator().manual_seed(0))
    weight = model.net.weights_and_biases()[1][0]
    assert weight.abs().max() <= 2e-3
    # A normal cut at two standard deviations has 0.8796 of the standard deviation.
    assert abs(weight.std().item() / 0.8796e-3 - 1) < 0.02  # 60 000 draws: about 0.3 % spread


def test_predicted_states_are_clipped_in_normalised_units():
    settings = NetworkSettings(dynamics_hidden=(4,), dynamics_initial_std=10.0)
    model = Dynamics(2, 1, settings, 3.0, torch.Generator().manual_seed(0))
    model.update_normalisers(torch.randn(100, 2) + 5, torch.randn(100, 2) * 50)
    predicted = model(torch.randn(200, 2) * 100, torch.randn(200, 1))
    # float32: mean ± 3 std and the normalised value round differently
    assert model.states(predicted).abs().max() <= 3 + 1e-5


def test_rescaling_a_value_function_does_not_change_it():
    value = ValueFunction(4, NetworkSettings(), torch.Generator().manual_seed(0))
    obs = torch.randn(20, 4)
    before = value(obs)
    value.rescale(torch.tensor(700.0), torch.tensor(30.0))
    # float32 at a magnitude of 700: ulp 6e-5
    torch.testing.assert_close(value(obs), before, rtol=0, atol=5e-4)
