"""Gaps of several runs on the same test tasks, by method, with intervals (Section 5)."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .metrics import (
    STATISTICS,
    Array,
    Estimate,
    Statistic,
    probability_of_improvement,
    resampled_means,
    resampled_seeds,
    standard_error,
)

ORACLE = "oracle"


@dataclasses.dataclass(frozen=True)
class Returns:
    """Undiscounted real returns of one policy on one task.

    Attributes:
        select: (E,) to choose by.
        fresh: (E,) independent of them, to judge by.
    """

    select: Array
    fresh: Array


@dataclasses.dataclass(frozen=True)
class RunReturns:
    """What one run's adapted policies earn on M test tasks, E episodes each.

    Attributes:
        method: label of the method; runs of one label differ by their seed alone.
        seed: of the run.
        returns: n, real samples of adaptation, to the returns on each task (M of them).
        model_errors: (M,) of the run's model on the oracle's transitions; None: not known.
    """

    method: str
    seed: int
    returns: Mapping[int, Sequence[Returns]]
    model_errors: Array | None = None


@dataclasses.dataclass(frozen=True)
class BestKnown:
    """A*(ψ): the best return known for a task.

    The learner is chosen on the select episodes, its return is the mean of the fresh ones.

    Attributes:
        value: the return.
        standard_error: of that mean.
        learner: ORACLE, or "method, seed s, n samples".
        oracle: the oracle's own mean return; None: there is no oracle for the task.
    """

    value: float
    standard_error: float
    learner: str
    oracle: float | None


@dataclasses.dataclass(frozen=True)
class MethodGaps:
    """Results of one method.

    Attributes:
        seeds: of its runs, S of them.
        returns: n to mean returns (S, M): A_n(ψ).
        gaps: n to G_n(ψ) (S, M) = A*(ψ) − A_n(ψ).
        worst_tasks: n to the index of the worst task, by the select episodes, of each run (S,).
        statistics: n to each of `STATISTICS` of the gaps, mean over runs.
        mean_returns: n to the mean return over tasks and runs.
        model_error: mean over tasks and runs; None: not known.
    """

    seeds: tuple[int, ...]
    returns: Mapping[int, Array]
    gaps: Mapping[int, Array]
    worst_tasks: Mapping[int, tuple[int, ...]]
    statistics: Mapping[int, Mapping[str, Estimate]]
    mean_returns: Mapping[int, Estimate]
    model_error: Estimate | None


@dataclasses.dataclass(frozen=True)
class Difference:
    """One method beside another.

    Attributes:
        statistics: of `STATISTICS`, the first method's minus the second's: negative is better.
        improvement: probability that a run of the first earns more than one of the second on a
            task drawn at random.
    """

    statistics: Mapping[str, Estimate]
    improvement: Estimate


@dataclasses.dataclass(frozen=True)
class Comparison:
    """All of it; `to_dict` gives plain numbers.

    Attributes:
        family: name of the family.
        grid: name of the set of tasks.
        psis: (M, K).
        real_samples: the n that all runs have.
        best: A*(ψ) of each task.
        methods: by label.
        differences: n to (first, second) label to their difference.
    """

    family: str
    grid: str
    psis: Array
    real_samples: tuple[int, ...]
    best: tuple[BestKnown, ...]
    methods: Mapping[str, MethodGaps]
    differences: Mapping[int, Mapping[tuple[str, str], Difference]]

    def to_dict(self) -> dict[str, Any]:
        """Numbers, strings, lists and dicts."""
        return {
            "family": self.family,
            "grid": self.grid,
            "psis": self.psis.tolist(),
            "real_samples": list(self.real_samples),
            "best": [dataclasses.asdict(b) for b in self.best],
            "methods": {label: _method_dict(m) for label, m in self.methods.items()},
            "differences": [
                {
                    "real_samples": n,
                    "first": first,
                    "second": second,
                    "statistics": {k: e.to_dict() for k, e in d.statistics.items()},
                    "improvement": d.improvement.to_dict(),
                }
                for n, pairs in self.differences.items()
                for (first, second), d in pairs.items()
            ],
        }


def compare(
    family: str,
    grid: str,
    psis: Array,
    runs: Sequence[RunReturns],
    oracle: Sequence[Returns | None],
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> Comparison:
    """Gaps of every run to the best return known for each task, and their statistics.

    Intervals are percentiles of a bootstrap that draws anew the runs of each method, the episodes
    of each policy, and those behind A*, widened for few runs. With one run they show the episodes'
    noise alone.

    Args:
        family: its name.
        grid: its name.
        psis: (M, K).
        runs: evaluated on these tasks; the methods keep their order.
        oracle: the returns of each task's own learner, if there is one (M).
        resamples: bootstrap replicates.
        seed: of them.

    Raises:
        ValueError: no run, two of one label and seed, or no n that all have.
    """
    if not runs:
        raise ValueError("runs: expected at least one")
    names = [(r.method, r.seed) for r in runs]
    if len(set(names)) < len(names):
        double = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"runs: expected one of each method and seed, got two of {double}")
    common = set.intersection(*(set(r.returns) for r in runs))
    if not common:
        raise ValueError("runs: expected a number of real samples that all were evaluated with")
    choices = [_best_known(task, runs, oracle[task]) for task in range(len(psis))]
    groups: dict[str, list[RunReturns]] = {}
    for run in runs:
        groups.setdefault(run.method, []).append(run)
    for group in groups.values():
        group.sort(key=lambda run: run.seed)
    rng = np.random.default_rng(seed)
    star = _Gaps(
        *(
            np.stack(
                [resampled_means(getattr(c.returns, kind), resamples, rng) for c in choices], 1
            )
            for kind in ("select", "fresh")
        )
    )
    real_samples = tuple(sorted(common))
    resampled = {
        label: {n: _resampled_gaps(group, n, choices, star, rng) for n in real_samples}
        for label, group in groups.items()
    }
    return Comparison(
        family=family,
        grid=grid,
        psis=psis,
        real_samples=real_samples,
        best=tuple(c.summary(own) for c, own in zip(choices, oracle, strict=True)),
        methods={
            label: _method(group, real_samples, choices, resampled[label], rng)
            for label, group in groups.items()
        },
        differences={
            n: {
                (a, b): _difference(
                    groups[a], groups[b], n, choices, resampled[a][n], resampled[b][n], rng
                )
                for a, b in itertools.combinations(groups, 2)
            }
            for n in real_samples
        },
    )


@dataclasses.dataclass(frozen=True)
class _Choice:
    """Who gives A* of a task: a run's policy after n real samples, or the oracle (run None)."""

    run: RunReturns | None
    real_samples: int
    returns: Returns

    def summary(self, oracle: Returns | None) -> BestKnown:
        learner = ORACLE
        if self.run is not None:
            learner = f"{self.run.method}, seed {self.run.seed}, {self.real_samples} samples"
        return BestKnown(
            float(self.returns.fresh.mean()),
            standard_error(self.returns.fresh),
            learner,
            None if oracle is None else float(oracle.fresh.mean()),
        )


def _best_known(task: int, runs: Sequence[RunReturns], oracle: Returns | None) -> _Choice:
    candidates = [] if oracle is None else [_Choice(None, 0, oracle)]
    candidates += [_Choice(run, n, tasks[task]) for run in runs for n, tasks in run.returns.items()]
    return max(candidates, key=lambda c: c.returns.select.mean())


@dataclasses.dataclass(frozen=True)
class _Gaps:
    """Of S runs on M tasks, or of bootstrap replicates of them: each (…, M)."""

    select: Array
    fresh: Array

    def statistic(self, statistic: Statistic) -> Array:
        """One number for each run (…)."""
        return statistic(self.select, self.fresh)


def _gaps(group: Sequence[RunReturns], n: int, choices: Sequence[_Choice]) -> _Gaps:
    """As estimated (S, M); exactly 0 where the policy is itself the best known."""
    return _Gaps(
        *(
            np.array(
                [
                    [
                        getattr(c.returns, kind).mean() - getattr(r, kind).mean()
                        for c, r in zip(choices, run.returns[n], strict=True)
                    ]
                    for run in group
                ]
            )
            for kind in ("select", "fresh")
        )
    )


def _resampled_gaps(
    group: Sequence[RunReturns],
    n: int,
    choices: Sequence[_Choice],
    star: _Gaps,
    rng: np.random.Generator,
) -> _Gaps:
    """Bootstrap replicates (R, S, M): runs, and the episodes of each, drawn with replacement."""
    resamples = len(star.select)
    drawn = resampled_seeds(len(group), resamples, rng)
    own = np.array([[c.run is run and c.real_samples == n for c in choices] for run in group])

    def replicate(kind: str) -> Array:
        returns = np.array([[getattr(r, kind) for r in run.returns[n]] for run in group])
        gaps = np.empty((resamples, len(group), len(choices)))
        for b, runs in enumerate(drawn):  # one at a time: all at once would take gigabytes
            means = resampled_means(returns[runs], 1, rng)[0]
            gaps[b] = np.where(own[runs], 0.0, getattr(star, kind)[b] - means)
        return gaps

    return _Gaps(replicate("select"), replicate("fresh"))


def _method(
    group: Sequence[RunReturns],
    real_samples: Sequence[int],
    choices: Sequence[_Choice],
    resampled: Mapping[int, _Gaps],
    rng: np.random.Generator,
) -> MethodGaps:
    gaps = {n: _gaps(group, n, choices) for n in real_samples}
    star = np.array([c.returns.fresh.mean() for c in choices])
    returns = {n: star - gaps[n].fresh for n in real_samples}
    resamples = len(resampled[real_samples[0]].fresh)
    mean_returns = {}
    for n in real_samples:
        drawn = resampled_seeds(len(group), resamples, rng)
        episodes = np.array([[r.fresh for r in run.returns[n]] for run in group])
        means = [resampled_means(episodes[runs], 1, rng).mean() for runs in drawn]
        mean_returns[n] = Estimate.of(returns[n].mean(), np.array(means), len(group))
    return MethodGaps(
        seeds=tuple(run.seed for run in group),
        returns=returns,
        gaps={n: g.fresh for n, g in gaps.items()},
        worst_tasks={n: tuple(g.select.argmax(axis=1).tolist()) for n, g in gaps.items()},
        statistics={
            n: {
                name: Estimate.of(
                    gaps[n].statistic(statistic).mean(),
                    resampled[n].statistic(statistic).mean(axis=1),
                    len(group),
                )
                for name, statistic in STATISTICS.items()
            }
            for n in real_samples
        },
        mean_returns=mean_returns,
        model_error=_model_error(group, resamples, rng),
    )


def _model_error(
    group: Sequence[RunReturns], resamples: int, rng: np.random.Generator
) -> Estimate | None:
    """Mean over tasks; the interval is over runs, and not known for one."""
    errors = [run.model_errors.mean() for run in group if run.model_errors is not None]
    if len(errors) < len(group):
        return None
    if len(errors) == 1:
        return Estimate(float(errors[0]), math.nan, math.nan)
    drawn = resampled_seeds(len(group), resamples, rng)
    means = np.array(errors)[drawn].mean(axis=1)
    return Estimate.of(float(np.mean(errors)), means, len(group))


def _difference(
    first: Sequence[RunReturns],
    second: Sequence[RunReturns],
    n: int,
    choices: Sequence[_Choice],
    of_first: _Gaps,
    of_second: _Gaps,
    rng: np.random.Generator,
) -> Difference:
    """first − second; both were drawn with the same episodes behind A*."""
    ours, theirs = _gaps(first, n, choices), _gaps(second, n, choices)
    x, y = (
        np.array([[r.fresh.mean() for r in run.returns[n]] for run in group])
        for group in (first, second)
    )
    fewer = min(len(first), len(second))
    improvement = [
        probability_of_improvement(x[a], y[b])
        for a, b in zip(
            resampled_seeds(len(x), len(of_first.fresh), rng),
            resampled_seeds(len(y), len(of_first.fresh), rng),
            strict=True,
        )
    ]
    value = probability_of_improvement(x, y)
    if len(x) == len(y) == 1:  # it knows runs, not episodes: nothing is known of its spread
        probability = Estimate(value, math.nan, math.nan)
    else:
        probability = Estimate.of(value, np.array(improvement), fewer).clipped(0, 1)
    return Difference(
        {
            name: Estimate.of(
                ours.statistic(f).mean() - theirs.statistic(f).mean(),
                of_first.statistic(f).mean(axis=1) - of_second.statistic(f).mean(axis=1),
                fewer,
            )
            for name, f in STATISTICS.items()
        },
        probability,
    )


def _method_dict(method: MethodGaps) -> dict[str, Any]:
    return {
        "seeds": list(method.seeds),
        "returns": {str(n): x.tolist() for n, x in method.returns.items()},
        "gaps": {str(n): x.tolist() for n, x in method.gaps.items()},
        "worst_tasks": {str(n): list(x) for n, x in method.worst_tasks.items()},
        "statistics": {
            str(n): {name: e.to_dict() for name, e in s.items()}
            for n, s in method.statistics.items()
        },
        "mean_returns": {str(n): e.to_dict() for n, e in method.mean_returns.items()},
        "model_error": None if method.model_error is None else method.model_error.to_dict(),
    }
