"""Initialisation, parameter vectors and copies."""

import pytest
import torch
from torch import distributions

from admrl_native.networks.dynamics import Dynamics
from admrl_native.networks.policy import GaussianPolicy
from admrl_native.networks.settings import NetworkSettings
from admrl_native.networks.squashed_policy import SquashedGaussianPolicy, squashed_log_prob
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


def make_squashed_policy(dtype: torch.dtype = torch.float64) -> SquashedGaussianPolicy:
    """Actions and deviations that depend on the state, the normaliser not the identity."""
    g = torch.Generator().manual_seed(3)
    policy = SquashedGaussianPolicy(6, 3, (16, 8), g)
    with torch.no_grad():
        for p in policy.parameters():
            p += 0.2 * torch.randn(p.shape, generator=g)
    policy.normaliser.update(0.3 + 1.7 * torch.randn((500, 6), generator=g))
    return policy.to(dtype)


def test_squashed_initialisation():
    policy = SquashedGaussianPolicy(100, 3, (300, 50), torch.Generator().manual_seed(0))
    layers = policy.net.weights_and_biases()
    for (weight, bias), bound in zip(layers, (100**-0.5, 300**-0.5, 3e-3), strict=True):
        assert 0.95 * bound < weight.abs().max() <= bound  # of at least 300 draws
        assert (bias == 0).all()
    assert layers[-1][0].shape == (6, 50)


def test_squashed_log_prob_against_a_transformed_distribution():
    policy = make_squashed_policy()
    g = torch.Generator().manual_seed(4)
    obs = torch.randn(2, 200, 6, generator=g, dtype=torch.float64)
    actions, log_prob, x, mean, log_std = policy.sample(obs, g)
    gaussian = distributions.Normal(mean, log_std.exp()).log_prob(x)
    oracle = (gaussian - torch.log1p(-actions.square())).sum(-1)
    # float64; the oracle and atanh lose as many digits as 1 - |a| has zeros.
    torch.testing.assert_close(log_prob, oracle, rtol=0, atol=1e-6)
    again, inside = policy.log_prob(obs, actions), (actions.abs() < 1 - 1e-5).all(-1)
    assert inside.sum() > 200
    torch.testing.assert_close(again[inside], log_prob[inside], rtol=0, atol=1e-6)
    torch.testing.assert_close(policy(obs), torch.tanh(mean), rtol=0, atol=0)


def test_squashed_density_integrates_to_one():
    a = torch.linspace(-1, 1, 200_001, dtype=torch.float64)[1:-1, None]
    mean, log_std = torch.tensor([0.3], dtype=torch.float64), torch.tensor([-0.7])
    density = squashed_log_prob(torch.atanh(a), mean, log_std).exp()
    # Trapezoid of a density that vanishes at the ends; step 1e-5.
    assert abs(torch.trapezoid(density, a[:, 0]).item() - 1) < 1e-6


def test_squashed_log_prob_is_finite_where_tanh_saturates():
    x = torch.tensor([[-60.0, 60.0], [0.0, 30.0]])
    value = squashed_log_prob(x, x, torch.zeros(2))
    # -log(2 pi) - sum 2 (log 2 - |x|), the rest of the slope below float32
    log_two, log_two_pi = 0.69314718, 1.83787707
    expected = torch.tensor([240 - 4 * log_two, 60 - 2 * log_two]) - log_two_pi
    torch.testing.assert_close(value, expected, rtol=1e-6, atol=0)
    policy = make_squashed_policy(torch.float32)
    assert policy.log_prob(torch.zeros(1, 6), torch.ones(1, 3)).isfinite().all()


def test_squashed_samples_are_reparametrised():
    """The gradient through an action is that of tanh(μ + σ ε) with ε held; finite differences."""
    policy = make_squashed_policy()
    obs = torch.randn(5, 6, generator=torch.Generator().manual_seed(5), dtype=torch.float64)

    def objective() -> torch.Tensor:
        actions, log_prob, *_ = policy.sample(obs, torch.Generator().manual_seed(6))
        return (actions.square().sum(-1) + 0.3 * log_prob).sum()

    parameters = list(policy.parameters())
    g = torch.Generator().manual_seed(7)
    direction = [torch.randn(p.shape, generator=g, dtype=p.dtype) for p in parameters]
    gradient = torch.autograd.grad(objective(), parameters)
    slope = sum((u * d).sum() for u, d in zip(gradient, direction, strict=True))
    step, values = 1e-6, []
    for sign in (1, -2):
        with torch.no_grad():
            for p, d in zip(parameters, direction, strict=True):
                p += sign * step * d
            values.append(objective())
    # Central difference: an error of order step² beside rounding of 1e-15 / step.
    torch.testing.assert_close(slope, (values[0] - values[1]) / (2 * step), rtol=1e-6, atol=1e-6)


def test_squashed_bounds_of_the_deviation():
    policy = SquashedGaussianPolicy(2, 1, (4,), torch.Generator(), log_std_low=-1, log_std_high=0.5)
    with torch.no_grad():
        policy.net.weights_and_biases()[-1][1].copy_(torch.tensor([0.0, 9.0]))
    assert policy.mean_and_log_std(torch.zeros(1, 2))[1].item() == 0.5
    with pytest.raises(ValueError, match="log_std_low: expected a finite number below a finite"):
        SquashedGaussianPolicy(2, 1, (4,), torch.Generator(), log_std_low=2.0)
