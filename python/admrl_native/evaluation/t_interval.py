"""The mean of a few independent figures, with its 95 % interval by Student's t."""

from __future__ import annotations

import dataclasses
import functools
import math

import numpy as np
import numpy.typing as npt


@dataclasses.dataclass(frozen=True)
class Interval:
    """mean ± half_width; the half-width is NaN where there are fewer than two figures.

    Attributes:
        mean: of the figures.
        half_width: of the 95 % interval of their expectation.
    """

    mean: float
    half_width: float

    @property
    def known(self) -> bool:
        """Whether there is an interval: at least two figures, all of them finite."""
        return math.isfinite(self.mean) and math.isfinite(self.half_width)

    @property
    def contains_zero(self) -> bool:
        """Whether 0 lies in it; not where it is not known."""
        return abs(self.mean) <= self.half_width

    def __str__(self) -> str:
        width = f"{self.half_width:.2g}" if math.isfinite(self.half_width) else "?"
        return f"{self.mean:+.3g} ± {width}"


def mean_interval(figures: npt.ArrayLike) -> Interval:
    """The 95 % interval of the expectation of independent, about normal figures (R,)."""
    values = np.asarray(figures, dtype=np.float64)
    if values.size < 2:
        return Interval(float(values.mean()), math.nan)
    error = float(values.std(ddof=1)) / math.sqrt(values.size)
    return Interval(float(values.mean()), t_quantile(values.size - 1) * error)


@functools.lru_cache(maxsize=1024)
def t_quantile(freedom: float, probability: float = 0.95) -> float:
    """t with P(|T| < t) = probability for Student's T.

    Between whole degrees of freedom log t is interpolated over 1/freedom: at most 3 % too large,
    and never too small.

    Args:
        freedom: degrees of freedom, at least 1.
        probability: in (0, 1).
    """
    below = math.floor(freedom)
    if below != freedom:
        ends = [math.log(t_quantile(n, probability)) for n in (below, below + 1)]
        # The part of the way from 1/(below + 1) to 1/below.
        part = below * (below + 1 - freedom) / freedom
        return math.exp(ends[1] + part * (ends[0] - ends[1]))
    low, high = 0.0, math.pi / 2
    for _ in range(60):  # θ to the last bit but a few
        middle = (low + high) / 2
        if _probability(middle, below) < probability:
            low = middle
        else:
            high = middle
    return math.tan(low) * math.sqrt(freedom)


def _probability(theta: float, freedom: int) -> float:
    """P(|T| < t) with tan θ = t/√freedom.

    Source: Abramowitz and Stegun, 26.7.3 and 26.7.4.
    """
    odd = freedom % 2 == 1
    term = math.cos(theta) if odd else 1.0
    total = 0.0
    for i in range(2 if odd else 1, freedom, 2):
        total += term
        term *= math.cos(theta) ** 2 * i / (i + 1)
    part = math.sin(theta) * total
    return 2 / math.pi * (theta + part) if odd else part
