"""Advantages and their task derivative against textbook double loops over ragged episodes."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt
import pytest
import torch

from admrl_native._native import _core
from admrl_native.sampling.trajectories import Trajectories
from admrl_native.training.advantage import (
    expected_reward_grad_advantages,
    generalised_advantages,
)
from admrl_native.training.settings import AdvantageSettings

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclasses.dataclass(frozen=True)
class Batch:
    """Trajectories with random episode ends."""

    rewards: F32
    values: F32
    next_values: F32
    reward_grads: F32
    dones: Flags
    timeouts: Flags


def make_batch(n: int, t: int, k: int, seed: int, ends: float = 0.15) -> Batch:
    g = np.random.default_rng(seed)
    dones, timeouts = g.random((n, t)) < ends, g.random((n, t)) < ends  # some steps are both

    def normal(*shape: int) -> F32:
        return g.standard_normal(shape).astype(np.float32)

    return Batch(normal(n, t), normal(n, t), normal(n, t), normal(n, t, k), dones, timeouts)


def episodes(batch: Batch, env: int) -> list[range]:
    """The steps of every episode of one environment."""
    out, first, horizon = [], 0, batch.rewards.shape[1]
    for t in range(horizon):
        if batch.dones[env, t] or batch.timeouts[env, t] or t == horizon - 1:
            out.append(range(first, t + 1))
            first = t + 1
    return out


def textbook_advantages(batch: Batch, gamma: float, lam: float) -> F64:
    """A_t = Σ_l (γλ)^l δ_{t+l} to the end of the episode, every t summed anew."""
    out = np.zeros(batch.rewards.shape)
    r, v, nv = (x.astype(np.float64) for x in (batch.rewards, batch.values, batch.next_values))
    for env in range(out.shape[0]):
        for steps in episodes(batch, env):
            for t in steps:
                for u in range(t, steps.stop):
                    bootstrap = 0.0 if batch.dones[env, u] else gamma * nv[env, u]
                    delta = r[env, u] + bootstrap - v[env, u]
                    out[env, t] += (gamma * lam) ** (u - t) * delta
    return out


def textbook_reward_grad_advantages(batch: Batch, gamma: float, lam: float) -> F64:
    out, grads = np.zeros(batch.reward_grads.shape), batch.reward_grads.astype(np.float64)
    for env in range(out.shape[0]):
        for steps in episodes(batch, env):
            for t in steps:
                for u in range(t, steps.stop):
                    out[env, t] += (gamma * lam) ** (u - t) * grads[env, u]
    return out


@pytest.mark.parametrize("seed", range(5))
def test_what_is_excluded_is_cut_off(seed: int) -> None:
    """As if the episode had timed out before: what the blown-up step shows does not matter."""
    batch = make_batch(6, 40, 1, seed)
    g = np.random.default_rng(seed)
    excluded = g.random((6, 40)) < 0.1
    excluded[0, 0] = excluded[1, 39] = excluded[2, 3] = excluded[2, 4] = True
    dones, timeouts = batch.dones | excluded, batch.timeouts & ~excluded
    settings = AdvantageSettings(gamma=0.9, gae_lambda=0.8)

    def found(shown: float) -> tuple[torch.Tensor, torch.Tensor]:
        rewards, next_values = batch.rewards.copy(), batch.next_values.copy()
        rewards[excluded], next_values[excluded] = shown, shown
        zeros = torch.zeros(6, 40, 1)
        t = Trajectories(
            obs=zeros, actions=zeros, next_obs=zeros, rewards=torch.from_numpy(rewards),
            reward_grads=zeros, base_rewards=zeros[..., 0], dones=torch.from_numpy(dones),
            timeouts=torch.from_numpy(timeouts), log_probs=zeros[..., 0],
            excluded=torch.from_numpy(excluded),
        )  # fmt: skip
        values = torch.from_numpy(batch.values)
        return generalised_advantages(t, values, torch.from_numpy(next_values), settings)

    before = np.zeros_like(excluded)
    before[:, :-1] = excluded[:, 1:]
    cut = dataclasses.replace(batch, dones=dones, timeouts=timeouts | (before & ~dones))
    expected = textbook_advantages(cut, 0.9, 0.8)
    for shown in (0.0, np.nan, 1e30):
        advantages, returns = (x.numpy() for x in found(shown))
        sound = ~excluded
        # Sums in float64 rounded to float32.
        np.testing.assert_allclose(advantages[sound], expected[sound], rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(
            returns[sound], (expected + batch.values)[sound], rtol=1e-6, atol=1e-6
        )
        np.testing.assert_array_equal(returns[excluded], batch.values[excluded])
        # After standardising it is 0 and the others are what they are without it.
        np.testing.assert_allclose(
            advantages[excluded], expected[sound].mean(), rtol=1e-5, atol=1e-6
        )


SHAPES = [(1, 1, 1), (1, 7, 2), (5, 1, 3), (6, 40, 2), (3, 200, 18)]
FACTORS = [(0.99, 0.95), (0.99, 1.0), (1.0, 1.0), (0.9, 0.0), (0.0, 0.5)]


@pytest.mark.parametrize(("gamma", "lam"), FACTORS)
@pytest.mark.parametrize("shape", SHAPES)
def test_advantages(shape: tuple[int, int, int], gamma: float, lam: float) -> None:
    b = make_batch(*shape, seed=1)
    adv, returns = _core.advantages(
        b.rewards, b.values, b.next_values, b.dones, b.timeouts, gamma, lam
    )
    expected = textbook_advantages(b, gamma, lam)
    assert adv.dtype == returns.dtype == np.float32
    # Both are sums in float64 rounded to float32: one rounding, 6e-8 relative.
    np.testing.assert_allclose(adv, expected, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(returns, expected + b.values, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize(("gamma", "lam"), FACTORS)
@pytest.mark.parametrize("shape", SHAPES)
def test_reward_grad_advantages(shape: tuple[int, int, int], gamma: float, lam: float) -> None:
    b = make_batch(*shape, seed=2)
    out = _core.reward_grad_advantages(b.reward_grads, b.dones, b.timeouts, gamma, lam)
    assert out.dtype == np.float32
    # Sums in float64 rounded to float32: one rounding, 6e-8 relative.
    expected = textbook_reward_grad_advantages(b, gamma, lam)
    np.testing.assert_allclose(out, expected, rtol=1e-7, atol=1e-9)


def test_reward_gradients_are_the_derivative_of_the_advantages() -> None:
    # Rewards linear in ψ: the advantages' finite difference is exact up to rounding.
    b, k = make_batch(4, 50, 3, seed=3), 3
    out = _core.reward_grad_advantages(b.reward_grads, b.dones, b.timeouts, 0.99, 0.95)
    for column in range(k):
        plus, minus = (
            _core.advantages(
                b.rewards + s * b.reward_grads[:, :, column],
                b.values, b.next_values, b.dones, b.timeouts, 0.99, 0.95,
            )[0]
            for s in (np.float32(1), np.float32(-1))
        )  # fmt: skip
        # float32 rounding of rewards and advantages of size 10.
        np.testing.assert_allclose((plus - minus) / 2, out[:, :, column], atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("gamma", [0.99, 1.0, 0.0])
def test_episode_weights(shape: tuple[int, int, int], gamma: float) -> None:
    b = make_batch(*shape, seed=4)
    weights = _core.episode_weights(b.dones, b.timeouts, gamma)
    assert weights.dtype == np.float64
    assert weights.shape == shape[:2]
    segments = [(env, steps) for env in range(shape[0]) for steps in episodes(b, env)]
    for env, steps in segments:
        for t in steps:
            age = t - steps.start
            could_see = sum(other.start + age < shape[1] for _, other in segments)
            # float64; powers and products of the discount round differently
            assert weights[env, t] == pytest.approx(gamma**age / could_see, rel=1e-12)


@pytest.mark.parametrize("horizon", [20, 27, 50])
def test_episode_weights_are_unbiased_whatever_the_batch_cuts_off(horizon: int) -> None:
    """Episodes that end with probability 0.1 a step or at 20 steps; x = 1 while they live."""
    rng, gamma, num_envs = np.random.default_rng(0), 0.97, 20_000
    dones = np.zeros((num_envs, horizon), bool)
    timeouts = np.zeros_like(dones)
    age = np.zeros(num_envs, int)
    for t in range(horizon):
        age += 1
        dones[:, t] = rng.random(num_envs) < 0.1
        timeouts[:, t] = (age == 20) & ~dones[:, t]
        age[dones[:, t] | timeouts[:, t]] = 0
    truth = sum((gamma * 0.9) ** t for t in range(20))
    estimate = _core.episode_weights(dones, timeouts, gamma).sum()
    # The spread of an episode's sum is 5, so the standard error is at most 0.035.
    assert estimate == pytest.approx(truth, abs=0.14)


@pytest.mark.parametrize("gae_lambda", [1.0, 0.8])
@pytest.mark.parametrize("horizon", [20, 27, 50])
def test_reward_grad_advantages_are_unbiased_whatever_the_batch_cuts_off(
    horizon: int, gae_lambda: float
) -> None:
    """Scores a_t ~ N(0, 1), ∂r_l/∂ψ = Σ_{u≤l} a_u: each pair t ≤ l of living steps adds λ^{l−t}γ^l.

    Episodes end with probability 0.1 a step or at 20 steps.
    """
    rng, gamma, num_envs = np.random.default_rng(1), 0.97, 40_000
    scores = rng.standard_normal((num_envs, horizon))
    dones, timeouts = np.zeros((2, num_envs, horizon), bool)
    sums = np.zeros((num_envs, horizon), np.float32)
    age, total = np.zeros(num_envs, int), np.zeros(num_envs)
    for t in range(horizon):
        age, total = age + 1, total + scores[:, t]
        sums[:, t] = total
        dones[:, t] = rng.random(num_envs) < 0.1
        timeouts[:, t] = (age == 20) & ~dones[:, t]
        ended = dones[:, t] | timeouts[:, t]
        age[ended], total[ended] = 0, 0.0
    truth = sum((gamma * 0.9) ** i * sum(gae_lambda ** np.arange(i + 1)) for i in range(20))
    unused = torch.zeros(num_envs, horizon, 1)
    weights = expected_reward_grad_advantages(
        Trajectories(
            obs=unused,
            actions=unused,
            log_probs=unused[..., 0],
            rewards=unused[..., 0],
            next_obs=unused,
            dones=torch.from_numpy(dones),
            timeouts=torch.from_numpy(timeouts),
            reward_grads=torch.from_numpy(sums)[..., None],
            base_rewards=unused[..., 0],
        ),
        AdvantageSettings(gamma=gamma, gae_lambda=gae_lambda),
    )
    by_row = (scores * weights[..., 0].numpy()).sum(1)
    standard_error = by_row.std() * num_envs**0.5
    assert by_row.sum() == pytest.approx(truth, abs=4 * standard_error)
    assert standard_error < 0.007 * truth  # what lies beyond the last column is 4 to 18 % of it


def one_env(flags: list[bool]) -> Flags:
    return np.array([flags])


def test_what_ends_an_episode_in_numbers() -> None:
    r = np.array([[1, 1, 1, 1]], np.float32)
    v = np.array([[0, 0, 0, 0]], np.float32)
    nv = np.array([[8, 8, 8, 8]], np.float32)
    none, second = one_env([False] * 4), one_env([False, True, False, False])
    # γ = λ = 1/2: δ = 1 + 4 with a bootstrap, 1 without; the carry is a quarter. Exact in binary.
    assert _core.advantages(r, v, nv, none, none, 0.5, 0.5)[0].tolist() == [
        [6.640625, 6.5625, 6.25, 5.0]
    ]
    assert _core.advantages(r, v, nv, second, none, 0.5, 0.5)[0].tolist() == [
        [5.25, 1.0, 6.25, 5.0]
    ]
    assert _core.advantages(r, v, nv, none, second, 0.5, 0.5)[0].tolist() == [
        [6.25, 5.0, 6.25, 5.0]
    ]
    assert _core.advantages(r, v, nv, second, second, 0.5, 0.5)[0].tolist() == [
        [5.25, 1.0, 6.25, 5.0]
    ]


def test_the_value_after_a_done_step_is_not_read() -> None:
    b = make_batch(3, 30, 2, seed=5)
    poisoned = np.where(b.dones, np.float32(np.nan), b.next_values)
    plain = _core.advantages(b.rewards, b.values, b.next_values, b.dones, b.timeouts, 0.99, 0.95)
    other = _core.advantages(b.rewards, b.values, poisoned, b.dones, b.timeouts, 0.99, 0.95)
    assert b.dones.any()
    assert np.array_equal(plain[0], other[0])
    assert np.array_equal(plain[1], other[1])


def test_nothing_crosses_an_end_or_another_environment() -> None:
    b = make_batch(3, 30, 2, seed=6)
    poisoned = b.reward_grads.copy()
    poisoned[1] = np.nan
    plain = _core.reward_grad_advantages(b.reward_grads, b.dones, b.timeouts, 0.99, 0.95)
    other = _core.reward_grad_advantages(poisoned, b.dones, b.timeouts, 0.99, 0.95)
    assert np.array_equal(plain[[0, 2]], other[[0, 2]])
    first = episodes(b, 0)[0]
    poisoned = b.reward_grads.copy()
    poisoned[0, first.stop :] = np.nan
    other = _core.reward_grad_advantages(poisoned, b.dones, b.timeouts, 0.99, 0.95)
    assert np.array_equal(plain[0, : first.stop], other[0, : first.stop])


def test_sums_are_in_float64() -> None:
    # In float32, 2^24 + 1 is 2^24: a float32 accumulator would lose every small reward.
    r = np.ones((1, 65), np.float32)
    r[0, -1] = 2.0**24
    zero, none = np.zeros_like(r), np.zeros((1, 65), bool)
    adv, _ = _core.advantages(r, zero, zero, none, none, 1.0, 1.0)
    assert adv[0, 0] == 2.0**24 + 64


def test_bad_arguments() -> None:
    b = make_batch(3, 4, 2, seed=7)
    rest = (b.values, b.next_values, b.dones, b.timeouts, 0.9, 0.9)
    with pytest.raises(ValueError, match=r"^rewards: expected \(N, T\) float32, got .* float64"):
        _core.advantages(b.rewards.astype(np.float64), *rest)
    with pytest.raises(ValueError, match=r"^values: expected \(N=3, T=4\) float32, got \(3, 3\)"):
        _core.advantages(b.rewards, b.values[:, :3].copy(), *rest[1:])
    with pytest.raises(ValueError, match=r"^dones: expected \(N=3, T=4\) bool, got \(3, 4\) int8"):
        _core.reward_grad_advantages(b.reward_grads, b.dones.astype(np.int8), b.timeouts, 0.9, 0.9)
    with pytest.raises(ValueError, match=r"^gamma: expected a number in \[0, 1\], got 1.1"):
        _core.episode_weights(b.dones, b.timeouts, 1.1)
    with pytest.raises(ValueError, match=r"^lam: expected a number in \[0, 1\], got -0.1"):
        _core.reward_grad_advantages(b.reward_grads, b.dones, b.timeouts, 0.9, -0.1)
    with pytest.raises(ValueError, match=r"^gamma: expected a number in \[0, 1\], got nan"):
        _core.advantages(b.rewards, *rest[:4], np.nan, 0.9)
    empty = make_batch(0, 4, 2, seed=7)
    with pytest.raises(ValueError, match=r"^trajectories: expected at least one step"):
        _core.episode_weights(empty.dones, empty.timeouts, 0.9)
