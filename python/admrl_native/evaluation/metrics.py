"""Figures of a worst case over tasks, and their uncertainty.

A maximum over tasks of estimated gaps is too large: it picks the errors, too. So every task has two
independent sets of episodes. Which tasks are the worst is decided on the first ("select"), their
gaps are estimated on the second ("fresh"), which leaves no such bias.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping

import numpy as np
import numpy.typing as npt

from .t_interval import t_quantile

Array = npt.NDArray[np.float64]

# How much each task counts (…, M), a sum of 1, given gaps (…, M) to choose by and to judge by.
Statistic = Callable[[Array, Array], Array]

_MOST_FREEDOM = 1000.0  # beyond it Student's t is the normal distribution's but for 0.1 %


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval.

    Attributes:
        value: the figure; NaN: not known.
        low: lower end; NaN where nothing is known of the spread.
        high: upper end.
    """

    value: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float]:
        return dataclasses.asdict(self)


UNKNOWN = Estimate(math.nan, math.nan, math.nan)


@dataclasses.dataclass(frozen=True)
class Spread:
    """The variance of an estimate, and how well it is known.

    Attributes:
        variance: estimated; NaN: not known.
        freedom: degrees of freedom of the variance.
    """

    variance: float
    freedom: float

    @classmethod
    def of_mean(cls, values: Array) -> Spread:
        """Of the mean of independent values (R,); not known for fewer than two."""
        if values.size < 2:
            return cls(math.nan, math.nan)
        return cls(float(values.var(ddof=1)) / values.size, values.size - 1.0)

    @classmethod
    def of_sum(cls, spreads: Iterable[Spread]) -> Spread:
        """Of a sum of independent estimates.

        Source: Welch 1947, Satterthwaite 1946.
        """
        parts = list(spreads)
        variance = sum(s.variance for s in parts)
        weights = sum(s.variance**2 / s.freedom for s in parts)
        return cls(variance, variance**2 / weights if weights > 0 else math.inf)

    @property
    def quantile(self) -> float:
        """t with P(|T| < t) = 0.95 for Student's T; NaN where nothing is known."""
        if math.isnan(self.variance):
            return math.nan
        return t_quantile(min(max(self.freedom, 1.0), _MOST_FREEDOM))

    @property
    def half_width(self) -> float:
        """Of the 95 % interval."""
        return self.quantile * math.sqrt(self.variance)


def worst(select: Array, _: Array) -> Array:
    """The worst task in `select` (G^max)."""
    weights = np.zeros_like(select)
    np.put_along_axis(weights, select.argmax(axis=-1)[..., None], 1.0, -1)
    return weights


def cvar(fraction: float) -> Statistic:
    """The worst `fraction` of the tasks in `select` (conditional value at risk).

    A task that the fraction cuts counts in part; fewer than one task is the worst one.
    """

    def statistic(select: Array, _: Array) -> Array:
        tasks = select.shape[-1]
        share = _share(tasks, 0.0, max(fraction * tasks, 1.0))
        return _by_rank(np.argsort(-select, axis=-1, kind="stable"), share)

    return statistic


def mean(_: Array, fresh: Array) -> Array:
    """All tasks alike."""
    return np.full_like(fresh, 1 / fresh.shape[-1])


def interquartile_mean(_: Array, fresh: Array) -> Array:
    """The middle half of the tasks in `fresh`; a task that a quartile cuts counts in part."""
    tasks = fresh.shape[-1]
    return _by_rank(np.argsort(fresh, axis=-1), _share(tasks, tasks / 4, 3 * tasks / 4))


STATISTICS: Mapping[str, Statistic] = {
    "max": worst,
    "cvar10": cvar(0.10),
    "cvar25": cvar(0.25),
    "mean": mean,
    "iqm": interquartile_mean,
}
CHOOSING = ("max", "cvar10", "cvar25")  # statistics that choose the worst tasks


def _by_rank(order: npt.NDArray[np.intp], share: Array) -> Array:
    """Weights (…, M) of tasks of which order (…, M) has the indices by rank."""
    weights = np.empty(order.shape)
    np.put_along_axis(weights, order, np.broadcast_to(share, order.shape), -1)
    return weights


def _share(tasks: int, begin: float, end: float) -> Array:
    """How much of [begin, end] each interval [i, i + 1] holds (tasks,), of a sum of 1."""
    i = np.arange(tasks)
    inside = np.clip(np.minimum(i + 1, end) - np.maximum(i, begin), 0, 1)
    return np.asarray(inside / (end - begin))


def probability_of_improvement(x: Array, y: Array) -> Estimate:
    """P(X > Y) + P(X = Y)/2 of one run each of two methods, averaged over tasks.

    The interval is Wilson's, of as many independent trials as have the variance of the estimate,
    and not fewer than there are runs of either. Where every run of one beat every run of the other
    it is the exact one of so many trials; where a method has one run, it is not known.

    Args:
        x: returns (S, M) of the runs of the first method on M tasks.
        y: returns (S', M) of those of the second.

    Source: Agarwal et al. 2021, "Deep RL at the edge of the statistical precipice"; the variance
        as DeLong et al. 1988 have it.
    """
    greater = x[:, None, :] > y[None, :, :]
    equal = x[:, None, :] == y[None, :, :]
    pairs = (greater + 0.5 * equal).mean(axis=-1)
    p, fewest = float(pairs.mean()), min(pairs.shape)
    if fewest < 2:  # it knows runs, not episodes: nothing is known of its spread
        return Estimate(p, math.nan, math.nan)
    if p in (0, 1):
        end = 0.025 ** (1 / fewest)
        return Estimate(p, end if p else 0.0, 1.0 if p else 1 - end)
    spread = Spread.of_sum(map(Spread.of_mean, (pairs.mean(axis=1), pairs.mean(axis=0))))
    trials = max(fewest, p * (1 - p) / spread.variance) if spread.variance > 0 else fewest
    freedom = spread.freedom if spread.variance > 0 else fewest - 1.0
    ratio = Spread(0.0, freedom).quantile ** 2 / trials
    middle = (p + ratio / 2) / (1 + ratio)
    half = math.sqrt(ratio * (p * (1 - p) + ratio / 4)) / (1 + ratio)
    return Estimate(p, max(0.0, middle - half), min(1.0, middle + half))


def standard_error(values: Array) -> float:
    """Of the mean of independent values (E,); NaN for fewer than two."""
    return math.sqrt(Spread.of_mean(values).variance)
