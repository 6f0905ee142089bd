"""The replay of many tasks."""

from __future__ import annotations

import pytest
import torch

from admrl_native.sampling.task_replay import COLUMNS, TaskReplay, sound_transitions
from admrl_native.sampling.trajectories import Trajectories

D, A = 3, 2


def rollout(first: int, count: int) -> dict[str, torch.Tensor]:
    """Transitions that know their number: it is their reward."""
    number = torch.arange(first, first + count).float()
    return {
        "obs": number.unsqueeze(1).expand(-1, D),
        "actions": number.unsqueeze(1).expand(-1, A) + 0.5,
        "rewards": number,
        "next_obs": number.unsqueeze(1).expand(-1, D) + 1,
        "dones": number % 2,
    }


def filled() -> TaskReplay:
    replay = TaskReplay(3, D, A, torch.device("cpu"))
    replay.append(0, rollout(0, 10), is_context=True)
    replay.append(2, rollout(100, 5), is_context=True)
    replay.append(0, rollout(10, 20), is_context=False)
    return replay


def test_transitions_stay_whole_and_with_their_task() -> None:
    drawn = filled().sample([2, 0], 200, torch.Generator().manual_seed(0))
    assert drawn.obs.shape == (2, 200, D)
    assert drawn.actions.shape == (2, 200, A)
    numbers = drawn.rewards
    assert torch.equal(drawn.obs, numbers.unsqueeze(-1).expand(-1, -1, D))
    assert torch.equal(drawn.actions, numbers.unsqueeze(-1).expand(-1, -1, A) + 0.5)
    assert torch.equal(drawn.next_obs, drawn.obs + 1)
    assert torch.equal(drawn.dones, numbers % 2)
    assert set(numbers[0].tolist()) == set(range(100, 105))
    assert set(numbers[1].tolist()) == set(range(30))


def test_the_context_is_the_last_rollout_kept_as_such() -> None:
    replay, generator = filled(), torch.Generator().manual_seed(0)
    assert set(replay.sample_context([0], 200, generator).rewards[0].tolist()) == set(range(10))
    replay.append(0, rollout(30, 4), is_context=True)
    replay.append(0, rollout(34, 8), is_context=False)
    assert set(replay.sample_context([0], 200, generator).rewards[0].tolist()) == {30, 31, 32, 33}
    assert set(replay.sample_context([2], 200, generator).rewards[0].tolist()) == set(
        range(100, 105)
    )


def test_it_grows_and_keeps_the_order() -> None:
    replay = TaskReplay(1, D, A, torch.device("cpu"))
    for first in range(0, 1000, 7):
        replay.append(0, rollout(first, 7), is_context=False)
    assert replay.size(0) == 1001
    assert torch.equal(replay.all(0).rewards[0], torch.arange(1001).float())


def test_the_generator_decides() -> None:
    one, same, other = (
        filled().sample([0], 50, torch.Generator().manual_seed(seed)).rewards for seed in (0, 0, 1)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_nothing_to_draw_from() -> None:
    replay = filled()
    with pytest.raises(ValueError, match=r"^task 1: expected transitions to draw from, got none"):
        replay.sample([0, 1], 5, torch.Generator())
    with pytest.raises(ValueError, match=r"^task 1: expected transitions"):
        replay.sample_context([1], 5, torch.Generator())


def test_excluded_transitions_are_left_out() -> None:
    g = torch.Generator().manual_seed(0)
    next_obs = torch.randn(2, 4, D, generator=g)
    next_obs[0, 2, 1], next_obs[1, 3, 0] = float("nan"), float("inf")
    flags = torch.rand(2, 4, generator=g) < 0.5
    numbers = torch.arange(8.0).view(2, 4)
    trajectories = Trajectories(
        obs=torch.randn(2, 4, D, generator=g),
        actions=torch.randn(2, 4, A, generator=g),
        next_obs=next_obs,
        rewards=numbers,
        reward_grads=torch.zeros(2, 4, 1),
        base_rewards=numbers,
        dones=flags,
        timeouts=~flags,
        log_probs=numbers,
        excluded=~torch.isfinite(next_obs).all(2),
    )
    kept = sound_transitions(trajectories)
    assert list(kept) == list(COLUMNS)
    assert kept["rewards"].tolist() == [0, 1, 3, 4, 5, 6]
    assert kept["dones"].dtype == torch.float32
    assert torch.equal(kept["obs"][2], trajectories.obs[0, 3])
