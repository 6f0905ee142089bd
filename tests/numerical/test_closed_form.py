"""Eq. 2, from samples, against central differences of L(ψ) on a problem solved in closed form.

One step, s' = A s + B a with a ~ N(W s + b, σ² I) and r = −‖s' − ψ‖² − ρ‖a‖²: the mean and the
covariance of s' are exact, θ̂(ψ) is found by Newton's method in a model whose A and B are not the
real ones, and L(ψ) follows. With a single step the per-step Hessian has no terms to leave out, so
every part of the task gradient, its signs and its units are checked at once, by something that
shares no code with it.
"""

import pytest
import torch

from admrl_native.networks.policy import GaussianPolicy
from admrl_native.networks.settings import NetworkSettings
from admrl_native.networks.value import ValueFunction
from admrl_native.sampling.trajectories import Trajectories
from admrl_native.task_gradient.gradient import task_gradient
from admrl_native.task_gradient.settings import TaskGradientSettings
from admrl_native.training.settings import AdvantageSettings

DIM, RHO, LOG_STD, SAMPLES, BATCHES = 2, 0.1, -0.5, 50_000, 8
MEAN = torch.tensor([0.4, -0.3], dtype=torch.float64)  # of s, whose covariance is the identity
REAL = (
    torch.tensor([[0.9, 0.2], [-0.1, 0.8]], dtype=torch.float64),
    torch.tensor([[0.6, 0.1], [0.0, 0.5]], dtype=torch.float64),
)
MODEL = (
    torch.tensor([[0.7, 0.0], [0.1, 1.0]], dtype=torch.float64),
    torch.tensor([[1.0, -0.4], [0.5, 0.6]], dtype=torch.float64),
)
PSI = torch.tensor([2.0, -1.5], dtype=torch.float64)


def eta(theta, dynamics, psi):
    """Exact expected reward; θ is W (2, 2) row by row, then b (2,)."""
    a, b = dynamics
    w, bias = theta[:4].view(DIM, DIM), theta[4:]
    variance = torch.tensor(2 * LOG_STD, dtype=torch.float64).exp()
    gain = a + b @ w
    mean = gain @ MEAN + b @ bias
    spread = gain.square().sum() + variance * b.square().sum()
    action = (w @ MEAN + bias).square().sum() + w.square().sum() + DIM * variance
    return -(mean - psi).square().sum() - spread - RHO * action


def best(dynamics, psi):
    """argmax_θ η: η is quadratic in θ, so one Newton step from anywhere is exact."""
    theta = torch.zeros(6, dtype=torch.float64)
    gradient = torch.autograd.functional.jacobian(lambda t: eta(t, dynamics, psi), theta)
    hessian = torch.autograd.functional.hessian(lambda t: eta(t, dynamics, psi), theta)
    return theta - torch.linalg.solve(hessian, gradient)


def gap(psi):
    """L(ψ) of Eq. 1."""
    return eta(best(REAL, psi), REAL, psi) - eta(best(MODEL, psi), REAL, psi)


def central_differences(psi, step=1e-4):
    out = []
    for k in range(DIM):
        shift = torch.zeros(DIM, dtype=torch.float64)
        shift[k] = step
        out.append((gap(psi + shift) - gap(psi - shift)) / (2 * step))
    return torch.stack(out)


def make_policy(theta):
    settings = NetworkSettings(policy_hidden=(), initial_log_std=LOG_STD)
    policy = GaussianPolicy(DIM, DIM, settings, torch.Generator())
    policy.set_params(torch.cat([theta.float(), torch.full((DIM,), LOG_STD)]))
    return policy


def sample(policy, dynamics, seed):
    generator = torch.Generator().manual_seed(seed)
    obs = torch.randn(SAMPLES, DIM, generator=generator) + MEAN.float()
    with torch.no_grad():
        noise = torch.randn(SAMPLES, DIM, generator=generator)
        actions = policy(obs) + policy.log_std.exp() * noise
    a, b = (m.float() for m in dynamics)
    next_obs = obs @ a.T + actions @ b.T
    error = next_obs - PSI.float()
    base = -RHO * actions.square().sum(1)
    flags = torch.ones(SAMPLES, 1, dtype=torch.bool)
    return Trajectories(
        obs=obs[:, None],
        actions=actions[:, None],
        next_obs=next_obs[:, None],
        rewards=(base - error.square().sum(1))[:, None],
        reward_grads=2 * error[:, None],
        base_rewards=base[:, None],
        dones=flags,
        timeouts=~flags,
        log_probs=torch.zeros(SAMPLES, 1),
    )


@pytest.mark.parametrize(("form", "solver"), [("adjoint", "minres"), ("per-dimension", "cgnr")])
def test_sampled_task_gradient_is_the_derivative_of_the_gap(form, solver):
    hat, star = make_policy(best(MODEL, PSI)), make_policy(best(REAL, PSI))
    value = ValueFunction(DIM, NetworkSettings(), torch.Generator().manual_seed(0))
    value.rescale(torch.tensor(0.0), torch.tensor(1.0))
    with torch.no_grad():  # V = 0: nothing is bootstrapped in one step anyway
        for parameter in value.net.parameters():
            parameter.zero_()
    estimates = []
    for seed in range(BATCHES):
        result = task_gradient(
            hat,
            value,
            real_star=sample(star, REAL, 3 * seed),
            real_hat=sample(hat, REAL, 3 * seed + 1),
            virtual_hat=sample(hat, MODEL, 3 * seed + 2),
            horizon=1,
            settings=TaskGradientSettings(
                form=form, solver=solver, damping=1e-12, tolerance=1e-9, max_iterations=500
            ),
            advantage=AdvantageSettings(gamma=1.0, gae_lambda=1.0),
        )
        estimates.append(result)
    totals = torch.stack([r.total for r in estimates])
    standard_error = totals.std(0) / BATCHES**0.5
    assert (standard_error < 0.05).all()
    exact = central_differences(PSI)  # about (1.39, −0.84)
    # five standard errors: they are themselves known from eight batches only
    assert ((totals.mean(0) - exact).abs() < 5 * standard_error).all(), (totals, exact)
    # the implicit term is no bystander: without it the answer would be far off
    assert (torch.stack([r.implicit for r in estimates]).mean(0) < -0.5).all()


def test_the_gap_and_its_derivative_are_what_they_should_be():
    assert gap(PSI) > 0
    exact = best(REAL, PSI)
    gradient = torch.autograd.functional.jacobian(lambda t: eta(t, REAL, PSI), exact)
    assert gradient.abs().max() < 1e-12
    # the closed form of Eq. 2 with exact g, H and M
    theta = best(MODEL, PSI)
    functional = torch.autograd.functional
    h = functional.hessian(lambda t: eta(t, MODEL, PSI), theta)
    m = functional.hessian(lambda x: eta(x[:6], MODEL, x[6:]), torch.cat([theta, PSI]))[:6, 6:]
    g = functional.jacobian(lambda t: eta(t, REAL, PSI), theta)
    at_star, at_hat = (
        functional.jacobian(lambda p, t=t: eta(t, REAL, p), PSI) for t in (exact, theta)
    )
    formula = at_star - at_hat + m.T @ torch.linalg.solve(h, g)
    # L is quadratic in ψ, so central differences are exact but for rounding
    torch.testing.assert_close(formula, central_differences(PSI), rtol=1e-6, atol=1e-9)
