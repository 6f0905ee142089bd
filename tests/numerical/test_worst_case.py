"""Statistics over tasks against closed forms, and their intervals on data whose truth is known."""

import numpy as np
import pytest

from admrl_native.evaluation.comparison import ORACLE, Returns, RunReturns, compare
from admrl_native.evaluation.metrics import (
    STATISTICS,
    Estimate,
    cvar,
    interquartile_mean,
    probability_of_improvement,
    resampled_means,
    worst,
)

EPISODES = 10


def test_cvar_of_equally_spaced_gaps():
    gaps = np.arange(10.0)
    assert cvar(0.2)(gaps, gaps) == pytest.approx((9 + 8) / 2)
    assert cvar(0.25)(gaps, gaps) == pytest.approx((9 + 8 + 0.5 * 7) / 2.5)
    assert cvar(1.0)(gaps, gaps) == pytest.approx(4.5)
    assert cvar(0.01)(gaps, gaps) == 9  # fewer than one task is the worst one


def test_cvar_of_a_uniform_distribution():
    """Of U(0, 1) the mean of the upper α is 1 − α/2; M tasks have it up to 1/(2M)."""
    gaps = (np.arange(1000) + 0.5) / 1000
    for fraction in (0.1, 0.25, 0.5):
        assert cvar(fraction)(gaps, gaps) == pytest.approx(1 - fraction / 2, abs=1e-9)


def test_the_worst_tasks_are_chosen_on_other_episodes():
    select, fresh = np.array([0.0, 3.0, 1.0, 2.0]), np.array([10.0, 20.0, 40.0, 80.0])
    assert worst(select, fresh) == 20
    assert cvar(0.5)(select, fresh) == (20 + 80) / 2
    # over leading axes
    assert worst(np.stack([select, -select]), np.stack([fresh, fresh])).tolist() == [20, 10]


def test_interquartile_mean():
    assert interquartile_mean(np.zeros(8), np.array([7, 0, 1, 2, 3, 4, 5, 100.0])) == 3.5
    # 5 tasks: the quartiles 1.25 and 3.75 cut the second and the fourth
    expected = (0.75 * 1 + 2 + 0.75 * 3) / 2.5
    assert interquartile_mean(np.zeros(5), np.array([0, 1, 2, 3, 9.0])) == pytest.approx(expected)


def test_probability_of_improvement():
    x = np.array([[1.0, 5.0], [3.0, 5.0]])
    y = np.array([[2.0, 5.0]])
    # first task: 1 of 2 pairs; second: two ties
    assert probability_of_improvement(x, y) == pytest.approx((0.5 + 0.5) / 2)
    assert probability_of_improvement(y, x) == pytest.approx((0.5 + 0.5) / 2)


def test_resampled_means_have_the_spread_of_a_mean():
    rng = np.random.default_rng(0)
    values = rng.normal(size=50)
    means = resampled_means(values, 20_000, rng)
    assert means.mean() == pytest.approx(
        values.mean(), abs=5 * values.std() / 50**0.5 / 20_000**0.5
    )
    # 1 % is 4 standard errors of a standard deviation of 20 000
    assert means.std() == pytest.approx(values.std() / 50**0.5, rel=0.02)


def test_the_reevaluated_maximum_is_not_biased():
    """All gaps are 0: their estimated maximum is not, the reevaluated one is on average."""
    rng = np.random.default_rng(1)
    select, fresh = rng.normal(size=(2, 4000, 36))
    naive, ours = select.max(axis=1), worst(select, fresh)
    assert naive.mean() > 2
    assert abs(ours.mean()) < 3 * ours.std() / 4000**0.5


def test_the_reevaluated_maximum_is_the_gap_of_the_chosen_task():
    rng = np.random.default_rng(2)
    true = rng.uniform(0, 3, 20)
    select, fresh = true + rng.normal(size=(2, 4000, 20))
    error = worst(select, fresh) - true[select.argmax(axis=1)]
    assert abs(error.mean()) < 3 * error.std() / 4000**0.5


def sampled_runs(rng, method, gaps, seeds, spread=1.0):
    """Runs whose true gaps to a return of 100 are `gaps` (M,) + a number of the run's own."""
    runs = []
    for seed in range(seeds):
        mean = 100 - gaps - spread * rng.normal()
        returns = [
            Returns(m + rng.normal(size=EPISODES), m + rng.normal(size=EPISODES)) for m in mean
        ]
        runs.append(RunReturns(method, seed, {0: returns}))
    return runs


def oracle_of(rng, tasks):
    return [Returns(100 + rng.normal(size=50), 100 + rng.normal(size=50)) for _ in range(tasks)]


@pytest.mark.parametrize("seeds", [3, 10])
def test_intervals_cover_the_truth(seeds):
    """Nominally 0.95; of 3 runs without the widening it is 0.73 to 0.79."""
    rng = np.random.default_rng(3)
    gaps = np.linspace(20, 40, 6)
    truth = {"max": 40, "mean": 30, "iqm": 30, "cvar25": (40 + 0.5 * 36) / 1.5}
    trials, covered = 150, dict.fromkeys(truth, 0)
    for _ in range(trials):
        runs = sampled_runs(rng, "a", gaps, seeds)
        found = compare("f", "g", np.zeros((6, 2)), runs, oracle_of(rng, 6), resamples=200)
        for name, value in truth.items():
            e = found.methods["a"].statistics[0][name]
            covered[name] += e.low <= value <= e.high
    # 0.95 less 3 standard errors of a share of 150
    assert all(0.89 < n / trials <= 1 for n in covered.values()), covered


def test_the_interval_of_a_difference_covers_it():
    """Of two methods with a different number of runs."""
    rng = np.random.default_rng(8)
    gaps = np.linspace(20, 40, 4)
    trials, covered = 100, 0
    for _ in range(trials):
        runs = sampled_runs(rng, "a", gaps, 3) + sampled_runs(rng, "b", gaps + 2, 5)
        found = compare("f", "g", np.zeros((4, 2)), runs, oracle_of(rng, 4), resamples=200)
        e = found.differences[0]["a", "b"].statistics["mean"]
        covered += e.low <= -2 <= e.high
    assert covered >= 87  # 95 less 3 standard errors, and a little for the two variances


def test_the_widening_for_few_runs():
    """Percentiles ± 1 around 0, times √(S/(S−1)) t/z; with one run, as they are."""
    replicates = np.linspace(-1, 1, 4001) * (1 / 0.95)
    for runs, factor in ((1, 1.0), (3, 1.5**0.5 * 4.302653 / 1.959964), (1000, 1.0017)):
        e = Estimate.of(0.0, replicates, runs)
        assert (e.low, e.high) == pytest.approx((-factor, factor), rel=1e-3)
    assert Estimate.of(0.9, 0.9 + replicates, 1).clipped(0, 1) == Estimate(0.9, 0.0, 1.0)


def test_a_difference_is_found_and_none_is_not():
    rng = np.random.default_rng(4)
    gaps = np.linspace(20, 40, 6)
    runs = sampled_runs(rng, "a", gaps, 5) + sampled_runs(rng, "b", gaps + 5, 5)
    runs += sampled_runs(rng, "c", gaps, 5)
    found = compare("f", "g", np.zeros((6, 2)), runs, oracle_of(rng, 6), resamples=500)
    differences = found.differences[0]
    assert set(differences) == {("a", "b"), ("a", "c"), ("b", "c")}
    for name in STATISTICS:
        apart, alike = (differences[p].statistics[name] for p in (("a", "b"), ("a", "c")))
        assert apart.high < 0
        assert apart.value == pytest.approx(-5, abs=2)
        assert alike.low < 0 < alike.high
    assert differences["a", "b"].improvement.low > 0.9


def returns_of(value, n=EPISODES):
    return Returns(np.full(n, value), np.full(n, value))


def test_the_best_known_return_is_of_oracle_or_method():
    runs = [
        RunReturns("a", 0, {0: [returns_of(1.0), returns_of(5.0)], 2000: [returns_of(2.0)] * 2}),
        RunReturns("b", 3, {0: [returns_of(0.5), returns_of(4.0)]}),
    ]
    found = compare("f", "g", np.zeros((2, 1)), runs, [returns_of(3.0, 7), None])
    assert [b.learner for b in found.best] == [ORACLE, "a, seed 0, 0 samples"]
    assert [b.value for b in found.best] == [3, 5]
    assert [b.oracle for b in found.best] == [3, None]
    assert found.real_samples == (0,)  # what all runs have
    np.testing.assert_array_equal(found.methods["a"].gaps[0], [[2, 0]])
    np.testing.assert_array_equal(found.methods["b"].gaps[0], [[2.5, 1]])
    assert found.methods["b"].statistics[0]["max"].value == 2.5
    assert found.methods["b"].worst_tasks[0] == (0,)


def test_the_gap_of_the_best_policy_itself_is_zero_in_every_replicate():
    rng = np.random.default_rng(5)
    noisy = [Returns(50 + rng.normal(size=9), 50 + rng.normal(size=9)) for _ in range(4)]
    found = compare("f", "g", np.zeros((4, 1)), [RunReturns("a", 0, {0: noisy})], [None] * 4)
    for estimate in found.methods["a"].statistics[0].values():
        assert (estimate.value, estimate.low, estimate.high) == (0, 0, 0)


def test_the_choice_of_the_best_does_not_favour_it():
    """Chosen by the select episodes, A* is what the fresh ones say, though it be lower."""
    lucky = Returns(np.full(4, 9.0), np.full(4, 1.0))
    runs = [RunReturns("a", 0, {0: [lucky]}), RunReturns("b", 0, {0: [returns_of(5.0)]})]
    assert compare("f", "g", np.zeros((1, 1)), runs, [None]).best[0].value == 1


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        ([], "expected at least one"),
        ([RunReturns("a", 0, {0: [returns_of(1.0)]})] * 2, "got two of"),
        (
            [
                RunReturns("a", 0, {0: [returns_of(1.0)]}),
                RunReturns("a", 1, {2000: [returns_of(1.0)]}),
            ],
            "all were evaluated with",
        ),
    ],
)
def test_what_cannot_be_compared(runs, message):
    with pytest.raises(ValueError, match=message):
        compare("f", "g", np.zeros((1, 1)), runs, [None])


def test_the_comparison_as_plain_numbers():
    rng = np.random.default_rng(6)
    gaps = np.linspace(20, 40, 6)
    runs = sampled_runs(rng, "a", gaps, 2) + sampled_runs(rng, "b", gaps, 1)
    found = compare("f", "g", np.zeros((6, 2)), runs, oracle_of(rng, 6), resamples=50)
    values = found.to_dict()
    assert values["methods"]["a"]["seeds"] == [0, 1]
    assert np.shape(values["methods"]["b"]["gaps"]["0"]) == (1, 6)
    assert values["differences"][0]["first"] == "a"
    one_each = compare("f", "g", np.zeros((6, 2)), [runs[0], runs[2]], [None] * 6, resamples=9)
    alone = one_each.differences[0]["a", "b"].improvement
    assert 0 <= alone.value <= 1
    assert np.isnan([alone.low, alone.high]).all()
