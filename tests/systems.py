"""Symmetric systems of known spectrum for the tests of the solvers, and their dense solutions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

INDEFINITE = np.concatenate([-np.geomspace(0.3, 20.0, 20), np.geomspace(0.2, 50.0, 30)])
SINGULAR = np.concatenate([np.zeros(8), -np.geomspace(0.5, 5.0, 12), np.geomspace(0.5, 9.0, 20)])
POSITIVE = np.geomspace(0.5, 80.0, 40)


def symmetric(spectrum: Array, seed: int = 0) -> Array:
    """A symmetric matrix with these eigenvalues and random eigenvectors."""
    size = len(spectrum)
    q, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((size, size)))
    h = (q * spectrum) @ q.T
    return np.ascontiguousarray((h + h.T) / 2)


def rhs(size: int, seed: int = 1) -> Array:
    return np.random.default_rng(seed).standard_normal(size)


def product_of(h: Array) -> Callable[[Array], Array]:
    return lambda x: h @ x


def tikhonov(h: Array, b: Array, damping: float) -> Array:
    """argmin ‖H x − b‖² + μ‖x‖² as a dense least-squares problem."""
    stacked = np.vstack([h, np.sqrt(damping) * np.eye(len(b))])
    return np.linalg.lstsq(stacked, np.concatenate([b, np.zeros(len(b))]), rcond=None)[0]


def relative(x: Array, reference: Array) -> float:
    return float(np.linalg.norm(x - reference) / np.linalg.norm(reference))
