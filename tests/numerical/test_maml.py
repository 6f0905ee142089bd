"""MAML's meta-gradient, where it is known exactly, and its parts against automatic derivatives."""

import pytest
import torch

from admrl_native.derivatives.fisher import mean_kl
from admrl_native.derivatives.settings import TrpoSettings
from admrl_native.meta_gradient.adapted_task import AdaptedTask
from admrl_native.meta_gradient.inner_step import InnerStep
from admrl_native.meta_gradient.outer_step import AdaptedRegion, meta_gradient, outer_step
from admrl_native.meta_gradient.surrogates import SURROGATES
from admrl_native.meta_gradient.weighted import WeightedTrajectories, weighted_by_task
from admrl_native.networks.policy import GaussianPolicy
from admrl_native.networks.settings import NetworkSettings
from admrl_native.sampling.trajectories import Trajectories
from admrl_native.seeding import derive_generator
from admrl_native.testing import scalar_problem
from admrl_native.testing.linear_policy import split_theta
from admrl_native.training.advantage import advantages_and_returns
from admrl_native.training.settings import AdvantageSettings

# On the linear-Gaussian problem: the sampled meta-gradient against the exact one

STEP_SIZE = 0.05
THETA = torch.tensor([-0.3, 0.5], dtype=torch.float64)
PROBLEM, PSI = scalar_problem()


def returns_by_step(thetas: torch.Tensor) -> torch.Tensor:
    """η where step t acts with thetas[t] (T, P): the propagation of `expected_return`."""
    problem, a, b = PROBLEM, PROBLEM.real.a, PROBLEM.real.b
    state_target, action_target = problem.state_target @ PSI, problem.action_target @ PSI
    mean, cov, total = problem.start_mean, problem.start_cov, 0.0
    variance = problem.noise_std**2
    for t, theta in enumerate(thetas):
        weight, bias = split_theta(theta, problem.state_dim)
        action_error = weight @ mean + bias - action_target
        spread = ((weight @ cov) * weight).sum() + problem.act_dim * variance
        gain = a + b @ weight
        mean, cov = gain @ mean + b @ bias, gain @ cov @ gain.T + variance * b @ b.T
        error = mean - state_target
        reward = -(error @ error + cov.trace())
        reward = reward - problem.action_cost * (action_error @ action_error + spread)
        total = total + problem.gamma**t * reward
    return total


def eta(theta):
    return PROBLEM.expected_return(theta, PSI, "real")


def eta_gradient(theta):
    return PROBLEM.policy_gradient(theta, PSI, "real")


def adapted_return(theta):
    return eta(theta + STEP_SIZE * eta_gradient(theta))


def exact_meta_gradient(surrogate: str) -> torch.Tensor:
    """(I + α H) ∇η(θ'), H what the surrogate's Hessian estimates; the truth for dice."""
    at_adapted = eta_gradient(THETA + STEP_SIZE * eta_gradient(THETA))
    if surrogate == "first-order":
        return at_adapted
    horizon = PROBLEM.horizon
    blocks = torch.func.hessian(returns_by_step)(THETA.repeat(horizon, 1))
    if surrogate == "lvc":  # products of different time steps are left out
        blocks = blocks * torch.eye(horizon, dtype=torch.float64)[:, None, :, None]
    return at_adapted + STEP_SIZE * blocks.sum((0, 2)) @ at_adapted


def weighted(theta: torch.Tensor, episodes: int, *path: int | str) -> WeightedTrajectories:
    """Samples of π_θ whose weights are γ^t Â_t, Â from the exact value function, per episode."""
    t = PROBLEM.sample(theta, PSI, "real", episodes, derive_generator(0, *path))
    value = PROBLEM.value_function(theta, PSI, "real")
    settings = AdvantageSettings(gamma=PROBLEM.gamma, gae_lambda=1.0)
    advantages, _ = advantages_and_returns(t, value, settings)
    discount = PROBLEM.gamma ** torch.arange(PROBLEM.horizon, dtype=torch.float64)
    return WeightedTrajectories(t, discount * advantages.double() / episodes)


def sampled_meta_gradient(surrogate: str, episodes: int, repeat: int) -> torch.Tensor:
    step = InnerStep(
        PROBLEM.policy(THETA),
        weighted(THETA, episodes, "before", repeat),
        step_size=STEP_SIZE,
        surrogate=surrogate,
        dtype=torch.float64,
    )
    after = weighted(step.adapted, episodes, "after", repeat)
    task = AdaptedTask([step], PROBLEM.policy(step.adapted), after, torch.float64)
    return meta_gradient([task])


def test_the_exact_gradient_is_a_finite_difference_of_the_adapted_return():
    width = 1e-5
    differences = [
        (adapted_return(THETA + width * e) - adapted_return(THETA - width * e)) / (2 * width)
        for e in torch.eye(2, dtype=torch.float64)
    ]
    exact = exact_meta_gradient("dice")
    torch.testing.assert_close(exact, torch.stack(differences), rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(exact, torch.func.grad(adapted_return)(THETA), rtol=1e-9, atol=1e-9)
    # Each step of the method matters here: adapting does, and so do all of the Hessian's parts.
    assert adapted_return(THETA) > eta(THETA) + 0.2
    scale = exact.norm()
    for surrogate in ("lvc", "first-order"):
        assert (exact_meta_gradient(surrogate) - exact).norm() > 0.05 * scale


@pytest.mark.parametrize("surrogate", SURROGATES)
def test_sampled_is_within_three_standard_errors_of_what_it_estimates(surrogate):
    """dice: of the truth. lvc, first-order: of their own expectation, and far from the truth."""
    repeats = 24
    estimates = torch.stack([sampled_meta_gradient(surrogate, 4000, r) for r in range(repeats)])
    mean, error = estimates.mean(0), estimates.std(0) / repeats**0.5
    expected, truth = exact_meta_gradient(surrogate), exact_meta_gradient("dice")
    print(f"{surrogate}: {mean} ± {error}, expected {expected}, truth {truth}")
    # the bias of a nonlinear function of a sampled θ' is of order 1/4000, below the error
    assert ((mean - expected).abs() < 3 * error).all()
    assert (error < 0.04 * truth.norm()).all()
    if surrogate != "dice":
        assert ((mean - truth).abs() > 3 * error).any()


def test_errors_shrink_with_the_square_root_of_the_samples():
    truth, errors = exact_meta_gradient("dice"), []
    for episodes in (250, 4000):
        estimates = [sampled_meta_gradient("dice", episodes, 100 + r) for r in range(40)]
        errors.append((torch.stack(estimates) - truth).square().sum(1).mean().sqrt())
    # 16 times the samples: 4; a ratio of two standard deviations of 40 draws each is known to 16 %
    assert 2.8 < errors[0] / errors[1] < 5.7


def test_lvc_has_less_variance_than_dice():
    """Of what differs, the products with the Jacobian; its bias is the price (see above)."""
    spreads = []
    for surrogate in ("lvc", "dice"):
        products = []
        for repeat in range(40):
            step = InnerStep(
                PROBLEM.policy(THETA),
                weighted(THETA, 250, "variance", repeat),
                step_size=STEP_SIZE,
                surrogate=surrogate,
                dtype=torch.float64,
            )
            products.append(step.jacobian_product(torch.ones_like(THETA)))
        spreads.append(torch.stack(products).var(0).sum().sqrt())
    print(spreads)
    assert spreads[0] < spreads[1]


# Parts of it on a network, against automatic derivatives in float64

B, R, T, D, A = 3, 4, 9, 3, 2
EXACT = {"rtol": 1e-9, "atol": 1e-11}


def make_policy() -> GaussianPolicy:
    networks = NetworkSettings(policy_hidden=(5, 4), policy_output_scale=1.0)
    policy = GaussianPolicy(D, A, networks, torch.Generator().manual_seed(0)).double()
    with torch.no_grad():
        policy.log_std += torch.tensor([0.2, -0.4])
    return policy


def with_params(params: torch.Tensor) -> GaussianPolicy:
    policy = make_policy()
    policy.set_params(params)
    return policy


def random_samples(seed: int) -> list[WeightedTrajectories]:
    generator = torch.Generator().manual_seed(seed)
    random = lambda *s: torch.randn(B * R, T, *s, generator=generator).double()  # noqa: E731
    dones = torch.rand(B * R, T, generator=generator) < 0.15
    timeouts = torch.zeros_like(dones)
    timeouts[::2, 5] = True
    trajectories = Trajectories(
        obs=random(D),
        actions=random(A),
        next_obs=random(D),
        rewards=random(),
        reward_grads=random(1),
        base_rewards=random(),
        dones=dones,
        timeouts=timeouts & ~dones,
        log_probs=random(),
    )
    return weighted_by_task(trajectories, random() / (R * T), B)


def adapted_tasks(surrogate: str, num_steps: int = 1) -> list[AdaptedTask]:
    tasks = []
    for b in range(B):
        policy, steps = make_policy(), []
        for k in range(num_steps):
            samples = random_samples(10 + k)[b]
            steps.append(
                InnerStep(policy, samples, step_size=0.3, surrogate=surrogate, dtype=torch.float64)
            )
            policy = with_params(steps[-1].adapted)
        tasks.append(AdaptedTask(steps, policy, random_samples(90)[b], torch.float64))
    return tasks


def test_tasks_keep_their_samples():
    parts = random_samples(0)
    assert [p.weights.shape for p in parts] == [(R, T)] * B
    whole = torch.cat([p.obs for p in parts])
    assert torch.equal(whole, torch.cat([p.trajectories.obs.flatten(0, 1) for p in parts]))


def test_sums_stay_within_episodes():
    (samples, *_) = random_samples(1)
    t, x = samples.trajectories, samples.weights
    found = samples.sum_to_here(x)
    for row in range(R):
        total = 0.0
        for step in range(T):
            total += x[row, step].item()
            assert found[row, step] == pytest.approx(total, abs=1e-14)
            if t.dones[row, step] or t.timeouts[row, step]:
                total = 0.0


@pytest.mark.parametrize("surrogate", ["lvc", "dice"])
def test_the_inner_steps_jacobian_is_autograds(surrogate):
    policy, theta = make_policy(), make_policy().get_params()
    step = InnerStep(
        policy, random_samples(2)[0], step_size=0.3, surrogate=surrogate, dtype=torch.float64
    )
    torch.testing.assert_close(step.adapted_at(theta), step.adapted, **EXACT)
    v = torch.randn(len(theta), generator=torch.Generator().manual_seed(5)).double()
    product = torch.func.jvp(step.adapted_at, (theta,), (v,))[1]
    torch.testing.assert_close(step.jacobian_product(v), product, **EXACT)
    assert not torch.allclose(product, v, rtol=1e-2)


def test_the_dice_product_is_that_of_foersters_definition():
    """Σ_t r_t exp(Σ_{u≤t} (log π_u − const)), on rewards whose returns are the weights."""
    policy, samples = make_policy(), random_samples(2)[0]
    t, w = samples.trajectories, samples.weights
    ends = t.ends
    rewards = w.clone()  # r_t = w_t − w_{t+1}: the sums to the end of the episode are w
    rewards[:, :-1] -= torch.where(ends[:, :-1], 0.0, w[:, 1:])
    x, theta = policy.normaliser(samples.obs), policy.get_params()

    def objective(params):
        mean, log_std = policy.mean_and_log_std(params, x)
        log_probs = torch.distributions.Normal(mean, log_std.exp()).log_prob(samples.actions)
        log_probs = log_probs.sum(1).view(R, T)
        return (rewards * samples.sum_to_here(log_probs - log_probs.detach()).exp()).sum()

    step = InnerStep(policy, samples, step_size=0.3, surrogate="dice", dtype=torch.float64)
    gradient = torch.autograd.functional.jacobian(objective, theta)
    torch.testing.assert_close((step.adapted - theta) / 0.3, gradient, rtol=1e-8, atol=1e-9)
    v = torch.randn(len(theta), generator=torch.Generator().manual_seed(5)).double()
    hessian = torch.autograd.functional.hessian(objective, theta)
    product = (step.jacobian_product(v) - v) / 0.3
    torch.testing.assert_close(product, hessian @ v, rtol=1e-8, atol=1e-9)


def test_first_order_passes_nothing():
    policy, theta = make_policy(), make_policy().get_params()
    samples = random_samples(2)[0]
    step, lvc = (
        InnerStep(policy, samples, step_size=0.3, surrogate=s, dtype=torch.float64)
        for s in ("first-order", "lvc")
    )
    assert torch.equal(step.adapted, lvc.adapted)
    v = torch.ones_like(theta)
    assert torch.equal(step.jacobian_product(v), v)
    torch.testing.assert_close(step.adapted_at(theta + v) - step.adapted, v, **EXACT)


@pytest.mark.parametrize("num_steps", [1, 2])
@pytest.mark.parametrize("surrogate", SURROGATES)
def test_the_outer_gradient_and_curvature_are_autograds(surrogate, num_steps):
    tasks, theta = adapted_tasks(surrogate, num_steps), make_policy().get_params()
    region = AdaptedRegion(make_policy(), tasks)

    def gain(params):
        return region.evaluate(params)[1]

    def kl(params):
        return region.evaluate(params)[0]

    torch.testing.assert_close(meta_gradient(tasks), torch.func.grad(gain)(theta), **EXACT)
    assert abs(gain(theta)) < 1e-12
    assert abs(kl(theta)) < 1e-12
    v = torch.randn(len(theta), generator=torch.Generator().manual_seed(5)).double()
    product = torch.func.jvp(torch.func.grad(kl), (theta,), (v,))[1]
    torch.testing.assert_close(region.fisher_product(v), product, rtol=1e-8, atol=1e-10)


def test_the_outer_step_improves_within_the_region():
    tasks, policy = adapted_tasks("lvc"), make_policy()
    before = policy.get_params()
    settings = TrpoSettings(max_kl=0.01, fisher_damping=1e-5, kl_tolerance=1.0)
    step = outer_step(policy, tasks, settings)
    assert torch.equal(policy.get_params(), step.params)
    assert step.line_search_steps >= 0
    assert step.improvement > 0
    assert 0 < step.kl <= 0.01
    kls = []
    for task in tasks:
        mean, log_std = policy.mean_and_log_std(task.adapted_at(step.params), task.x)
        kls.append(mean_kl(task.old_mean, task.old_log_std, mean, log_std))
    assert step.kl == pytest.approx(torch.stack(kls).mean().item())
    assert not torch.equal(before, step.params)


def test_an_unknown_surrogate():
    with pytest.raises(ValueError, match=r"surrogate: expected one of lvc, dice, first-order, got"):
        InnerStep(make_policy(), random_samples(2)[0], step_size=0.1, surrogate="maml")
