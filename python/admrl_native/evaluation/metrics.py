"""Figures of a worst case over tasks, and their uncertainty.

A maximum over tasks of estimated gaps is too large: it picks the errors, too. So every task has two
independent sets of episodes. Which tasks are the worst is decided on the first ("select"), their
gaps are estimated on the second ("fresh"), which leaves no such bias.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from ..algorithms.t_interval import t_quantile

Array = npt.NDArray[np.float64]

_NORMAL = 1.959964  # P(|Z| < this) = 0.95

# Of gaps (…, M) over tasks, as selected on and as estimated afresh; gives (…).
Statistic = Callable[[Array, Array], Array]


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval.

    Attributes:
        value: the figure.
        low: lower end; NaN where nothing is known of the spread.
        high: upper end.
    """

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, value: float, resampled: Array, num_runs: int) -> Estimate:
        """With the percentile interval of bootstrap replicates, widened for few runs.

        Percentiles of a bootstrap are too narrow where few runs are drawn anew: their variance is
        (S − 1)/S of what it should be, and normal where Student's t would be right. Both are made
        good by a factor (1 at S = ∞, 1.21 at 10, 2.69 at 3).

        Args:
            value: the figure.
            resampled: replicates (R,).
            num_runs: S, runs that were drawn anew; of two methods, the fewer. With one, the
                interval is of the episodes alone, and as the percentiles have it.

        Source: Hesterberg 2015, "What teachers should know about the bootstrap", which moves the
            percentiles instead; with three runs there are none as far out.
        """
        low, high = np.percentile(resampled, [2.5, 97.5])
        widen = 1.0
        if num_runs > 1:
            widen = math.sqrt(num_runs / (num_runs - 1)) * t_quantile(num_runs - 1) / _NORMAL
        value = float(value)
        return cls(value, value + widen * float(low - value), value + widen * float(high - value))

    def clipped(self, low: float, high: float) -> Estimate:
        """Of a figure that cannot lie outside [low, high]."""
        return Estimate(self.value, max(self.low, low), min(self.high, high))

    def to_dict(self) -> dict[str, float]:
        return dataclasses.asdict(self)


def worst(select: Array, fresh: Array) -> Array:
    """max over tasks (G^max): the task that is the worst in `select`, as `fresh` has it."""
    index = select.argmax(axis=-1)[..., None]
    return np.take_along_axis(fresh, index, axis=-1)[..., 0]


def cvar(fraction: float) -> Statistic:
    """The mean over the worst `fraction` of the tasks (conditional value at risk).

    A task that the fraction cuts counts in part; fewer than one task is the worst one.
    """

    def statistic(select: Array, fresh: Array) -> Array:
        worst_first = np.take_along_axis(fresh, np.argsort(-select, axis=-1, kind="stable"), -1)
        tasks = select.shape[-1]
        return worst_first @ _share(tasks, 0.0, max(fraction * tasks, 1.0))

    return statistic


def mean(_: Array, fresh: Array) -> Array:
    """The mean over tasks."""
    return np.asarray(fresh.mean(axis=-1))


def interquartile_mean(_: Array, fresh: Array) -> Array:
    """The mean over the middle half of the tasks; a task that a quartile cuts counts in part."""
    tasks = fresh.shape[-1]
    return np.sort(fresh, axis=-1) @ _share(tasks, tasks / 4, 3 * tasks / 4)


STATISTICS: Mapping[str, Statistic] = {
    "max": worst,
    "cvar10": cvar(0.10),
    "cvar25": cvar(0.25),
    "mean": mean,
    "iqm": interquartile_mean,
}


def _share(tasks: int, begin: float, end: float) -> Array:
    """How much of [begin, end] each interval [i, i + 1] holds (tasks,), of a sum of 1."""
    i = np.arange(tasks)
    inside = np.clip(np.minimum(i + 1, end) - np.maximum(i, begin), 0, 1)
    return np.asarray(inside / (end - begin))


def resampled_means(values: Array, resamples: int, rng: np.random.Generator) -> Array:
    """Means of bootstrap samples of the last axis (resamples, …) of values (…, E)."""
    episodes = values.shape[-1]
    counts = rng.multinomial(
        episodes, np.full(episodes, 1 / episodes), size=(resamples, *values.shape[:-1])
    )
    return np.asarray((counts * values).sum(axis=-1) / episodes)


def resampled_seeds(
    num_seeds: int, resamples: int, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Which runs a bootstrap sample of a method's runs has (resamples, S)."""
    return rng.integers(num_seeds, size=(resamples, num_seeds))


def probability_of_improvement(x: Array, y: Array) -> float:
    """P(X > Y) + P(X = Y)/2 of one run each of two methods, averaged over tasks.

    Args:
        x: returns (S, M) of the runs of the first method on M tasks.
        y: returns (S', M) of those of the second.

    Source: Agarwal et al. 2021, "Deep RL at the edge of the statistical precipice".
    """
    greater = x[:, None, :] > y[None, :, :]
    equal = x[:, None, :] == y[None, :, :]
    return float((greater + 0.5 * equal).mean())


def standard_error(values: Array) -> float:
    """Of the mean of independent values (E,); NaN for fewer than two."""
    if values.size < 2:
        return math.nan
    return float(values.std(ddof=1) / math.sqrt(values.size))
