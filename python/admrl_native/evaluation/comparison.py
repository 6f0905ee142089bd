"""Gaps of several runs on the same test tasks, by method, with intervals (Section 5)."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .metrics import (
    CHOOSING,
    STATISTICS,
    UNKNOWN,
    Array,
    Estimate,
    Spread,
    probability_of_improvement,
    standard_error,
)
from .t_interval import mean_interval

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
        value: the return; NaN: nothing is known but the one run that is to be judged.
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
        gaps: n to G_n(ψ) (S, M) = A*(ψ) − A_n(ψ); NaN: not known, see `unknown`.
        worst_tasks: n to the index of the worst task, by the select episodes, of each run (S,);
            none where the gaps are not known.
        own: n to how many of the S · M policies give A* themselves, so that their gap is 0.
        unknown: n to why the gaps are not known; empty: they are.
        statistics: n to each of `STATISTICS` of the gaps, mean over runs.
        mean_returns: n to the mean return over tasks and runs.
        model_error: mean over tasks and runs; None: not known.
    """

    seeds: tuple[int, ...]
    returns: Mapping[int, Array]
    gaps: Mapping[int, Array]
    worst_tasks: Mapping[int, tuple[int, ...]]
    own: Mapping[int, int]
    unknown: Mapping[int, str]
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
) -> Comparison:
    """Gaps of every run to the best return known for each task, and their statistics.

    Every statistic is a weighted sum over tasks; its interval is Student's t. Several runs of a
    method are independent of one another, and their differences have the noise of episodes in
    them. Of one run there are only the episodes: episode e of all tasks counts as one, because the
    tasks share its random numbers. The noise of A*, which all runs share, is added.

    Args:
        family: its name.
        grid: its name.
        psis: (M, K).
        runs: evaluated on these tasks with E episodes; the methods keep their order.
        oracle: the returns of each task's own learner, if there is one (M).

    Raises:
        ValueError: no run, two of one label and seed, no n that all have, or different E.
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
    sizes = {r.fresh.size for run in runs for tasks in run.returns.values() for r in tasks}
    if len(sizes) > 1:
        raise ValueError(f"runs: expected E episodes of every policy, got {sorted(sizes)}")
    real_samples = tuple(sorted(common))
    choices = [_best_known(task, runs, oracle[task]) for task in range(len(psis))]
    alone = len(runs) == 1 and any(o is None for o in oracle)
    groups: dict[str, list[RunReturns]] = {}
    for run in runs:
        groups.setdefault(run.method, []).append(run)
    for group in groups.values():
        group.sort(key=lambda run: run.seed)
    star = {kind: _Star.of(choices, kind) for kind in _KINDS}
    methods = {
        label: {n: _AtN.of(group, n, choices, star, alone) for n in real_samples}
        for label, group in groups.items()
    }
    return Comparison(
        family=family,
        grid=grid,
        psis=psis,
        real_samples=real_samples,
        best=tuple(c.summary(own, alone) for c, own in zip(choices, oracle, strict=True)),
        methods={label: _method(groups[label], of_n, star) for label, of_n in methods.items()},
        differences={
            n: {
                (a, b): _difference(methods[a][n], methods[b][n], star)
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

    def summary(self, oracle: Returns | None, alone: bool) -> BestKnown:
        if alone:
            return BestKnown(math.nan, math.nan, "nobody", None)
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


# The episodes that a statistic takes: without the choice of the tasks in them, or all there are.
_KINDS: Mapping[str, Callable[[Returns], Array]] = {
    "select": lambda r: r.select,
    "fresh": lambda r: r.fresh,
    "all": lambda r: np.concatenate([r.select, r.fresh]),
}


@dataclasses.dataclass(frozen=True)
class _Star:
    """A* of all tasks.

    Attributes:
        value: (M,).
        of_runs: tasks (m,) whose A* a run's policy gives, and its returns (m, E).
        of_oracles: the same of oracles, by their number of episodes.
    """

    value: Array
    of_runs: tuple[list[int], Array] | None
    of_oracles: tuple[tuple[list[int], Array], ...]

    @classmethod
    def of(cls, choices: Sequence[_Choice], kind: str) -> _Star:
        found: dict[tuple[bool, int], list[int]] = {}
        returns = [_KINDS[kind](c.returns) for c in choices]
        for task, choice in enumerate(choices):
            found.setdefault((choice.run is None, returns[task].size), []).append(task)
        groups = {k: (tasks, np.array([returns[t] for t in tasks])) for k, tasks in found.items()}
        return cls(
            np.array([r.mean() for r in returns]),
            next((g for (oracle, _), g in groups.items() if not oracle), None),
            tuple(g for (oracle, _), g in groups.items() if oracle),
        )


@dataclasses.dataclass(frozen=True)
class _Figure:
    """A statistic of one method: a weighted sum over tasks, mean over its runs.

    Attributes:
        values: of each run (S,).
        star: how much A* of each task counts in it (M,).
        episodes: what each episode of each run adds (S, E) to the constant part.
    """

    values: Array
    star: Array
    episodes: Array


@dataclasses.dataclass(frozen=True)
class _AtN:
    """One method after n real samples.

    Attributes:
        returns: (S, M, E) by kind of episodes.
        gaps: (S, M) by kind; exactly 0 where the policy is itself the best known.
        own: (S, M) where it is.
        unknown: why there are no gaps; empty: there are.
    """

    returns: Mapping[str, Array]
    gaps: Mapping[str, Array]
    own: npt.NDArray[np.bool_]
    unknown: str

    @classmethod
    def of(
        cls,
        group: Sequence[RunReturns],
        n: int,
        choices: Sequence[_Choice],
        star: Mapping[str, _Star],
        alone: bool,
    ) -> _AtN:
        own = np.array([[c.run is run and c.real_samples == n for c in choices] for run in group])
        returns = {
            kind: np.array([[of(r) for r in run.returns[n]] for run in group])
            for kind, of in _KINDS.items()
        }
        unknown = ""
        if alone:
            unknown = "there is neither an oracle nor another run"
        elif own.all():
            unknown = "no oracle and no other policy is better on any task"
        gaps = {
            kind: np.where(own, 0.0, star[kind].value - x.mean(axis=2))
            for kind, x in returns.items()
        }
        return cls(returns, gaps, own, unknown)

    def figure(self, name: str, kind: str) -> _Figure:
        """A statistic of the gaps, of the fresh episodes or of all; those also choose the tasks."""
        gaps = self.gaps[kind]
        weights = STATISTICS[name](self.gaps["select" if kind == "fresh" else kind], gaps)
        values = (weights * gaps).sum(axis=1)
        weights = np.where(self.own, 0.0, weights)
        return _Figure(values, weights.mean(axis=0), _episodes(-weights, self.returns[kind]))

    def mean_return(self) -> Estimate:
        """Over tasks and runs."""
        x = self.returns["fresh"]
        weights = np.full(x.shape[:2], 1 / x.shape[1])
        figure = _Figure(x.mean(axis=(1, 2)), np.zeros(x.shape[1]), _episodes(weights, x))
        value, half = _sum([(1, figure)], None)
        return Estimate(value, value - half, value + half)


def _episodes(weights: Array, returns: Array) -> Array:
    """Each episode's part (S, E) in a mean over runs of weighted sums over tasks."""
    return np.asarray(np.einsum("sm,sme->se", weights, returns) / len(returns))


def _sum(figures: Sequence[tuple[int, _Figure]], star: _Star | None) -> tuple[float, float]:
    """A sum of figures with signs, and half the width of its interval.

    Episodes of one number are taken together, also of several tasks, policies and runs: that is
    right whether they share their random numbers or not. Runs are independent; their differences
    have the noise of their episodes in them: two that are alike by chance are no surer than that.
    Between a method of one run and one of several nothing is known.
    """
    value = sum(sign * float(f.values.mean()) for sign, f in figures)
    single = [f.values.size == 1 for _, f in figures]
    if any(single) and not all(single):
        return value, math.nan
    halves = []
    if not single[0]:
        runs = Spread.of_sum([Spread.of_mean(f.values) for _, f in figures])
        least = Spread.of_sum([Spread.of_mean(e) for _, f in figures for e in f.episodes])
        halves.append(float(np.fmax(runs.half_width, least.half_width)))
    episodes = [sign * f.episodes[0] for sign, f in figures if f.values.size == 1]
    if star is not None:
        weights = np.asarray(sum(sign * f.star for sign, f in figures))
        if star.of_runs is not None and weights[star.of_runs[0]].any():
            episodes.append(weights[star.of_runs[0]] @ star.of_runs[1])
        for tasks, returns in star.of_oracles:
            if weights[tasks].any():
                halves.append(Spread.of_mean(weights[tasks] @ returns).half_width)
    if episodes:
        halves.append(Spread.of_mean(np.sum(episodes, axis=0)).half_width)
    # In quadrature: one number of degrees of freedom for all would be too sure with few runs.
    return value, math.hypot(*halves)


def _gap_estimate(method: _AtN, name: str, star: Mapping[str, _Star]) -> Estimate:
    """A statistic of one method's gaps with its interval.

    The gap of tasks that were chosen on other episodes is at most that of the worst tasks; the
    largest gap of the same episodes is at least it, on average. So the lower end is taken from the
    one and the upper end from the other: they hold though nobody knows which tasks are the worst.
    """
    if method.unknown:
        return UNKNOWN
    value, half = _sum([(1, method.figure(name, "fresh"))], star["fresh"])
    high = value + half
    if name in CHOOSING and not math.isnan(half):
        naive, of_naive = _sum([(1, method.figure(name, "all"))], star["all"])
        high = max(value, naive + of_naive)
    return Estimate(value, value - half, high)


def _method(
    group: Sequence[RunReturns], of_n: Mapping[int, _AtN], star: Mapping[str, _Star]
) -> MethodGaps:
    return MethodGaps(
        seeds=tuple(run.seed for run in group),
        returns={n: m.returns["fresh"].mean(axis=2) for n, m in of_n.items()},
        gaps={
            n: np.full_like(m.gaps["fresh"], math.nan) if m.unknown else m.gaps["fresh"]
            for n, m in of_n.items()
        },
        worst_tasks={
            n: () if m.unknown else tuple(m.gaps["select"].argmax(axis=1).tolist())
            for n, m in of_n.items()
        },
        own={n: int(m.own.sum()) for n, m in of_n.items()},
        unknown={n: m.unknown for n, m in of_n.items()},
        statistics={
            n: {name: _gap_estimate(m, name, star) for name in STATISTICS} for n, m in of_n.items()
        },
        mean_returns={n: m.mean_return() for n, m in of_n.items()},
        model_error=_model_error(group),
    )


def _model_error(group: Sequence[RunReturns]) -> Estimate | None:
    """Mean over tasks; the interval is over runs, and not known for one."""
    errors = [run.model_errors.mean() for run in group if run.model_errors is not None]
    if len(errors) < len(group):
        return None
    found = mean_interval(errors)
    return Estimate(found.mean, found.mean - found.half_width, found.mean + found.half_width)


def _difference(first: _AtN, second: _AtN, star: Mapping[str, _Star]) -> Difference:
    """first − second; the noise of A* that both have leaves their difference."""
    statistics = {}
    for name in STATISTICS:
        figures = [(1, first.figure(name, "fresh")), (-1, second.figure(name, "fresh"))]
        value, half = _sum(figures, star["fresh"])
        statistics[name] = Estimate(value, value - half, value + half)
    x, y = (m.returns["fresh"].mean(axis=2) for m in (first, second))
    return Difference(statistics, probability_of_improvement(x, y))


def _method_dict(method: MethodGaps) -> dict[str, Any]:
    return {
        "seeds": list(method.seeds),
        "returns": {str(n): x.tolist() for n, x in method.returns.items()},
        "gaps": {str(n): x.tolist() for n, x in method.gaps.items()},
        "worst_tasks": {str(n): list(x) for n, x in method.worst_tasks.items()},
        "own": {str(n): x for n, x in method.own.items()},
        "unknown": {str(n): x for n, x in method.unknown.items()},
        "statistics": {
            str(n): {name: e.to_dict() for name, e in s.items()}
            for n, s in method.statistics.items()
        },
        "mean_returns": {str(n): e.to_dict() for n, e in method.mean_returns.items()},
        "model_error": None if method.model_error is None else method.model_error.to_dict(),
    }
