"""A task's own learner: it learns, keeps its best, stops, and is the same at any thread count."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import pathlib
import time
from typing import Any

import numpy as np
import pytest
import torch

from admrl_native.evaluation import oracle
from admrl_native.evaluation.comparison import Returns
from admrl_native.evaluation.oracle import OracleResult, learn
from admrl_native.evaluation.settings import OracleSettings
from admrl_native.families.catalogue import make_family
from admrl_native.families.physics import PhysicsSettings
from admrl_native.store import oracles as oracle_cache
from admrl_native.store.oracles import OracleCache

HOPPER, PSI = make_family("Hopper2D"), torch.tensor([1.0, 1.6], dtype=torch.float64)
SHORT = PhysicsSettings(horizon=50)


def test_it_learns() -> None:
    settings = OracleSettings(samples=60_000, batch=3000, episodes=50, window=3)
    told: list[float] = []
    result = learn(HOPPER, SHORT, PSI, settings, threads=2, after_update=told.append)
    (curve,) = result.curves
    assert told == curve
    assert result.samples == 60_000
    assert np.mean(curve[-3:]) > np.mean(curve[:3]) + 15
    # what it keeps earns what its best updates earned
    assert result.returns.fresh.mean() > np.mean(curve[:3]) + 15


def test_the_same_bits_at_any_thread_count() -> None:
    settings = OracleSettings(samples=3000, batch=1000, episodes=6, window=1, attempts=2)
    one, three = (learn(HOPPER, SHORT, PSI, settings, threads=n) for n in (1, 3))
    assert one.curves == three.curves
    assert len(one.curves) == 2
    assert one.curves[0] != one.curves[1]
    np.testing.assert_array_equal(one.returns.fresh, three.returns.fresh)
    assert all(torch.equal(v, three.policy[k]) for k, v in one.policy.items())
    other = learn(HOPPER, SHORT, PSI, settings.replace(seed=1), threads=1)
    assert other.curves != one.curves


def test_side_by_side_a_task_is_learned_once(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []

    def slow(*_arguments: Any, **_options: Any) -> OracleResult:
        started.append(1)
        time.sleep(0.2)
        return OracleResult(Returns(np.ones(2), np.ones(2)), {"a": torch.ones(1)}, 7, [[1.0]])

    monkeypatch.setattr(oracle_cache, "learn", slow)
    cache = OracleCache(tmp_path, HOPPER, SHORT, OracleSettings())

    def find(x: float) -> int:
        return cache.find_or_learn((x, 1.6), threads=1, after_update=lambda: None).samples

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert list(pool.map(find, [1.0, 1.0, 1.0, 2.0])) == [7] * 4
    assert len(started) == 2
    assert cache.find((3.0, 1.6)) is None
    # whatever decides the result decides where it is kept
    for other in (
        dataclasses.replace(cache, settings=OracleSettings(seed=1)),
        dataclasses.replace(cache, physics=PhysicsSettings(horizon=51)),
        dataclasses.replace(cache, family=make_family("Walker2D")),
    ):
        assert other.find((1.0, 1.6)) is None


def test_it_stops_and_keeps_the_best(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the returns 1 5 2 3 4 6 …, with 3 updates of patience, the second is the best."""
    returns = iter([1.0, 5.0, 2.0, 3.0, 4.0, 6.0, 7.0])
    policies = []

    def update(_environments, agent, *_arguments):  # type: ignore[no-untyped-def]
        with torch.no_grad():
            agent.policy.log_std += 0.5
        policies.append(agent.policy.log_std.clone())
        return next(returns)

    monkeypatch.setattr(oracle, "_update", update)
    settings = OracleSettings(samples=7000, batch=1000, window=1, patience=3, episodes=2)
    result = learn(HOPPER, SHORT, PSI, settings, threads=1)
    assert result.curves == [[1.0, 5.0, 2.0, 3.0, 4.0]]
    assert result.samples == 5000
    assert torch.equal(result.policy["log_std"], policies[1])
