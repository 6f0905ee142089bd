"""Statistics over tasks against closed forms, and what cannot be compared."""

import numpy as np
import pytest

from admrl_native.evaluation.comparison import ORACLE, Returns, RunReturns, compare
from admrl_native.evaluation.metrics import (
    cvar,
    interquartile_mean,
    probability_of_improvement,
    worst,
)


def figure(statistic, select, fresh):
    """The weighted sum of fresh gaps."""
    return (statistic(select, fresh) * fresh).sum(axis=-1)


def test_cvar_of_equally_spaced_gaps():
    gaps = np.arange(10.0)
    assert figure(cvar(0.2), gaps, gaps) == pytest.approx((9 + 8) / 2)
    assert figure(cvar(0.25), gaps, gaps) == pytest.approx((9 + 8 + 0.5 * 7) / 2.5)
    assert figure(cvar(1.0), gaps, gaps) == pytest.approx(4.5)
    assert figure(cvar(0.01), gaps, gaps) == 9  # fewer than one task is the worst one


def test_cvar_of_a_uniform_distribution():
    """Of U(0, 1) the mean of the upper α is 1 − α/2; M tasks have it up to 1/(2M)."""
    gaps = (np.arange(1000) + 0.5) / 1000
    for fraction in (0.1, 0.25, 0.5):
        assert figure(cvar(fraction), gaps, gaps) == pytest.approx(1 - fraction / 2, abs=1e-9)


def test_the_worst_tasks_are_chosen_on_other_episodes():
    select, fresh = np.array([0.0, 3.0, 1.0, 2.0]), np.array([10.0, 20.0, 40.0, 80.0])
    assert figure(worst, select, fresh) == 20
    assert figure(cvar(0.5), select, fresh) == (20 + 80) / 2
    # over leading axes
    assert figure(worst, np.stack([select, -select]), np.stack([fresh, fresh])).tolist() == [20, 10]


def test_interquartile_mean():
    assert figure(interquartile_mean, np.zeros(8), np.array([7, 0, 1, 2, 3, 4, 5, 100.0])) == 3.5
    # 5 tasks: the quartiles 1.25 and 3.75 cut the second and the fourth
    expected = (0.75 * 1 + 2 + 0.75 * 3) / 2.5
    assert figure(interquartile_mean, np.zeros(5), np.array([0, 1, 2, 3, 9.0])) == pytest.approx(
        expected
    )


def test_probability_of_improvement():
    x = np.array([[1.0, 5.0], [3.0, 5.0]])
    y = np.array([[2.0, 5.0]])
    # first task: 1 of 2 pairs; second: two ties
    assert probability_of_improvement(x, y).value == pytest.approx((0.5 + 0.5) / 2)
    assert probability_of_improvement(y, x).value == pytest.approx((0.5 + 0.5) / 2)


def test_the_reevaluated_maximum_is_not_biased():
    """All gaps are 0: their estimated maximum is not, the reevaluated one is on average."""
    rng = np.random.default_rng(1)
    select, fresh = rng.normal(size=(2, 4000, 36))
    naive, ours = select.max(axis=1), figure(worst, select, fresh)
    assert naive.mean() > 2
    assert abs(ours.mean()) < 3 * ours.std() / 4000**0.5


def test_the_reevaluated_maximum_is_the_gap_of_the_chosen_task():
    rng = np.random.default_rng(2)
    true = rng.uniform(0, 3, 20)
    select, fresh = true + rng.normal(size=(2, 4000, 20))
    error = figure(worst, select, fresh) - true[select.argmax(axis=1)]
    assert abs(error.mean()) < 3 * error.std() / 4000**0.5


def returns_of(value, n=10):
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


def noisy(rng, value, tasks, episodes=9):
    return [Returns(*(value + rng.normal(size=(2, episodes)))) for _ in range(tasks)]


def known(found, method, n=0):
    return np.isfinite([e.value for e in found.methods[method].statistics[n].values()])


def test_a_gap_to_oneself_is_not_known():
    """One run, nothing beside it: its own policies, of any n, are no measure of it."""
    rng = np.random.default_rng(5)
    run = RunReturns("a", 0, {0: noisy(rng, 50, 4), 2000: noisy(rng, 60, 4)})
    found = compare("f", "g", np.zeros((4, 1)), [run], [None] * 4)
    for n in (0, 2000):
        assert not known(found, "a", n).any()
        assert np.isnan(found.methods["a"].gaps[n]).all()
        assert found.methods["a"].worst_tasks[n] == ()
        assert found.methods["a"].unknown[n] == "there is neither an oracle nor another run"
        assert found.methods["a"].mean_returns[n].low < 50 + n / 200
    assert all(np.isnan(b.value) and b.learner == "nobody" for b in found.best)


def test_a_policy_that_nothing_is_better_than_has_no_gap():
    """With an oracle or a run that is weaker on every task; where one is better, it has."""
    rng = np.random.default_rng(6)
    run = RunReturns("a", 0, {0: noisy(rng, 50, 4)})
    weak = noisy(rng, 0, 4, 5)
    found = compare("f", "g", np.zeros((4, 1)), [run], weak)
    assert not known(found, "a").any()
    assert found.methods["a"].own[0] == 4
    assert "no other policy is better" in found.methods["a"].unknown[0]
    assert found.best[0].learner == "a, seed 0, 0 samples"
    found = compare("f", "g", np.zeros((4, 1)), [run], [*weak[:3], *noisy(rng, 99, 1)])
    assert known(found, "a").all()
    assert (found.methods["a"].own[0], found.methods["a"].unknown[0]) == (3, "")
    assert found.methods["a"].gaps[0][0, :3].tolist() == [0, 0, 0]
    other = RunReturns("b", 0, {0: noisy(rng, 40, 4)})
    found = compare("f", "g", np.zeros((4, 1)), [run, other], [None] * 4)
    assert not known(found, "a").any()
    assert known(found, "b").all()


def test_the_choice_of_the_best_does_not_favour_it():
    """Chosen by the select episodes, A* is what the fresh ones say, though it be lower."""
    lucky = Returns(np.full(4, 9.0), np.full(4, 1.0))
    runs = [RunReturns("a", 0, {0: [lucky]}), RunReturns("b", 0, {0: [returns_of(5.0, 4)]})]
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
        (
            [
                RunReturns("a", 0, {0: [returns_of(1.0)]}),
                RunReturns("a", 1, {0: [returns_of(1.0, 9)]}),
            ],
            r"expected E episodes of every policy, got \[9, 10\]",
        ),
    ],
)
def test_what_cannot_be_compared(runs, message):
    with pytest.raises(ValueError, match=message):
        compare("f", "g", np.zeros((1, 1)), runs, [None])


def test_the_comparison_as_plain_numbers():
    rng = np.random.default_rng(6)
    runs = [RunReturns(m, s, {0: noisy(rng, 70, 6)}) for m, s in (("a", 0), ("a", 1), ("b", 0))]
    values = compare("f", "g", np.zeros((6, 2)), runs, noisy(rng, 99, 6)).to_dict()
    assert values["methods"]["a"]["seeds"] == [0, 1]
    assert np.shape(values["methods"]["b"]["gaps"]["0"]) == (1, 6)
    assert (values["differences"][0]["first"], values["differences"][0]["second"]) == ("a", "b")
