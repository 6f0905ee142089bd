"""Sampled estimates of H and of dL/dψ against their exact values, at 10⁴, 10⁵ and 10⁶ samples.

The problems are linear-Gaussian (`admrl_native.testing`), several steps long, with a model that is
not the real dynamics; nothing of the exact values is estimated or shares code with the estimators.
"""

from __future__ import annotations

import dataclasses
import functools

import pytest
import torch

from admrl_native.derivatives.scores import score_products
from admrl_native.task_gradient.gradient import task_gradient
from admrl_native.task_gradient.hessian import hessian_product
from admrl_native.task_gradient.samples import ValuedTrajectories
from admrl_native.task_gradient.settings import TaskGradientSettings
from admrl_native.testing import LinearGaussianProblem, random_problem, scalar_problem, zero_value
from admrl_native.training.settings import AdvantageSettings

SAMPLES = (10_000, 100_000, 1_000_000)
REPLICATES = (16, 10, 6)

# Unbiased, and without a regulariser that would count.
EXACT = TaskGradientSettings(
    gae_lambda=1.0, hessian_decay=1.0, damping=1e-12, tolerance=1e-10, jackknife_groups=0
)


@functools.cache
def problems() -> dict[str, tuple[LinearGaussianProblem, torch.Tensor]]:
    return {
        "one state": random_problem(0, state_dim=1, action_dim=1, task_dim=2, horizon=5),
        "two states": random_problem(3, state_dim=2, action_dim=1, task_dim=1, horizon=4),
    }


def estimated_hessian(problem, psi, theta, hessian, samples, seed, decay=1.0):
    """Ĥ (P, P) from `samples` time steps, column by column."""
    generator = torch.Generator().manual_seed(seed)
    t = problem.sample(theta, psi, "model", samples // problem.horizon, generator)
    advantage = AdvantageSettings(gamma=problem.gamma, gae_lambda=1.0)
    value = problem.value_function(theta, psi, "model")
    scores = score_products(problem.policy(theta), t.obs.flatten(0, 1), t.actions.flatten(0, 1))
    product = hessian_product(
        scores,
        ValuedTrajectories.of(t, value, advantage),
        horizon=1,
        settings=EXACT.replace(hessian=hessian, hessian_decay=decay),
        advantage=advantage,
    )
    return torch.stack([product(x) for x in torch.eye(theta.numel(), dtype=torch.float64)])


def sampled_gradient(problem, psi, samples, seed, **settings):
    """A whole task gradient, `samples` time steps of each of the three kinds."""
    exact = problem.exact_terms(psi)
    generator = torch.Generator().manual_seed(seed)
    episodes = samples // problem.horizon
    return task_gradient(
        problem.policy(exact.theta_hat),
        problem.value_function(exact.theta_hat, psi, "model"),
        real_star=problem.sample(exact.theta_star, psi, "real", episodes, generator),
        real_hat=problem.sample(exact.theta_hat, psi, "real", episodes, generator),
        virtual_hat=problem.sample(exact.theta_hat, psi, "model", episodes, generator),
        horizon=1,
        settings=EXACT.replace(**settings),
        advantage=AdvantageSettings(gamma=problem.gamma),
    )


def assert_convergence(estimate, exact):
    """Within 3 standard errors at every size; the error shrinks as 1/√N.

    Args:
        estimate: (samples, seed) ↦ an estimate like `exact`.
        exact: what it should be.
    """
    errors = []
    for samples, replicates in zip(SAMPLES, REPLICATES, strict=True):
        found = torch.stack([estimate(samples, 1000 + seed) for seed in range(replicates)])
        standard_error = found.std(0) / replicates**0.5
        assert ((found.mean(0) - exact).abs() < 3 * standard_error).all(), (samples, found, exact)
        errors.append((found - exact).square().mean().sqrt())
    logs = torch.tensor([SAMPLES, errors], dtype=torch.float64).log()
    logs -= logs.mean(1, keepdim=True)
    slope = float(logs[0] @ logs[1] / logs[0].square().sum())
    assert slope == pytest.approx(-0.5, abs=0.1)


@pytest.mark.parametrize("name", ["one state", "two states"])
@pytest.mark.parametrize("hessian", ["causal", "trajectory"])
def test_hessian_is_unbiased_away_from_the_optimum(hessian, name):
    problem, psi = problems()[name]
    theta = 0.5 * problem.best_params(psi, "model")
    exact = problem.hessian(theta, psi, "model")
    assert_convergence(
        lambda samples, seed: estimated_hessian(problem, psi, theta, hessian, samples, seed), exact
    )


@pytest.mark.parametrize("hessian", ["causal", "trajectory"])
def test_task_gradient_is_the_derivative_of_the_gap(hessian):
    problem, psi = problems()["one state"]
    exact = problem.gap_gradient_by_central_differences(psi)
    # the implicit term is no bystander: without it the answer would be far off
    terms = problem.exact_terms(psi)
    assert terms.implicit.norm() > 0.5 * exact.norm()
    assert_convergence(
        lambda samples, seed: sampled_gradient(problem, psi, samples, seed, hessian=hessian).total,
        exact,
    )


def test_per_step_is_biased_by_what_it_leaves_out():
    """The scalar problem away from its optimum: the bias is half of the curvature, and stays."""
    problem, psi = scalar_problem()
    theta = torch.tensor([-0.3, 0.4], dtype=torch.float64)
    exact = problem.hessian(theta, psi, "model")
    found = torch.stack(
        [estimated_hessian(problem, psi, theta, "per-step", 200_000, seed) for seed in range(6)]
    )
    standard_error = found.std(0) / len(found) ** 0.5
    # the expectation of this estimator, from 400 000 trajectories, to about two digits
    expected = torch.tensor([[-1.189, -2.009], [-2.009, -4.345]], dtype=torch.float64)
    torch.testing.assert_close(found.mean(0), expected, rtol=0.02, atol=0.02)
    assert ((found.mean(0) - exact).abs() > 20 * standard_error).all()


def test_at_the_optimum_per_step_has_next_to_no_bias():
    """Where π is the best at every state, the products that it leaves out have mean 0."""
    problem, psi = scalar_problem()
    theta = problem.best_params(psi, "model")
    exact = problem.hessian(theta, psi, "model")
    found = torch.stack(
        [estimated_hessian(problem, psi, theta, "per-step", 200_000, seed) for seed in range(6)]
    ).mean(0)
    # against 67 % away from the optimum (above)
    assert (found - exact).norm() < 0.05 * exact.norm()


def test_jackknife_finds_the_spread_between_independent_estimates():
    problem, psi = problems()["one state"]
    results = [
        sampled_gradient(problem, psi, 20_000, seed, jackknife_groups=10) for seed in range(24)
    ]
    spread = torch.stack([r.total for r in results]).std(0)
    claimed = torch.stack([r.health.standard_error for r in results]).square().mean(0).sqrt()
    # a spread of 24 is known to 15 %, the jackknife of 10 groups, averaged, to 5 %
    torch.testing.assert_close(claimed, spread, rtol=0.4, atol=0)


def test_signs_are_trusted_where_the_samples_allow_it():
    problem, psi = problems()["one state"]
    many = sampled_gradient(problem, psi, 200_000, 0, jackknife_groups=10)
    assert many.verdict == "trusted"
    assert many.health.halves_cosine > 0.9
    assert many.health.ritz_largest < 0  # a maximum of η̂
    # θ̂ is stationary: what is left of its gradient in the model is noise
    assert 0.1 < many.health.stationarity / many.health.stationarity_noise < 3
    few = sampled_gradient(problem, psi, 60, 0, jackknife_groups=10)
    assert "trusted" not in few.verdict.split("; ")
    assert not all(few.health.trusted)


def test_automatic_damping_is_nearly_as_good_as_the_best_in_hindsight():
    problem, psi = random_problem(1, state_dim=2, action_dim=2, task_dim=2, horizon=10)
    exact = problem.exact_terms(psi).total

    def rmse(damping):
        errors = [
            sampled_gradient(problem, psi, 10_000, seed, damping=damping).total - exact
            for seed in range(6)
        ]
        return float(torch.stack(errors).square().mean().sqrt())

    fixed = [rmse(10.0**exponent) for exponent in (-10, -4, -3, -2, -1, 0)]
    automatic = rmse("auto")
    assert automatic < 3 * min(fixed)
    assert automatic < 0.5 * max(fixed)


def test_a_policy_that_is_not_the_best_of_its_model_is_named():
    problem, psi = problems()["one state"]
    exact = problem.exact_terms(psi)
    theta = 0.5 * exact.theta_hat
    generator = torch.Generator().manual_seed(0)
    found = task_gradient(
        problem.policy(theta),
        problem.value_function(theta, psi, "model"),
        real_star=problem.sample(exact.theta_star, psi, "real", 2000, generator),
        real_hat=problem.sample(theta, psi, "real", 2000, generator),
        virtual_hat=problem.sample(theta, psi, "model", 2000, generator),
        horizon=1,
        settings=EXACT.replace(jackknife_groups=10),
        advantage=AdvantageSettings(gamma=problem.gamma),
    )
    assert "theta^ is not stationary in the model" in found.verdict
    exact_norm = float(problem.policy_gradient(theta, psi, "model").norm())
    # the noise is what the jackknife says it is
    assert found.health.stationarity == pytest.approx(
        exact_norm, abs=4 * found.health.stationarity_noise
    )


def test_damping_that_takes_the_implicit_term_away_is_named():
    problem, psi = problems()["one state"]
    found = sampled_gradient(problem, psi, 20_000, 0, damping=1e4, jackknife_groups=10)
    # a small spread around the wrong value: the other two terms alone
    assert all(found.health.trusted)
    assert found.total.sign().tolist() != problem.exact_terms(psi).total.sign().tolist()
    assert "the damping suppresses the implicit term" in found.verdict


def test_shifted_conjugate_gradients_are_audited_as_they_are():
    """`cg` computes something else than the other solvers where the damping counts."""
    problem, psi = problems()["one state"]
    options = {"solver": "cg", "damping": 2.0}
    results = [
        sampled_gradient(problem, psi, 5000, seed, jackknife_groups=10, **options)
        for seed in range(12)
    ]
    totals = torch.stack([r.total for r in results]).mean(0)
    halves = torch.cat([r.health.halves for r in results]).mean(0)
    errors = torch.stack([r.health.standard_error for r in results]).mean(0)
    assert ((totals - halves).abs() < errors).all()


@pytest.mark.parametrize("rows", [1, 3])
def test_samples_that_cannot_be_split_have_no_report(rows):
    problem, psi = problems()["one state"]
    few = {"hessian": "trajectory", "jackknife_groups": 10, "damping": 0.1}
    if rows == 1:
        few["hessian"] = "causal"
    found = sampled_gradient(problem, psi, rows * problem.horizon, 0, **few)
    assert found.health.halves is None
    assert found.health.halves_cosine is None
    assert (found.health.standard_error is None) == (rows == 1)
    with pytest.raises(ValueError, match="damping auto: expected trajectories that can be halved"):
        sampled_gradient(problem, psi, rows * problem.horizon, 0, **(few | {"damping": "auto"}))


def test_a_half_without_a_policy_gradient_is_no_reason_to_damp_less():
    """Losses that cannot be compared leave the largest candidate."""
    problem, psi = problems()["one state"]
    exact = problem.exact_terms(psi)
    generator = torch.Generator().manual_seed(0)
    real = problem.sample(exact.theta_hat, psi, "real", 40, generator)
    silent = dataclasses.replace(real, rewards=torch.zeros_like(real.rewards))
    silent.rewards[1::2] = real.rewards[1::2]
    found = task_gradient(
        problem.policy(exact.theta_hat),
        zero_value,
        real_star=real,
        real_hat=silent,
        virtual_hat=problem.sample(exact.theta_hat, psi, "model", 40, generator),
        horizon=1,
        settings=EXACT.replace(damping="auto"),
        advantage=AdvantageSettings(gamma=problem.gamma),
    )
    assert found.damping.value == found.damping.candidates[-1]
    assert "the halves agree on nothing" in found.damping.why
