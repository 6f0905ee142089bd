"""The test tasks of Section 5: inside Ψ, and out of distribution."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..families.declaration import Family

Tasks = tuple[tuple[float, ...], ...]

GRIDS = ("grid", "ood")

# Points per axis by K, corners included (Section 5); one axis is not in the paper.
_AXES: dict[int, tuple[int, ...]] = {1: (20,), 2: (6, 6), 3: (4, 4, 3)}
_NUM_BOUNDARY = 20  # tasks where K is larger
_OOD_SCALE = 5 / 3  # of the box about its centre: Ant2D's [-3, 3]² becomes the paper's [-5, 5]²


def test_tasks(family: Family, name: str) -> Tasks:
    """The tasks of a named grid.

    "grid": 6 × 6 points of Ψ (K = 2), 4 × 4 × 3 (K = 3), or 20 drawn uniformly on its boundary.
    "ood": those points of the same grid over a box 5/3 as wide that lie on its boundary.

    Args:
        family: whose Ψ.
        name: one of `GRIDS`.

    Determinism: the tasks depend on K, Ψ and the name alone.
    """
    if name not in GRIDS:
        raise ValueError(f"grid: expected one of {', '.join(GRIDS)}, got {name!r}")
    outside = name == "ood"
    points = _AXES.get(family.task_dim)
    if points is None:
        u = _on_boundary(family.task_dim, _NUM_BOUNDARY, GRIDS.index(name))
    else:
        u = _regular(points)
        if outside:
            u = u[np.abs(u).max(axis=1) == 1]
    low, high = np.array(family.task_low), np.array(family.task_high)
    psis = low + (u * (_OOD_SCALE if outside else 1) + 1) / 2 * (high - low)
    # Rounded, so that a task is the same number in every file.
    return tuple(tuple(round(x, 9) + 0.0 for x in psi) for psi in psis.tolist())


def _regular(points: Sequence[int]) -> npt.NDArray[np.float64]:
    """(M, K) points of [−1, 1]^K, the last coordinate running fastest."""
    return np.array(list(itertools.product(*(np.linspace(-1, 1, n) for n in points))))


def _on_boundary(dim: int, number: int, seed: int) -> npt.NDArray[np.float64]:
    """(number, dim) uniform on the boundary of [−1, 1]^dim: all of its faces are equally large."""
    rng = np.random.default_rng(seed)
    u = rng.uniform(-1, 1, (number, dim))
    face = rng.integers(2 * dim, size=number)
    u[np.arange(number), face // 2] = face % 2 * 2 - 1
    return u
