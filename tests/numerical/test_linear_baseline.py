"""The linear baseline against numpy's least squares and plain loops."""

import dataclasses

import numpy as np
import pytest
import torch

from admrl_native.sampling.trajectories import Trajectories
from admrl_native.training.linear_baseline import (
    baseline_advantages,
    features,
    fit_linear_baseline,
    standardised,
)
from admrl_native.training.settings import AdvantageSettings

B, R, T, D, RIDGE = 3, 4, 15, 2, 1e-5
ADVANTAGE = AdvantageSettings(gamma=0.9, gae_lambda=0.8)


def make_trajectories(done_probability: float, blow_ups: float = 0.0) -> Trajectories:
    """B R rows; every episode ends at T or before, and the next one begins.

    Args:
        done_probability: of an end before T.
        blow_ups: share of those ends that are excluded.
    """
    generator = torch.Generator().manual_seed(3)
    random = lambda *shape: torch.randn(B * R, T, *shape, generator=generator)  # noqa: E731
    dones = torch.rand(B * R, T, generator=generator) < done_probability
    timeouts = torch.zeros_like(dones)
    timeouts[:, -1] = ~dones.any(1)
    excluded = dones & (
        torch.rand(dones.shape, generator=torch.Generator().manual_seed(4)) < blow_ups
    )
    return Trajectories(
        obs=3 * random(D),
        actions=random(1),
        next_obs=3 * random(D),
        rewards=random(),
        reward_grads=random(1),
        base_rewards=random(),
        dones=dones,
        timeouts=timeouts,
        log_probs=random(),
        excluded=excluded,
    )


def phi(s, t) -> np.ndarray:
    s, t = np.clip(np.asarray(s, np.float64), -10, 10), t / 100
    return np.concatenate([s, s**2, [t, t**2, t**3, 1.0]])


def test_the_features_are_as_defined():
    obs = torch.tensor([[0.5, -30.0], [20.0, 0.25]])
    rows = features(obs, torch.tensor([0, 150]))
    expected = np.stack([phi(obs[0], 0), phi(obs[1], 150)])
    np.testing.assert_array_equal(rows.numpy(), expected)


def test_the_fit_is_numpys_least_squares_for_each_task():
    generator = torch.Generator().manual_seed(0)
    obs = torch.randn(B, 50, D, generator=generator)
    obs[..., 1] = 0.7  # never moves: without the ridge the weights would not be determined
    steps = torch.arange(50).remainder(20).expand(B, 50)
    targets = torch.randn(B, 50, generator=generator)
    counts = torch.rand(B, 50, generator=generator) < 0.8
    found = fit_linear_baseline(obs, steps, targets, counts, RIDGE)
    for b in range(B):
        rows = features(obs[b], steps[b]).numpy()[counts[b].numpy()]
        penalty = np.sqrt(RIDGE) * np.eye(rows.shape[1])
        right = np.concatenate([targets[b][counts[b]].double().numpy(), np.zeros(rows.shape[1])])
        expected = np.linalg.lstsq(np.concatenate([rows, penalty]), right, rcond=None)[0]
        # float64; the system's condition is about 10⁴
        np.testing.assert_allclose(found.weights[b].numpy(), expected, rtol=1e-8, atol=1e-8)
        values = found.values(obs, steps)[b].numpy()
        np.testing.assert_allclose(values, features(obs[b], steps[b]).numpy() @ expected, atol=1e-8)


@pytest.mark.parametrize(("done_probability", "blow_ups"), [(0.0, 0.0), (0.15, 0.0), (0.15, 0.5)])
def test_the_advantages_are_those_of_plain_loops(done_probability, blow_ups):
    """An episode that blew up is not fitted to, and is cut off before its last step."""
    t = make_trajectories(done_probability, blow_ups)
    t.rewards[t.excluded] = t.next_obs[t.excluded] = np.nan  # must not matter
    excluded = t.excluded.numpy()
    assert excluded.any() == (blow_ups > 0)
    found = baseline_advantages(t, B, T, ADVANTAGE, RIDGE).numpy()
    gamma, lam = ADVANTAGE.gamma, ADVANTAGE.gae_lambda
    ends = (t.dones | t.timeouts).numpy()
    assert done_probability == 0 or (t.steps[:, -1] < T - 1).any()  # some rows are cut off
    for b in range(B):
        rows, right = [], []
        for n in range(b * R, (b + 1) * R):
            last = int(np.argmax(ends[n]))  # only the first episode is sure to come to its end
            if excluded[n, last]:
                continue
            for step in range(last + 1):
                later = np.arange(last + 1 - step)
                rows.append(phi(t.obs[n, step], step))
                right.append((gamma**later * t.rewards[n, step : last + 1].numpy()).sum())
        size = len(rows[0])
        system = np.concatenate([rows, np.sqrt(RIDGE) * np.eye(size)])
        w = np.linalg.lstsq(system, np.concatenate([right, np.zeros(size)]), rcond=None)[0]
        for n in range(b * R, (b + 1) * R):
            carry = 0.0
            for step in reversed(range(T)):
                if excluded[n, step]:
                    # Neither better nor worse than the rest.
                    assert found[n, step] == pytest.approx(found[~excluded].mean(), abs=1e-6)
                    carry = 0.0
                    continue
                age = int(t.steps[n, step])
                future = 0.0 if ends[n, step] else w @ phi(t.next_obs[n, step], age + 1)
                value = w @ phi(t.obs[n, step], age)
                delta = t.rewards[n, step].item() + gamma * future - value
                cut = ends[n, step] or step == T - 1 or excluded[n, step + 1]
                carry = delta if cut else delta + gamma * lam * carry
                # targets and values are rounded to float32 on their way through the core
                assert found[n, step] == pytest.approx(carry, rel=1e-4, abs=1e-4)


def test_steps_count_within_episodes():
    t = make_trajectories(0.15)
    for row in range(B * R):
        age = 0
        for step in range(T):
            assert t.steps[row, step] == age
            age = 0 if t.dones[row, step] or t.timeouts[row, step] else age + 1


def test_a_reward_that_the_features_explain_leaves_no_advantage():
    t = make_trajectories(0.0)
    steps = t.steps
    rewards = 1.0 + 0.02 * steps  # the return is a polynomial of the time
    t = dataclasses.replace(t, rewards=rewards)
    undiscounted = AdvantageSettings(gamma=1.0, gae_lambda=1.0)
    found = baseline_advantages(t, B, T, undiscounted, RIDGE)
    assert found.abs().max() < 1e-2 * rewards.sum(1).max()


def test_too_short_to_end():
    t = make_trajectories(0.0)
    with pytest.raises(ValueError, match=r"trajectories: expected at least 16 steps, got 15"):
        baseline_advantages(t, B, T + 1, ADVANTAGE, RIDGE)


def test_standardised_is_by_task():
    x = torch.randn(B, 50, generator=torch.Generator().manual_seed(1)) * 3 + 7
    y = standardised(x)
    torch.testing.assert_close(y.mean(1), torch.zeros(B), atol=1e-5, rtol=0)
    torch.testing.assert_close(y.std(1), torch.ones(B), atol=1e-5, rtol=0)
