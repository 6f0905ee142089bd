"""The solvers against SciPy's minres and lsqr, and numpy's dense solutions, up to ill-conditioned.

Every matrix has ‖H‖ = 1 and nonzero eigenvalues of alternating sign from 1/κ to 1, κ its condition
number. ε is the spacing of float64, t a tolerance asked for: ‖H r − μ x‖ ≤ t ‖H b‖, r = b − H x.
"""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse.linalg

from admrl_native.krylov import lanczos, solve_symmetric
from systems import Array, product_of, relative, rhs, symmetric, tikhonov

SIZE, ZEROS, SEEDS = 40, 8, [0, 1, 2, 3, 4, 5]
EPS = float(np.finfo(np.float64).eps)
CONDITIONS = [1e2, 1e4, 1e6, 1e8]
ENOUGH = 20_000  # iterations: rounding errors, not this, end a solve

everywhere = pytest.mark.parametrize("condition", CONDITIONS)
seeds = pytest.mark.parametrize("seed", SEEDS)
singular_or_not = pytest.mark.parametrize("zeros", [0, ZEROS])


def matrix(condition: float, seed: int, zeros: int = 0) -> Array:
    magnitudes = np.geomspace(1 / condition, 1.0, SIZE - zeros)
    signs = (-1.0) ** np.arange(SIZE - zeros)
    return symmetric(np.concatenate([np.zeros(zeros), signs * magnitudes]), seed)


def pseudo_inverse_solution(h: Array, b: Array, condition: float) -> Array:
    """The least-squares solution of least norm; eigenvalues far below 1/κ are zeros."""
    values, vectors = np.linalg.eigh(h)
    kept = np.abs(values) > 0.3 / condition
    return vectors[:, kept] @ ((vectors[:, kept].T @ b) / values[kept])


def solve(method: str, h: Array, b: Array, damping: float, tolerance: float) -> tuple[Array, float]:
    """The solution and its recomputed regularised residual."""
    if method == "lanczos":
        path = lanczos(product_of(h), b, [damping], max_iterations=SIZE, tolerance=tolerance)
        return path.solutions[0], float(path.regularised_residuals[0])
    found = solve_symmetric(product_of(h), b, method, damping, ENOUGH, tolerance)
    return found.solution, found.regularised_residual


def scipy_minres(h: Array, b: Array) -> Array:
    return scipy.sparse.linalg.minres(h, b, rtol=1e-15, maxiter=ENOUGH)[0]  # type: ignore[no-any-return]


def scipy_lsqr(h: Array, b: Array, damping: float = 0.0) -> Array:
    """argmin ‖H x − b‖² + damp²‖x‖², as far as rounding allows."""
    return scipy.sparse.linalg.lsqr(  # type: ignore[no-any-return]
        h, b, damp=np.sqrt(damping), atol=EPS, btol=EPS, conlim=0, iter_lim=ENOUGH
    )[0]


@seeds
@singular_or_not
@pytest.mark.parametrize("consistent", [False, True])
@pytest.mark.parametrize("damping", [1e-6, 1e-2])
@pytest.mark.parametrize("method", ["minres", "cgnr", "dense", "lanczos"])
@everywhere
def test_damped(
    condition: float, method: str, damping: float, consistent: bool, zeros: int, seed: int
) -> None:
    h, x = matrix(condition, seed, zeros), rhs(SIZE, seed + 100)
    b = h @ x if consistent else x
    found, residual = solve(method, h, b, damping, 1e-11)
    assert residual <= 1e-11
    # ‖x − x_μ‖ ≤ ‖(H H + μ I)⁻¹‖ t ‖H b‖ and ‖H b‖ ≤ (1 + μ) ‖x_μ‖: t times the condition number
    # of H H + μ I, which with or without zeros is at most 1 + 1/μ. The references, made from the
    # stacked matrix [H; √μ I], have rounding errors of at most ε (1 + 1/μ), a thousandth of it.
    limit = 1e-11 * (1.0 + 1.0 / damping)
    assert relative(found, tikhonov(h, b, damping)) < limit
    assert relative(found, scipy_lsqr(h, b, damping)) < limit


@seeds
@pytest.mark.parametrize("method", ["minres", "cgnr", "dense", "lanczos"])
@everywhere
def test_undamped_as_far_as_rounding_allows(condition: float, method: str, seed: int) -> None:
    h, b = matrix(condition, seed), rhs(SIZE, seed + 100)
    found, residual = solve(method, h, b, 0.0, 1e-15)
    # A backward stable solver leaves ‖r‖ ≈ ε ‖x‖ ≤ ε κ ‖b‖; ‖b‖ is about 4 ‖H b‖ or less here.
    assert residual < 100 * EPS * condition
    # The solution itself, of which rounding H alone changes ε κ; each reference may err as much.
    for reference in (np.linalg.solve(h, b), scipy_minres(h, b), scipy_lsqr(h, b)):
        assert relative(found, reference) < 100 * EPS * condition


@seeds
@singular_or_not
@pytest.mark.parametrize("method", ["minres", "cgnr", "dense", "lanczos"])
@everywhere
def test_undamped_consistent(condition: float, method: str, zeros: int, seed: int) -> None:
    h = matrix(condition, seed, zeros)
    b = h @ rhs(SIZE, seed + 100)
    t = 1e-12
    found, residual = solve(method, h, b, 0.0, t)
    assert residual <= t
    # ‖H (x − x*)‖ = ‖r‖ ≤ κ ‖H r‖ ≤ κ t ‖H b‖, and ‖x − x*‖ ≤ κ² t ‖H b‖: at 1e6 and beyond the
    # residual asked for says nothing of x. dense gives what it can: ε κ (see above).
    dense = pseudo_inverse_solution(h, b, condition)
    for reference in (dense, scipy_minres(h, b), scipy_lsqr(h, b)):
        assert relative(h @ found, h @ reference) < condition * t
        limit = 100 * EPS * condition if method == "dense" else condition**2 * t
        if limit < 1e-2:
            assert relative(found, reference) < limit


@seeds
@pytest.mark.parametrize("method", ["cgnr", "dense"])
@everywhere
def test_undamped_singular_inconsistent_least_norm(
    condition: float, method: str, seed: int
) -> None:
    h, b = matrix(condition, seed, ZEROS), rhs(SIZE, seed + 100)
    found, residual = solve(method, h, b, 0.0, 1e-15)
    # As for a regular matrix; cgnr comes a little less near (measured: 60 ε κ).
    assert residual < 1000 * EPS * condition
    for reference in (pseudo_inverse_solution(h, b, condition), scipy_lsqr(h, b)):
        assert relative(found, reference) < 100 * EPS * condition


@seeds
@pytest.mark.parametrize("method", ["minres", "lanczos"])
@everywhere
def test_undamped_singular_inconsistent_least_squares(
    condition: float, method: str, seed: int
) -> None:
    h, b = matrix(condition, seed, ZEROS), rhs(SIZE, seed + 100)
    t = 100 * EPS * condition  # as above
    found, residual = solve(method, h, b, 0.0, t)
    assert residual <= t
    # Not of least norm, so that only H x is determined: ‖H (x − x*)‖ ≤ κ ‖H r‖.
    for reference in (pseudo_inverse_solution(h, b, condition), scipy_lsqr(h, b)):
        error = np.linalg.norm(h @ (found - reference))
        # The references err by ε κ ‖x*‖ themselves, and x* is up to κ ‖b‖ long; H takes away κ.
        rounding = 100 * EPS * condition * np.linalg.norm(b)
        assert error < condition * residual * np.linalg.norm(h @ b) + rounding


@seeds
@everywhere
def test_a_path_at_once(condition: float, seed: int) -> None:
    h, b = matrix(condition, seed, ZEROS), rhs(SIZE, seed + 100)
    dampings = np.geomspace(1e-6, 1.0, 7)
    found = lanczos(product_of(h), b, dampings, max_iterations=SIZE, tolerance=1e-11)
    assert found.converged
    for x, damping in zip(found.solutions, dampings, strict=True):
        limit = 1e-11 * (1.0 + 1.0 / damping)  # see test_damped
        assert relative(x, scipy_lsqr(h, b, damping)) < limit


@seeds
@pytest.mark.parametrize("outside", [0.0, 1e-16, 1e-14, 1e-10, 1e-6])
@pytest.mark.parametrize("tolerance", [1e-6, 1e-30])
def test_minres_next_to_the_null_space(seed: int, outside: float, tolerance: float) -> None:
    """The least-squares solution of least norm, and never worse than 0, of b almost in it."""
    h = matrix(10.0, seed, zeros=1)
    values, vectors = np.linalg.eigh(h)
    null = vectors[:, np.argmin(np.abs(values))]
    b = null + outside * (h @ rhs(SIZE, seed))
    found = solve_symmetric(product_of(h), b, "minres", 0.0, 4 * SIZE, tolerance).solution
    best = pseudo_inverse_solution(h, b, 10.0)
    # Products of H with b are exact to some ε ‖b‖, and κ = 10.
    assert np.linalg.norm(found - best) <= 1000 * EPS
    assert np.linalg.norm(h @ found - b) <= np.linalg.norm(b) * (1 + 10 * EPS)


@seeds
@pytest.mark.parametrize("condition", [1e8, 1e10, 1e12, 1e14])
def test_minres_of_a_consistent_system_is_no_worse_than_scipy(seed: int, condition: float) -> None:
    h = matrix(condition, seed)
    x = rhs(SIZE, seed)
    b = h @ x
    ours = solve_symmetric(product_of(h), b, "minres", 0.0, 4 * SIZE, 1e-30).solution
    theirs = scipy_minres(h, b)
    assert relative(h @ ours, b) <= max(relative(h @ theirs, b), 100 * EPS)
    # A tenth more where both have lost most: eigenvalues of P ε count as 0 or do not.
    assert relative(ours, x) <= 1.1 * relative(theirs, x)
