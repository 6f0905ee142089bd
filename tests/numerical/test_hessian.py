"""The three Hessian estimators against their definitions, written out with plain loops."""

import pytest
import torch

from admrl_native._native import _core
from admrl_native.derivatives.scores import MlpScores
from admrl_native.networks.policy import GaussianPolicy
from admrl_native.networks.settings import NetworkSettings
from admrl_native.sampling.trajectories import Trajectories
from admrl_native.task_gradient.hessian import (
    causal_hessian,
    hessian_product,
    per_step_hessian,
    trajectory_hessian,
)
from admrl_native.task_gradient.samples import ValuedTrajectories
from admrl_native.task_gradient.scans import EpisodeScans, centred_by_age
from admrl_native.task_gradient.settings import TaskGradientSettings
from admrl_native.task_gradient.weights import advantage_weights, return_weights
from admrl_native.training.advantage import episode_weights
from admrl_native.training.settings import AdvantageSettings

N, T, HORIZON = 5, 12, 5
ADVANTAGE = AdvantageSettings(gamma=0.9, gae_lambda=0.8)
TOLERANCE = {"rtol": 1e-10, "atol": 1e-11}  # float64; sums of 60 samples


def random_flags(generator):
    """Dones at random and timeouts at the horizon, as a rollout makes them."""
    dones = torch.rand(N, T, generator=generator) < 0.15
    timeouts = torch.zeros(N, T, dtype=torch.bool)
    for row in range(N):
        age = 0
        for t in range(T):
            age += 1
            timeouts[row, t] = age == HORIZON and not dones[row, t]
            if dones[row, t] or timeouts[row, t]:
                age = 0
    return dones, timeouts


def episodes(dones, timeouts):
    """(row, first step, one past the last) of every episode."""
    found = []
    for row in range(N):
        begin = 0
        for t in range(T):
            if dones[row, t] or timeouts[row, t] or t == T - 1:
                found.append((row, begin, t + 1))
                begin = t + 1
    return found


@pytest.fixture(scope="module")
def problem():
    generator = torch.Generator().manual_seed(5)
    policy = GaussianPolicy(3, 2, NetworkSettings(policy_hidden=(4,)), generator)
    dones, timeouts = random_flags(generator)
    assert dones.any()
    assert timeouts.any()
    random = lambda *shape: torch.randn(*shape, generator=generator)  # noqa: E731
    obs, next_obs = random(N, T, 3), random(N, T, 3)
    goes_on = ~(dones | timeouts)[:, :-1].unsqueeze(-1)
    next_obs[:, :-1] = torch.where(goes_on, obs[:, 1:], next_obs[:, :-1])
    trajectories = Trajectories(
        obs=obs,
        actions=random(N, T, 2),
        next_obs=next_obs,
        rewards=random(N, T) + 1,
        reward_grads=random(N, T, 2),
        base_rewards=torch.zeros(N, T),
        dones=dones,
        timeouts=timeouts,
        log_probs=torch.zeros(N, T),
    )
    value = lambda obs: obs.sum(-1)  # noqa: E731
    judged = ValuedTrajectories.of(trajectories, value, ADVANTAGE)
    obs, actions = trajectories.obs.flatten(0, 1), trajectories.actions.flatten(0, 1)
    scores = MlpScores(policy, obs, actions, torch.float64)
    theta = policy.get_params().double()

    def log_probs(params):
        mean, log_std = policy.mean_and_log_std(params, policy.normaliser(obs).double())
        return torch.distributions.Normal(mean, log_std.exp()).log_prob(actions).sum(1)

    functional = torch.autograd.functional
    rows = functional.jacobian(log_probs, theta)
    curvatures = functional.jacobian(
        lambda p: functional.jacobian(log_probs, p, create_graph=True), theta
    )
    return judged, scores, rows.view(N, T, -1), curvatures.view(N, T, *curvatures.shape[1:])


def dense(product, size):
    return torch.stack([product(e) for e in torch.eye(size, dtype=torch.float64)])


@pytest.mark.parametrize("decay", [1.0, 0.7, 0.0])
def test_causal(problem, decay):
    judged, scores, g, curvature = problem
    t = judged.trajectories
    weights = advantage_weights(judged, HORIZON, ADVANTAGE).view(N, T)
    expected = torch.zeros(g.shape[-1], g.shape[-1], dtype=torch.float64)
    for row, begin, end in episodes(t.dones, t.timeouts):
        for step in range(begin, end):
            part = torch.outer(g[row, step], g[row, step]) + curvature[row, step]
            for before in range(begin, step):
                pair = torch.outer(g[row, step], g[row, before]) * decay ** (step - before)
                part = part + pair + pair.T
            expected += weights[row, step] * part
    product = causal_hessian(scores, EpisodeScans(t), weights.flatten(), decay)
    torch.testing.assert_close(dense(product, len(expected)), expected, **TOLERANCE)


def test_per_step_is_causal_without_pairs(problem):
    judged, scores, _, _ = problem
    weights = advantage_weights(judged, HORIZON, ADVANTAGE)
    x = torch.randn(scores.params.numel(), dtype=torch.float64)
    causal = causal_hessian(scores, EpisodeScans(judged.trajectories), weights, decay=0.0)
    torch.testing.assert_close(per_step_hessian(scores, weights)(x), causal(x), **TOLERANCE)


def test_trajectory(problem):
    judged, scores, g, curvature = problem
    t = judged.trajectories
    whole = [e for e in episodes(t.dones, t.timeouts) if e[1] + HORIZON <= T]
    assert 2 <= len(whole) < len(episodes(t.dones, t.timeouts))
    returns = []
    for row, begin, end in whole:
        total = sum(
            ADVANTAGE.gamma ** (s - begin) * t.rewards[row, s].double() for s in range(begin, end)
        )
        if not t.dones[row, end - 1]:  # a timeout bootstraps
            total += ADVANTAGE.gamma ** (end - begin) * t.next_obs[row, end - 1].double().sum()
        returns.append(total)
    expected = torch.zeros(g.shape[-1], g.shape[-1], dtype=torch.float64)
    for i, (row, begin, end) in enumerate(whole):
        others = [r for j, r in enumerate(returns) if j != i]
        centred = (returns[i] - sum(others) / len(others)) / len(whole) / HORIZON
        s = g[row, begin:end].sum(0)
        expected += centred * (torch.outer(s, s) + curvature[row, begin:end].sum(0))
    product = trajectory_hessian(scores, EpisodeScans(t), return_weights(judged, HORIZON))
    # returns are float32
    torch.testing.assert_close(dense(product, len(expected)), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("hessian", ["causal", "per-step", "trajectory"])
def test_every_estimator_is_symmetric_and_chosen_by_name(problem, hessian):
    judged, scores, g, _ = problem
    product = hessian_product(
        scores,
        judged,
        horizon=HORIZON,
        settings=TaskGradientSettings(hessian=hessian),
        advantage=ADVANTAGE,
    )
    matrix = dense(product, g.shape[-1])
    torch.testing.assert_close(matrix, matrix.T, **TOLERANCE)
    others = {"causal", "per-step", "trajectory"} - {hessian}
    for other in others:
        settings = TaskGradientSettings(hessian=other)
        that = hessian_product(
            scores, judged, horizon=HORIZON, settings=settings, advantage=ADVANTAGE
        )
        assert not torch.allclose(dense(that, g.shape[-1]), matrix, rtol=1e-3)


def test_the_baseline_is_the_mean_of_the_other_episodes_of_the_same_age(problem):
    judged, *_ = problem
    t = judged.trajectories
    centred = centred_by_age(t, t.reward_grads)
    found = episodes(t.dones, t.timeouts)
    for i, (row, begin, end) in enumerate(found):
        for step in range(begin, end):
            age = step - begin
            others = [
                t.reward_grads[r, b + age].double()
                for j, (r, b, e) in enumerate(found)
                if j != i and b + age < e
            ]
            if not others:  # the mean of all that is not this episode's
                rest = torch.ones(N, T, dtype=torch.bool)
                rest[row, begin:end] = False
                others = [t.reward_grads.double()[rest].mean(0)]
            baseline = sum(others) / len(others)
            expected = t.reward_grads[row, step].double() - baseline
            torch.testing.assert_close(centred[row, step], expected)
    weights = advantage_weights(judged, HORIZON, ADVANTAGE).view(N, T)
    by_hand = centred_by_age(t, judged.advantages.unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(weights, episode_weights(t, ADVANTAGE) / HORIZON * by_hand)


def test_whole_episodes_have_to_be_there(problem):
    judged, *_ = problem
    with pytest.raises(ValueError, match="expected at least 2 episodes that begin 12 steps"):
        return_weights(judged.rows(torch.tensor([0])), T)


def test_scans_refuse_what_they_cannot_use():
    flags = torch.zeros(2, 3, dtype=torch.bool).numpy()
    x = torch.zeros(2, 3, dtype=torch.float64).numpy()
    with pytest.raises(ValueError, match=r"decay: expected a number in \[0, 1\], got 1.5"):
        _core.cross_step_scan(x, x, flags, flags, 1.5)
    with pytest.raises(ValueError, match=r"c: expected \(N=2, T=3\) float64, got \(2, 2\) float64"):
        _core.episode_sum_scan(x, x[:, :2].copy(), flags, flags)
    with pytest.raises(ValueError, match=r"x: expected \(N, T, K\) float32, got \(2, 3\) float64"):
        _core.centre_by_age(x, flags, flags)
