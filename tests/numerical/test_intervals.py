"""Intervals on made-up returns whose truth is known: how often they hold, and how wide they are."""

import math

import numpy as np
import pytest

from admrl_native.evaluation.comparison import Returns, RunReturns, compare
from admrl_native.evaluation.metrics import STATISTICS, Spread, probability_of_improvement
from admrl_native.evaluation.t_interval import t_quantile

TASKS, EPISODES, NOISE = 6, 20, 3.0
BEST = 100.0
GAPS = np.linspace(20, 30, TASKS)
RUN, TASK = 1.0, 0.5  # between runs: standard deviations of all tasks together, of each by itself


def episodes(rng, shared, number=EPISODES):
    """Noise (M, E): of every task anew, or mostly one for all, as with the same random numbers."""
    common = rng.normal(size=(1 if shared else TASKS, number))
    return NOISE * (0.95 * common + 0.3 * rng.normal(size=(TASKS, number)))


def runs_of(rng, method, gaps, seeds, shared):
    """Runs whose gaps differ from `gaps` (M,) if there are several; of one, the gaps are given."""
    runs = []
    for seed in range(seeds):
        apart = (RUN * rng.normal() + TASK * rng.normal(size=TASKS)) if seeds > 1 else 0.0
        parts = ((BEST - gaps - apart)[:, None] + episodes(rng, shared) for _ in range(2))
        runs.append(RunReturns(method, seed, {0: [Returns(*r) for r in zip(*parts, strict=True)]}))
    return runs


def oracle_of(rng, shared):
    parts = (BEST + episodes(rng, shared, 50) for _ in range(2))
    return [Returns(*r) for r in zip(*parts, strict=True)]


def truths(seeds):
    """Each statistic of the true gaps, mean over runs."""
    spread = (seeds > 1) * TASK
    gaps = GAPS + spread * np.random.default_rng(9).normal(size=(100_000, TASKS))
    return {name: (f(gaps, gaps) * gaps).sum(1).mean() for name, f in STATISTICS.items()}


TRIALS = 150
LEAST = 0.95 - 3 * math.sqrt(0.95 * 0.05 / TRIALS)  # three standard errors of a share: 0.897


@pytest.mark.parametrize("shared", [True, False], ids=["shared", "independent"])
@pytest.mark.parametrize("seeds", [1, 2, 3, 5, 10])
def test_intervals_hold_the_truth(seeds, shared):
    """Of one method's figures, of differences of methods that are alike, of the better one."""
    rng = np.random.default_rng([seeds, shared])
    truth, hits, widths = truths(seeds), {}, []
    for _ in range(TRIALS):
        runs = runs_of(rng, "a", GAPS, seeds, shared) + runs_of(rng, "b", GAPS, seeds, shared)
        found = compare("f", "g", np.zeros((TASKS, 1)), runs, oracle_of(rng, shared))
        a, difference = found.methods["a"], found.differences[0]["a", "b"]
        held = {name: (e, truth[name]) for name, e in a.statistics[0].items()}
        held["return"] = (a.mean_returns[0], BEST - GAPS.mean())
        held |= {f"{name} of a - b": (e, 0.0) for name, e in difference.statistics.items()}
        if seeds > 1:
            held["improvement"] = (difference.improvement, 0.5)
        for name, (e, value) in held.items():
            assert e.low <= e.value <= e.high
            hits.setdefault(name, []).append(e.low <= value <= e.high)
        widths.append(a.mean_returns[0].high - a.mean_returns[0].low)
    shares = {name: np.mean(h) for name, h in hits.items()}
    for name, share in shares.items():
        # Which tasks one run's worst are is uncertain by more than their episodes: 92 % is had.
        chosen = seeds == 1 and name.startswith(("max of", "cvar"))
        assert share >= LEAST - 0.03 * chosen, (name, shares)
    # Not too wide: that of the mean return is Student's t of what its parts are known to vary by.
    # The mean of 150 squares of two runs' deviations is 12 % uncertain, its root 6 %, thrice.
    per_run = (0.95**2 * (1 if shared else 1 / TASKS) + 0.3**2 / TASKS) * NOISE**2 / EPISODES
    if seeds > 1:
        per_run += RUN**2 + TASK**2 / TASKS
    units = EPISODES if seeds == 1 else seeds
    exact = 2 * t_quantile(units - 1) * math.sqrt(per_run / seeds)
    assert 0.82 * exact < np.sqrt(np.mean(np.square(widths))) < 1.18 * exact
    if seeds > 1:  # of runs that differ, and not by their episodes: no second drawing of these
        assert shares["mean of a - b"] < 1


@pytest.mark.parametrize("shared", [True, False], ids=["shared", "independent"])
def test_the_worst_case_holds_where_all_tasks_are_alike(shared):
    """The hardest case: the chosen task is any of them, and the largest estimate far too large."""
    rng = np.random.default_rng([7, shared])
    gaps, hits, widths = np.full(TASKS, 25.0), [], []
    for _ in range(TRIALS):
        runs = runs_of(rng, "a", gaps, 1, shared)
        found = compare("f", "g", np.zeros((TASKS, 1)), runs, oracle_of(rng, shared))
        e = found.methods["a"].statistics[0]["max"]
        hits.append(e.low <= 25 <= e.high)
        widths.append(e.high - e.low)
    assert np.mean(hits) >= LEAST
    # Of one task that is known to be the worst: its episodes and those of A*.
    one = 2 * 2 * NOISE * math.sqrt(1 / EPISODES + 1 / 50)
    assert np.mean(widths) < 1.3 * one


def test_a_smaller_gap_is_found():
    rng = np.random.default_rng(4)
    runs = runs_of(rng, "a", GAPS, 5, True) + runs_of(rng, "b", GAPS + 8, 5, True)
    runs += runs_of(rng, "c", GAPS, 5, True)
    found = compare("f", "g", np.zeros((TASKS, 1)), runs, oracle_of(rng, True)).differences[0]
    assert set(found) == {("a", "b"), ("a", "c"), ("b", "c")}
    for name in STATISTICS:
        apart, alike = found["a", "b"].statistics[name], found["a", "c"].statistics[name]
        assert apart.high < 0
        assert apart.value == pytest.approx(-8, abs=4)
        assert alike.low < 0 < alike.high
    assert found["a", "b"].improvement.low == pytest.approx(0.025 ** (1 / 5))


def test_one_run_beside_several_says_nothing_of_the_spread():
    rng = np.random.default_rng(3)
    runs = runs_of(rng, "a", GAPS, 1, True) + runs_of(rng, "b", GAPS, 3, True)
    found = compare("f", "g", np.zeros((TASKS, 1)), runs, oracle_of(rng, True)).differences[0]
    estimates = [*found["a", "b"].statistics.values(), found["a", "b"].improvement]
    assert np.isnan([[e.low, e.high] for e in estimates]).all()
    assert np.isfinite([e.value for e in estimates]).all()


def test_a_single_episode_says_nothing_of_the_spread():
    run = RunReturns("a", 0, {0: [Returns(np.ones(1), np.ones(1))]})
    found = compare("f", "g", np.zeros((1, 1)), [run], [Returns(np.full(9, 3.0), np.full(9, 3.0))])
    e = found.methods["a"].statistics[0]["max"]
    assert e.value == 2
    assert np.isnan([e.low, e.high]).all()


def test_the_noise_of_the_best_known_return_is_in_a_gap_and_not_in_a_difference():
    rng = np.random.default_rng(2)
    runs = runs_of(rng, "a", GAPS, 3, True) + runs_of(rng, "b", GAPS, 3, True)
    wide, narrow = (
        compare("f", "g", np.zeros((TASKS, 1)), runs, [Returns(BEST + x, BEST + x)] * TASKS)
        for x in (50 * rng.normal(size=50), np.zeros(50))
    )
    of_mean = [c.methods["a"].statistics[0]["mean"] for c in (wide, narrow)]
    half = [(e.high - e.low) / 2 for e in of_mean]
    star = 50 * t_quantile(49) / math.sqrt(50)
    # 30 %: three standard errors of the spread of 50 numbers
    assert math.sqrt(half[0] ** 2 - half[1] ** 2) == pytest.approx(star, rel=0.3)
    apart = [c.differences[0]["a", "b"].statistics["mean"] for c in (wide, narrow)]
    assert apart[0].high - apart[0].low == pytest.approx(apart[1].high - apart[1].low)


def test_welch():
    """Known variances 4/3 (2 degrees) and 1/2 (4): those of two runs with few."""
    both = Spread.of_sum([Spread(4 / 3, 2), Spread(0.5, 4)])
    assert both.variance == pytest.approx(11 / 6)
    assert both.freedom == pytest.approx((11 / 6) ** 2 / ((4 / 3) ** 2 / 2 + 0.25 / 4))
    assert Spread.of_sum([Spread(1.0, 9)]).half_width == pytest.approx(t_quantile(9))
    assert math.isnan(Spread.of_mean(np.ones(1)).half_width)
    assert Spread.of_mean(np.ones(3)).half_width == 0


def test_t_between_whole_degrees_of_freedom():
    """Beside the whole ones known from tables; at 1.5, 6.0167 by numerical integration."""
    assert t_quantile(1.5) == pytest.approx(6.0167, rel=0.03)
    values = [t_quantile(x) for x in np.linspace(1, 30, 100)]
    assert np.all(np.diff(values) < 0)


@pytest.mark.parametrize("runs", [2, 3, 10])
def test_the_better_of_two_is_not_certain_though_it_always_won(runs):
    """Of n runs that all won: an event of probability `low` would do so once in 40 times."""
    e = probability_of_improvement(np.ones((runs, 4)), np.zeros((runs, 4)))
    assert (e.value, e.low, e.high) == (1, pytest.approx(0.025 ** (1 / runs)), 1)
    e = probability_of_improvement(np.zeros((runs, 4)), np.ones((runs, 4)))
    assert (e.value, e.low, e.high) == (0, 0, pytest.approx(1 - 0.025 ** (1 / runs)))
    alone = probability_of_improvement(np.ones((1, 4)), np.zeros((runs, 4)))
    assert alone.value == 1
    assert np.isnan([alone.low, alone.high]).all()
