"""The problems with closed forms are what they say they are, and Eq. 2 holds on them.

What is exact is compared with central differences, with Monte Carlo, or with a second exact way to
the same number; the task gradient with central differences of the gap L(ψ), which share no code
with it but η itself.
"""

import dataclasses
import functools

import pytest
import torch

from admrl_native.derivatives.scores import score_products
from admrl_native.task_gradient.implicit import implicit_term
from admrl_native.task_gradient.settings import TaskGradientSettings
from admrl_native.testing import (
    LinearDynamics,
    LinearGaussianProblem,
    NoMaximumError,
    random_problem,
    scalar_problem,
    zero_value,
)
from admrl_native.testing.newton import maximise
from admrl_native.training.advantage import (
    advantages_and_returns,
    episode_weights,
    expected_reward_grad_advantages,
)
from admrl_native.training.settings import AdvantageSettings

# state dim, action dim, task dim, horizon; None is the scalar problem
SHAPES = [
    None,
    (1, 1, 1, 1),
    (2, 2, 2, 1),
    (3, 1, 4, 2),
    (2, 3, 6, 2),
    (1, 4, 2, 5),
    (3, 3, 4, 5),
    (4, 2, 6, 10),
    (2, 2, 1, 10),
    (4, 4, 1, 5),
]
EPISODES = 40_000


@functools.cache
def make(shape):
    if shape is None:
        return scalar_problem()
    state_dim, action_dim, task_dim, horizon = shape
    return random_problem(
        sum(shape), state_dim=state_dim, action_dim=action_dim, task_dim=task_dim, horizon=horizon
    )


@functools.cache
def exact(shape):
    problem, psi = make(shape)
    return problem.exact_terms(psi)


@functools.cache
def differences_of_the_gap(shape):
    problem, psi = make(shape)
    return problem.gap_gradient_by_central_differences(psi)


def some_theta(problem, seed=0):
    """Parameters that are no optimum."""
    generator = torch.Generator().manual_seed(seed)
    return 0.3 * torch.randn(problem.num_params, generator=generator, dtype=torch.float64)


def central_differences(function, x, step=1e-3):
    """∂f/∂x, x's axis last; the error is of order step⁴."""
    columns = []
    for axis in step * torch.eye(len(x), dtype=torch.float64):
        near = (function(x + axis) - function(x - axis)) / (2 * step)
        far = (function(x + 2 * axis) - function(x - 2 * axis)) / (4 * step)
        columns.append((4 * near - far) / 3)
    return torch.stack(columns, -1)


def relative_error(got, expected):
    return ((got - expected).norm() / expected.norm()).item()


# ------------------------------------------------------------------------------- the task gradient


@pytest.mark.parametrize("shape", SHAPES)
def test_the_formula_is_the_derivative_of_the_gap(shape):
    terms = exact(shape)
    # required: 1e-6; reached: 8e-11 and less, which is the differences' rounding and step⁴
    assert relative_error(terms.total, differences_of_the_gap(shape)) < 1e-9
    # the implicit term is no bystander: without it the error is 0.69 and more
    assert relative_error(terms.total - terms.implicit, differences_of_the_gap(shape)) > 0.5


class ExactMixed:
    """M itself, in place of its estimate."""

    def __init__(self, m):
        self.m = m

    def transposed(self, y):
        return self.m.T @ y

    def columns(self):
        return list(self.m.T)


@pytest.mark.parametrize("solver", ["minres", "cgnr", "cg", "dense", "auto"])
@pytest.mark.parametrize("form", ["adjoint", "per-dimension"])
@pytest.mark.parametrize("shape", SHAPES)
def test_every_form_and_solver_finds_the_derivative_of_the_gap(shape, form, solver):
    terms = exact(shape)
    settings = TaskGradientSettings(
        form=form, solver=solver, tolerance=1e-12, max_iterations=10_000
    )
    implicit, solves = implicit_term(
        lambda x: terms.h @ x, terms.g, ExactMixed(terms.m), 0.0, settings
    )
    assert all(s.status == "converged" for s in solves)
    assert len(solves) == (1 if form == "adjoint" else terms.m.shape[1])
    total = terms.at_theta_star - terms.at_theta_hat + implicit
    # what is asked of the method; reached: 8e-11 and less, with cond(H) up to 1700
    assert relative_error(total, differences_of_the_gap(shape)) < 1e-6


# -------------------------------------------------------------------- η and its derivatives, exact


@pytest.mark.parametrize("where", ["real", "model"])
@pytest.mark.parametrize("shape", SHAPES)
def test_derivatives_of_eta_are_those_of_differences(shape, where):
    problem, psi = make(shape)
    theta = some_theta(problem)

    def close(got, expected):  # the differences' error: 1e-15 |η| / 1e-3 of rounding
        torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-9)

    close(
        problem.policy_gradient(theta, psi, where),
        central_differences(lambda x: problem.expected_return(x, psi, where), theta),
    )
    close(
        problem.task_derivative(theta, psi, where),
        central_differences(lambda x: problem.expected_return(theta, x, where), psi),
    )
    close(
        problem.hessian(theta, psi, where),
        central_differences(lambda x: problem.policy_gradient(x, psi, where), theta),
    )
    close(
        problem.mixed_derivative(theta, psi, where),
        central_differences(lambda x: problem.policy_gradient(theta, x, where), psi),
    )


def test_eta_can_be_differentiated_by_autograd():
    problem, psi = make((2, 2, 2, 1))
    theta = some_theta(problem).requires_grad_()
    problem.expected_return(theta, psi, "real").backward()
    expected = problem.policy_gradient(theta.detach(), psi, "real")
    torch.testing.assert_close(theta.grad, expected, rtol=1e-13, atol=1e-13)  # rounding


@pytest.mark.parametrize("shape", SHAPES)
def test_exact_terms_are_the_derivatives_at_the_optima(shape):
    problem, psi = make(shape)
    terms = exact(shape)
    hat, star = terms.theta_hat, terms.theta_star
    assert torch.equal(hat, problem.best_params(psi, "model"))
    assert torch.equal(star, problem.best_params(psi, "real"))
    assert torch.equal(terms.g, problem.policy_gradient(hat, psi, "real"))
    assert torch.equal(terms.h, problem.hessian(hat, psi, "model"))
    assert torch.equal(terms.m, problem.mixed_derivative(hat, psi, "model"))
    assert torch.equal(terms.at_theta_star, problem.task_derivative(star, psi, "real"))
    assert torch.equal(terms.at_theta_hat, problem.task_derivative(hat, psi, "real"))


# ------------------------------------------------------------------------------------- the optima


@pytest.mark.parametrize("shape", SHAPES)
def test_the_optima_are_optima(shape):
    problem, psi = make(shape)
    terms = exact(shape)
    assert problem.gap(psi) > 0
    for where, theta in (("real", terms.theta_star), ("model", terms.theta_hat)):
        gradient = problem.policy_gradient(theta, psi, where)
        hessian = problem.hessian(theta, psi, where)
        # Newton's method stops at rounding error
        assert gradient.norm() < 1e-13 * hessian.norm() * (1 + theta.norm())
        assert torch.linalg.eigvalsh(hessian).max() < 0
        # and no other start leads anywhere better; the same point to cond(H) 1e-15
        other = problem.best_params(psi, where, theta + some_theta(problem, seed=1))
        torch.testing.assert_close(other, theta, rtol=1e-9, atol=1e-9)


def test_newton_s_method_says_why_it_fails():
    problem, psi = scalar_problem()
    one_step = dataclasses.replace(problem, horizon=1)  # W and b cannot be told apart at one state
    with pytest.raises(NoMaximumError, match="not negative definite: its eigenvalues"):
        one_step.best_params(psi, "real")
    start = torch.ones(1, dtype=torch.float64)
    with pytest.raises(NoMaximumError, match="no convergence in 200 Newton steps"):
        maximise(lambda x: -torch.exp(-x).sum(), start)  # rises forever
    with pytest.raises(NoMaximumError, match="not finite"):
        maximise(lambda x: (-x).log().sum(), start)


# ---------------------------------------------------------------------------------- value function


@pytest.mark.parametrize("where", ["real", "model"])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_mean_first_value_is_eta(shape, where):
    problem, psi = make(shape)
    theta = some_theta(problem)
    # 2 d points with the mean and the covariance of s₀ average a quadratic exactly
    eigenvalues, vectors = torch.linalg.eigh(problem.start_cov)
    offsets = (problem.state_dim**0.5 * vectors * eigenvalues.sqrt()).T
    states = problem.start_mean + torch.cat([offsets, -offsets])
    obs = torch.cat([states, torch.zeros(len(states), 1, dtype=torch.float64)], 1)
    mean = problem.value_function(theta, psi, where)(obs).mean()
    expected = problem.expected_return(theta, psi, where)
    torch.testing.assert_close(mean, expected, rtol=1e-12, atol=1e-12)  # rounding


def test_the_value_function_is_that_of_the_samples():
    problem, psi = make((3, 3, 4, 5))
    theta = some_theta(problem)
    value = problem.value_function(theta, psi, "model")
    t = problem.sample(theta, psi, "model", EPISODES, torch.Generator().manual_seed(0))
    next_values = value(t.next_obs)
    assert (next_values[:, -1] == 0).all()
    errors = t.rewards + problem.gamma * next_values - value(t.obs)
    # each has mean 0; four standard errors
    assert (errors.mean(0).abs() < 4 * errors.std(0) / EPISODES**0.5).all()
    # and the values do matter: without them the variance of the errors is several times larger
    returns = t.rewards.flip(1).cumsum(1).flip(1)
    assert (errors[:, 0].var() < 0.5 * returns[:, 0].var()).all()


def test_values_take_any_batch_shape_and_keep_the_type():
    problem, psi = make((2, 2, 1, 10))
    value = problem.value_function(some_theta(problem), psi, "real")
    obs = torch.rand(3, 4, 3)
    obs[..., -1] = torch.arange(12).view(3, 4).clamp(max=10) / 10
    assert value(obs).shape == (3, 4)
    assert value(obs).dtype == torch.float32
    assert value(obs)[1, 2] == value(obs[1, 2])
    assert torch.equal(zero_value(obs), torch.zeros(3, 4))
    with pytest.raises(ValueError, match=r"obs: expected times t/T in \[0, 1\]"):
        value(obs + 1)


# ------------------------------------------------------------------------------------ trajectories


@pytest.mark.parametrize("where", ["real", "model"])
@pytest.mark.parametrize("shape", [None, (2, 3, 6, 2), (4, 2, 6, 10)])
def test_samples_have_the_exact_mean(shape, where):
    problem, psi = make(shape)
    theta = some_theta(problem)
    t = problem.sample(theta, psi, where, EPISODES, torch.Generator().manual_seed(1))
    discount = problem.gamma ** torch.arange(problem.horizon, dtype=torch.float64)
    returns = (t.rewards.double() * discount).sum(1)
    grads = (t.reward_grads.double() * discount[:, None]).sum(1)
    for samples, expected in (
        (returns[:, None], problem.expected_return(theta, psi, where)[None]),
        (grads, problem.task_derivative(theta, psi, where)),
    ):
        standard_error = samples.std(0) / EPISODES**0.5
        # four standard errors: the seed is fixed, so that the test cannot fail by chance
        assert ((samples.mean(0) - expected).abs() < 4 * standard_error).all()


def test_trajectories_are_what_they_say():
    problem, psi = make((2, 3, 6, 2))
    theta = some_theta(problem)
    t = problem.sample(theta, psi, "model", 50, torch.Generator().manual_seed(2))
    floats = (t.obs, t.actions, t.next_obs, t.rewards, t.reward_grads, t.base_rewards, t.log_probs)
    shapes = [(50, 2, 3), (50, 2, 3), (50, 2, 3), (50, 2), (50, 2, 6), (50, 2), (50, 2)]
    assert [tuple(x.shape) for x in floats] == shapes
    assert {x.dtype for x in floats} == {torch.float32}
    assert t.dones.tolist() == [[False, True]] * 50
    assert not t.timeouts.any()
    assert t.num_episodes() == 50
    assert torch.equal(t.next_obs[:, 0], t.obs[:, 1])
    assert t.obs[0, :, -1].tolist() == [0.0, 0.5]
    assert t.next_obs[0, :, -1].tolist() == [0.5, 1.0]

    s, a, s2 = (x.double() for x in (t.obs[..., :2], t.actions, t.next_obs[..., :2]))

    def close(got, expected):  # float32 rounding
        torch.testing.assert_close(got.double(), expected, rtol=1e-5, atol=1e-5)

    close(s2, s @ problem.model.a.T + a @ problem.model.b.T)

    def reward(psi):
        state = (s2 - problem.state_target @ psi).square().sum(-1)
        return -state - problem.action_cost * (a - problem.action_target @ psi).square().sum(-1)

    close(t.rewards, reward(psi))
    close(t.base_rewards, reward(torch.zeros_like(psi)))
    close(t.reward_grads, torch.autograd.functional.jacobian(reward, psi))
    mean = s @ theta[:6].view(3, 2).T + theta[6:]
    normal = torch.distributions.Normal(mean, problem.noise_std)
    close(t.log_probs, normal.log_prob(a).sum(-1))


def test_samples_and_problems_follow_their_seeds():
    problem, psi = make((2, 2, 1, 10))
    theta = some_theta(problem)
    one, same, other = (
        problem.sample(theta, psi, "real", 5, torch.Generator().manual_seed(seed)).obs
        for seed in (0, 0, 1)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    sizes = {"state_dim": 2, "action_dim": 1, "task_dim": 2, "horizon": 2}
    problems = [random_problem(seed, **sizes)[0] for seed in (0, 0, 1)]
    assert torch.equal(problems[0].real.a, problems[1].real.a)
    assert not torch.equal(problems[0].real.a, problems[2].real.a)


@pytest.mark.parametrize("gae_lambda", [0.0, 1.0])
def test_the_package_s_own_estimators_run_on_it(gae_lambda):
    """g and M from samples, with policy and value function in the place of the networks."""
    problem, psi = make((2, 3, 6, 2))
    theta = some_theta(problem)
    policy, value = problem.policy(theta), problem.value_function(theta, psi, "real")
    t = problem.sample(theta, psi, "real", EPISODES, torch.Generator().manual_seed(3))
    settings = AdvantageSettings(gamma=problem.gamma, gae_lambda=gae_lambda)
    scores = score_products(policy, t.obs.flatten(0, 1), t.actions.flatten(0, 1))
    axes = torch.eye(problem.num_params, dtype=torch.float64)
    by_step = torch.stack([scores.jvp(x) for x in axes], -1).view(EPISODES, problem.horizon, -1)
    weights = EPISODES * episode_weights(t, settings).unsqueeze(-1)

    def check(by_episode, expected):
        standard_error = by_episode.std(0) / EPISODES**0.5
        errors = (by_episode.mean(0) - expected).abs() / standard_error
        assert errors.max() < 4.5  # the seed is fixed; up to 54 components at once

    advantages = advantages_and_returns(t, value, settings)[0].double().unsqueeze(-1)
    # with the exact value function every λ gives an unbiased gradient
    check((weights * advantages * by_step).sum(1), problem.policy_gradient(theta, psi, "real"))
    if gae_lambda == 1.0:  # V is held fixed in ∂Â/∂ψ, so that only λ = 1 is unbiased
        columns = EPISODES * expected_reward_grad_advantages(t, settings).double().unsqueeze(-2)
        mixed = (by_step.unsqueeze(-1) * columns).sum(1)
        check(mixed, problem.mixed_derivative(theta, psi, "real"))


# ------------------------------------------------------------------------------ ready-made problems


def test_the_scalar_problem_has_the_hessian_of_the_notes():
    problem, psi = scalar_problem()
    theta = torch.tensor([-0.3, 0.4], dtype=torch.float64)
    expected = torch.tensor([[-1.566, -3.469], [-3.469, -11.646]], dtype=torch.float64)
    hessian = problem.hessian(theta, psi, "model")
    torch.testing.assert_close(hessian, expected, rtol=0, atol=5e-4)  # three printed decimals


@pytest.mark.parametrize("seed", range(5))
def test_random_problems_are_worth_solving(seed):
    problem, psi = random_problem(seed, state_dim=2, action_dim=2, task_dim=2, horizon=3)
    terms = problem.exact_terms(psi)
    best = problem.expected_return(terms.theta_star, psi, "real")
    assert problem.gap(psi) > 0.02 * best.abs()
    explicit = terms.at_theta_star - terms.at_theta_hat
    assert terms.implicit.norm() > 0.2 * explicit.norm()
    for dynamics in (problem.real, problem.model):
        # 0.9 up to rounding
        assert torch.linalg.matrix_norm(dynamics.a, ord=2) < 0.9 + 1e-12
    assert not torch.equal(problem.real.a, problem.model.a)


# --------------------------------------------------------------------------------------- bad input


def zeros(*shape, dtype=torch.float64):
    return torch.zeros(*shape, dtype=dtype)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"start_cov": zeros(3, 3, dtype=torch.float32)},
            r"start_cov: expected \(d=2, d=2\) float64, got \(3, 3\) float32",
        ),
        ({"start_mean": zeros(3)}, r"start_mean: expected \(d=2,\) float64, got \(3,\) float64"),
        ({"start_mean": [0.0, 0.0]}, r"start_mean: expected \(d=2,\) float64, got list"),
        ({"start_mean": zeros(2) / 0}, "start_mean: expected finite values"),
        (
            {"start_cov": torch.diag(zeros(2) - 1)},
            "start_cov: expected a symmetric, positive semidefinite matrix",
        ),
        (
            {"start_cov": torch.tensor([[1.0, 0.1], [0.2, 1.0]], dtype=torch.float64)},
            "start_cov: expected a symmetric, positive semidefinite matrix",
        ),
        ({"state_target": zeros(2)}, r"state_target: expected a matrix, got \(2,\)"),
        ({"state_target": None}, "state_target: expected a matrix, got NoneType"),
        ({"state_target": zeros(3, 6)}, r"state_target: expected \(d=2, K=6\) float64, got \(3, 6"),
        ({"action_target": zeros(3, 5)}, r"action_target: expected \(A=3, K=6\) float64, got"),
        ({"action_cost": -0.1}, "action_cost: expected a finite number ≥ 0, got -0.1"),
        ({"noise_std": 0.0}, "noise_std: expected a finite number > 0, got 0.0"),
        ({"gamma": 1.1}, r"gamma: expected a number in \(0, 1\], got 1.1"),
        ({"horizon": 0}, "horizon: expected an int ≥ 1, got 0"),
        ({"horizon": 2.0}, "horizon: expected an int ≥ 1, got 2.0"),
        (
            {"model": LinearDynamics(zeros(1, 1), zeros(1, 3))},
            r"model.a: expected \(d=2, d=2\) float64, got \(1, 1\) float64",
        ),
        (
            {"model": LinearDynamics(zeros(2, 2), zeros(2, 1))},
            r"model.b: expected \(d=2, A=3\) float64, got \(2, 1\) float64",
        ),
    ],
)
def test_a_bad_problem_is_refused(changes, message):
    problem, _ = make((2, 3, 6, 2))
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(problem, **changes)


def test_bad_dynamics_are_refused():
    with pytest.raises(ValueError, match=r"a: expected \(d=2, d=2\) float64, got \(2, 3\) float64"):
        LinearDynamics(zeros(2, 3), zeros(2, 1))
    with pytest.raises(ValueError, match=r"b: expected \(d=2, A=1\) float64, got \(3, 1\) float64"):
        LinearDynamics(zeros(2, 2), zeros(3, 1))
    with pytest.raises(ValueError, match=r"a: expected a matrix, got \(2,\)"):
        LinearDynamics(zeros(2), zeros(2, 1))
    with pytest.raises(ValueError, match="b: expected finite values, got"):
        LinearDynamics(zeros(1, 1), zeros(1, 1) / 0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda p, theta, psi: p.expected_return(theta[1:], psi, "real"),
            r"theta: expected \(P=9,\) float64, got \(8,\) float64",
        ),
        (
            lambda p, theta, psi: p.hessian(theta, psi.float(), "real"),
            r"psi: expected \(K=6,\) float64, got \(6,\) float32",
        ),
        (
            lambda p, theta, psi: p.expected_return(theta, psi, "dream"),
            "where: expected 'real' or 'model', got 'dream'",
        ),
        (
            lambda p, theta, psi: p.best_params(psi, "real", theta / 0),
            "start: expected finite values",
        ),
        (lambda p, theta, psi: p.policy(theta[1:]), r"theta: expected \(P=9,\) float64"),
        (
            lambda p, theta, psi: p.sample(theta, psi, "real", 0, torch.Generator()),
            "episodes: expected an int ≥ 1, got 0",
        ),
        (
            lambda p, theta, psi: p.gap_gradient_by_central_differences(psi, step=0.0),
            "step: expected a number > 0, got 0.0",
        ),
    ],
)
def test_bad_arguments_are_refused(call, message):
    problem, psi = make((2, 3, 6, 2))
    with pytest.raises(ValueError, match=message):
        call(problem, some_theta(problem), psi)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"state_dim": 0}, "state_dim: expected an int ≥ 1, got 0"),
        ({"task_dim": 1.0}, "task_dim: expected an int ≥ 1, got 1.0"),
        ({"horizon": 0}, "horizon: expected an int ≥ 1, got 0"),
        ({"mismatch": 0.0}, "mismatch: expected a number > 0, got 0.0"),
        ({"mismatch": 1e-6}, "seed: 0 and these arguments gave no suitable problem"),
    ],
)
def test_bad_sizes_are_refused(changes, message):
    sizes = {"state_dim": 1, "action_dim": 1, "task_dim": 1, "horizon": 1}
    with pytest.raises(ValueError, match=message):
        random_problem(0, **{**sizes, **changes})


def test_a_problem_keeps_what_it_was_given():
    problem, _ = scalar_problem()
    assert isinstance(problem, LinearGaussianProblem)
    with pytest.raises(dataclasses.FrozenInstanceError):
        problem.gamma = 1.0
