"""The Krylov solvers against dense solves of the systems they say they solve."""

from __future__ import annotations

import functools
import signal

import numpy as np
import pytest
import torch

from admrl_native._native import _core
from admrl_native.krylov import SolveResult, lanczos, solve_symmetric
from systems import (
    INDEFINITE,
    POSITIVE,
    SINGULAR,
    Array,
    product_of,
    relative,
    rhs,
    symmetric,
    tikhonov,
)

TIKHONOV: list[str] = ["cgnr", "minres"]
METHODS: list[str] = ["cgnr", "minres", "cg"]
EVERY: list[str] = [*METHODS, "dense"]


@pytest.mark.parametrize("damping", [0.01, 0.1, 3.0])
@pytest.mark.parametrize("spectrum", [INDEFINITE, SINGULAR, POSITIVE, -POSITIVE])
@pytest.mark.parametrize("method", TIKHONOV)
def test_tikhonov_solution(method: str, spectrum: Array, damping: float) -> None:
    h, b = symmetric(spectrum), rhs(len(spectrum))
    found = solve_symmetric(product_of(h), b, method, damping, 1000, 1e-11)
    assert found.reason == "converged"
    # An error is at most the condition number of H H + μ I, below 7e4, times the residual, 1e-11.
    assert relative(found.solution, tikhonov(h, b, damping)) < 1e-6


@pytest.mark.parametrize("spectrum", [INDEFINITE, POSITIVE, -POSITIVE])
@pytest.mark.parametrize("method", TIKHONOV)
def test_without_damping_the_system_itself_is_solved(method: str, spectrum: Array) -> None:
    h, b = symmetric(spectrum), rhs(len(spectrum))
    found = solve_symmetric(product_of(h), b, method, 0.0, 1000, 1e-11)
    assert found.reason == "converged"
    # Condition number of H H at most 6.3e4, residual 1e-11.
    assert relative(found.solution, np.linalg.solve(h, b)) < 1e-6
    assert found.residual < 1e-8  # ‖r‖ ≤ ‖H r‖ / 0.2, against ‖H b‖ of at most 50 ‖b‖


@pytest.mark.parametrize("method", TIKHONOV)
def test_inconsistent_singular_system_has_a_least_squares_solution(method: str) -> None:
    h, b = symmetric(SINGULAR), rhs(len(SINGULAR))
    found = solve_symmetric(product_of(h), b, method, 0.0, 1000, 1e-8)
    assert found.reason == "converged"
    expected = np.linalg.pinv(h, rcond=1e-10, hermitian=True) @ b
    # Of least norm with cgnr; minres leaves a part in the null space of H, which H takes away.
    if method == "cgnr":
        assert relative(found.solution, expected) < 1e-5  # condition number of H H 324, times 1e-8
    assert relative(h @ found.solution, h @ expected) < 1e-6  # condition number of H 18, times 1e-8
    # b has a part outside the range: the plain residual stays, and is reported.
    assert found.residual == pytest.approx(np.linalg.norm(b - h @ expected) / np.linalg.norm(b))
    assert found.residual > 0.1


@pytest.mark.parametrize("seed", range(5))
def test_minres_ends_before_a_singular_system_blows_up(seed: int) -> None:
    h, b = symmetric(SINGULAR, seed), rhs(len(SINGULAR), seed + 10)
    found = solve_symmetric(product_of(h), b, "minres", 0.0, 1000, 0.0)
    assert found.reason == "stagnated"
    # The space: b's parts along the 32 other eigenvectors, and one part in the null space; a step
    # more where rounding hides its end.
    assert found.iterations <= 34
    expected = np.linalg.pinv(h, rcond=1e-10, hermitian=True) @ b
    # The process ends where the part in the null space would raise the residual above 1e-9 by
    # rounding; condition number of H 18.
    assert relative(h @ found.solution, h @ expected) < 18 * 1e-9


@pytest.mark.parametrize("method", TIKHONOV)
def test_consistent_singular_system_is_solved(method: str) -> None:
    h = symmetric(SINGULAR)
    b = h @ rhs(len(SINGULAR))
    found = solve_symmetric(product_of(h), b, method, 0.0, 1000, 1e-12)
    assert found.reason == "converged"
    expected = np.linalg.pinv(h, rcond=1e-10, hermitian=True) @ b
    assert relative(found.solution, expected) < 1e-8  # condition number of H H 324, residual 1e-12


@pytest.mark.parametrize("method", TIKHONOV)
def test_ill_conditioned_system_is_regularised(method: str) -> None:
    spectrum = np.concatenate([-np.geomspace(1e-9, 3.0, 25), np.geomspace(1e-9, 3.0, 25)])
    h, b = symmetric(spectrum), rhs(50)
    found = solve_symmetric(product_of(h), b, method, 0.1, 1000, 1e-11)
    assert found.reason == "converged"
    # Condition number of H H + 0.1 I: 91.
    assert relative(found.solution, tikhonov(h, b, 0.1)) < 1e-9


@pytest.mark.parametrize("damping", [0.0, 0.1, 3.0])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_cg_shifts_a_definite_matrix_away_from_zero(sign: float, damping: float) -> None:
    h, b = symmetric(sign * POSITIVE), rhs(len(POSITIVE))
    found = solve_symmetric(product_of(h), b, "cg", damping, 1000, 1e-12)
    assert found.reason == "converged"
    expected = np.linalg.solve(h + sign * np.sqrt(damping) * np.eye(len(b)), b)
    assert relative(found.solution, expected) < 1e-9  # condition number 160, residual 1e-12
    assert found.residual == pytest.approx(
        np.linalg.norm(b - h @ found.solution) / np.linalg.norm(b), abs=1e-14
    )


def test_cg_says_that_a_matrix_is_indefinite() -> None:
    h, b = symmetric(INDEFINITE), rhs(len(INDEFINITE))
    found = solve_symmetric(product_of(h), b, "cg", 0.01)
    assert found.reason == "indefinite"
    assert not found.converged
    assert np.all(np.isfinite(found.solution))


@pytest.mark.parametrize("damping", [0.0, 0.01, 0.1, 3.0])
@pytest.mark.parametrize("spectrum", [INDEFINITE, POSITIVE, -POSITIVE])
def test_dense_solution(spectrum: Array, damping: float) -> None:
    h, b = symmetric(spectrum), rhs(len(spectrum))
    calls = 0

    def product(x: Array) -> Array:
        nonlocal calls
        calls += 1
        return h @ x

    found = solve_symmetric(product, b, "dense", damping)
    # Condition number of H at most 250, of the stacked matrix less: some 1e3 roundings.
    assert relative(found.solution, tikhonov(h, b, damping)) < 1e-12
    assert found.reason == "converged"
    assert found.products == calls == len(b) + 3
    assert found.iterations == 0
    assert found.history.tolist() == [found.regularised_residual]
    assert found.regularised_residual < 1e-12
    assert found.residual == pytest.approx(
        np.linalg.norm(b - h @ found.solution) / np.linalg.norm(b), rel=1e-9, abs=1e-14
    )


@pytest.mark.parametrize("damping", [0.0, 0.01])
def test_dense_is_the_pseudo_inverse_of_a_singular_matrix(damping: float) -> None:
    h, b = symmetric(SINGULAR), rhs(len(SINGULAR))
    found = solve_symmetric(product_of(h), b, "dense", damping)
    expected = (
        tikhonov(h, b, damping) if damping else np.linalg.pinv(h, rcond=1e-10, hermitian=True) @ b
    )
    assert found.reason == "converged"
    assert relative(found.solution, expected) < 1e-12  # condition number 18 of what counts


def test_dense_asks_for_a_symmetric_matrix() -> None:
    h = symmetric(POSITIVE)
    h[3, 7] += 1e-3
    with pytest.raises(_core.SolverError, match=r"^hvp: expected a symmetric H, got H\(3, 7\) = "):
        solve_symmetric(product_of(h), rhs(len(POSITIVE)), "dense")
    # Rounding errors of float32 are errors for a float64 b, and none for a float32 one.
    h32 = torch.from_numpy(symmetric(POSITIVE)).float()
    b = torch.from_numpy(rhs(len(POSITIVE)))
    h32[3, 7] *= 1 + 1e-5
    with pytest.raises(_core.SolverError, match="give b in float32"):
        solve_symmetric(lambda x: (h32 @ x.float()).double(), b, "dense")
    found = solve_symmetric(lambda x: h32 @ x, b.float(), "dense", 0.1)
    # Condition number of H 160: of the order of 160 * 1e-5.
    assert relative(found.solution.double().numpy(), tikhonov(h32.numpy(), b.numpy(), 0.1)) < 1e-2


def test_dense_refuses_what_is_too_large() -> None:
    with pytest.raises(ValueError, match=r"^b: expected at most 5000 elements .* got 5001"):
        solve_symmetric(lambda x: x, np.ones(5001), "dense")


def test_auto_says_what_it_chooses() -> None:
    h, b = symmetric(POSITIVE), rhs(len(POSITIVE))
    small = solve_symmetric(product_of(h), b, "auto", max_iterations=40)
    assert small.method == "dense"
    assert small.why == "exact, and P = 40 products are not more than 40, the iterations allowed"
    assert np.array_equal(small.solution, solve_symmetric(product_of(h), b, "dense").solution)
    large = solve_symmetric(product_of(h), b, "auto", max_iterations=39)
    assert large.method == "minres"
    assert large.why == (
        "one product an iteration, H definite or not; "
        "P = 40 products would be more than 39, the iterations allowed"
    )
    huge = solve_symmetric(lambda x: 2 * x, np.ones(5001), "auto", max_iterations=10_000)
    assert huge.method == "minres"
    assert huge.why.endswith("more than 5000, the largest H to decompose")
    for method in EVERY:
        asked = solve_symmetric(product_of(h), b, method)
        assert (asked.method, asked.why) == (method, "asked for")


@pytest.mark.parametrize("method", EVERY)
def test_damping_means_the_same_to_all(method: str) -> None:
    # sqrt(μ) = 1: an eigenvalue of 1000 is left alone, one of 1/1000 is suppressed.
    found = solve_symmetric(product_of(np.diag([1e3, 1e-3])), np.ones(2), method, 1.0)
    assert found.solution[0] == pytest.approx(1e-3, rel=2e-3)
    assert 0.0 < found.solution[1] < 2.0  # 1e3 without damping


@pytest.mark.parametrize("method", METHODS)
def test_residuals_are_true_and_the_history_complete(method: str) -> None:
    h, b = symmetric(POSITIVE), rhs(len(POSITIVE))
    calls = 0

    def product(x: Array) -> Array:
        nonlocal calls
        calls += 1
        return h @ x

    found = solve_symmetric(product, b, method, 0.1, 7, 1e-10)
    x = found.solution
    assert found.reason == "max_iterations"
    assert not found.converged
    assert found.iterations == 7
    assert found.history.shape == (8,)
    assert found.history[0] == pytest.approx(1.0)
    assert found.products == calls
    if method == "cg":
        regularised = np.linalg.norm(b - h @ x - np.sqrt(0.1) * x) / np.linalg.norm(b)
    else:
        r = b - h @ x
        regularised = np.linalg.norm(h @ r - 0.1 * x) / np.linalg.norm(h @ b)
    # The same formula, summed in another order.
    assert found.residual == pytest.approx(np.linalg.norm(b - h @ x) / np.linalg.norm(b), rel=1e-12)
    assert found.regularised_residual == pytest.approx(regularised, rel=1e-12)
    # The best iterate is kept (cg: the last); seven iterations lose no digits to rounding.
    kept = found.history[-1] if method == "cg" else found.history.min()
    assert found.regularised_residual == pytest.approx(kept, rel=1e-9)


def minimiser_over_krylov_space(h: Array, b: Array, damping: float, steps: int) -> Array:
    """argmin of the Tikhonov functional over span(b, H b, ..., H^(steps-1) b), dense."""
    basis = np.linalg.qr(np.stack([np.linalg.matrix_power(h, j) @ b for j in range(steps)], 1))[0]
    stacked = np.vstack([h @ basis, np.sqrt(damping) * basis])
    return basis @ np.linalg.lstsq(stacked, np.concatenate([b, np.zeros(len(b))]), rcond=None)[0]


@pytest.mark.parametrize("damping", [0.0, 0.1, 3.0])
@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5])
def test_minres_minimises_over_the_krylov_space(steps: int, damping: float) -> None:
    h, b = symmetric(np.linspace(-2.0, 3.0, 12)), rhs(12)
    found = solve_symmetric(product_of(h), b, "minres", damping, steps, 0.0)
    iterates = [minimiser_over_krylov_space(h, b, damping, k) for k in range(1, steps + 1)]
    residuals = [np.linalg.norm(h @ (b - h @ x) - damping * x) for x in iterates]
    # Five powers of H (norm 3) lose about three digits of the references.
    assert found.history[1:] == pytest.approx(residuals / np.linalg.norm(h @ b), rel=1e-10)
    best = int(np.argmin(residuals))
    assert relative(found.solution, iterates[best]) < 1e-10
    assert found.regularised_residual == pytest.approx(found.history[best + 1], rel=1e-10)


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5])
def test_cg_minimises_the_energy_over_the_krylov_space(steps: int) -> None:
    """Residuals rise on the way, here up to the fourth; what cg minimises does not."""
    h, b = symmetric(np.logspace(0, 3, 12)), rhs(12)
    found = solve_symmetric(product_of(h), b, "cg", 0.0, steps, 0.0)
    basis = np.linalg.qr(np.stack([np.linalg.matrix_power(h, j) @ b for j in range(steps)], 1))[0]
    expected = basis @ np.linalg.solve(basis.T @ h @ basis, basis.T @ b)
    # Five powers of H (norm 1000) lose about six digits of the reference.
    assert relative(found.solution, expected) < 1e-8
    assert steps > 4 or found.history[-1] > found.history[0]
    assert found.regularised_residual == pytest.approx(found.history[-1], rel=1e-9)


def test_minres_keeps_the_best_iterate() -> None:
    # The functional falls with every step, its gradient does not: here it grows fourfold.
    h, b = np.diag([-1.0, 1.1, 10.0]), np.array([1.0, 1.0, 0.01])
    found = solve_symmetric(product_of(h), b, "minres", 0.0, 2, 1e-10)
    assert found.reason == "max_iterations"
    assert found.history[1] < 1.0 < found.history[2] / 4
    one = solve_symmetric(product_of(h), b, "minres", 0.0, 1, 1e-10)
    assert np.array_equal(found.solution, one.solution)
    assert found.regularised_residual == one.regularised_residual
    assert found.products == 2 + 2 + 2  # the last iterate's residual, then the best one's


@pytest.mark.parametrize("damping", [0.0, 0.1])
def test_minres_is_the_lanczos_process_of_one_damping(damping: float) -> None:
    h, b = symmetric(INDEFINITE), rhs(len(INDEFINITE))
    found = solve_symmetric(product_of(h), b, "minres", damping, 1000, 1e-11)
    path = lanczos(product_of(h), b, [damping], max_iterations=1000, tolerance=1e-11)
    assert np.array_equal(found.solution, path.solutions[0])
    assert (found.products, found.reason) == (path.products, path.reasons[0])
    assert found.iterations <= len(b)  # exact after as many, rounding or not


def test_minres_needs_fewer_products_than_cgnr_on_a_definite_matrix() -> None:
    h, b = symmetric(POSITIVE), rhs(len(POSITIVE))
    products = {m: solve_symmetric(product_of(h), b, m, 0.1, 1000, 1e-6).products for m in TIKHONOV}
    assert products["minres"] < products["cgnr"]


def test_symmetric_spectrum_about_zero_converges() -> None:
    # Odd Lanczos steps make no progress here; they must not be taken for stagnation.
    h, b = np.diag([-3.0, -2.0, -1.0, 1.0, 2.0, 3.0]), np.ones(6)
    for method in TIKHONOV:
        found = solve_symmetric(product_of(h), b, method, 0.0, 50, 1e-10)
        assert found.reason == "converged"
        assert relative(found.solution, np.linalg.solve(h, b)) < 1e-9  # condition number of H H 9


@pytest.mark.parametrize("method", EVERY)
def test_zero_right_hand_side(method: str) -> None:
    found = solve_symmetric(product_of(np.eye(3)), np.zeros(3), method)
    assert found.reason == "zero_right_hand_side"
    assert found.converged
    assert np.array_equal(found.solution, np.zeros(3))
    assert (found.residual, found.iterations, found.products) == (0.0, 0, 0)


@pytest.mark.parametrize("method", [*TIKHONOV, "dense"])
def test_right_hand_side_in_the_null_space(method: str) -> None:
    found = solve_symmetric(product_of(np.diag([0.0, 2.0])), np.array([3.0, 0.0]), method, 0.0)
    assert np.array_equal(found.solution, np.zeros(2))
    assert (found.reason, found.residual, found.regularised_residual) == ("converged", 1.0, 0.0)


@pytest.mark.parametrize("method", EVERY)
@pytest.mark.parametrize("scale", [2.0**-600, 2.0**600])
def test_scale_of_the_right_hand_side_does_not_matter(method: str, scale: float) -> None:
    h, b = symmetric(POSITIVE), rhs(len(POSITIVE))
    plain = solve_symmetric(product_of(h), b, method)
    scaled = solve_symmetric(product_of(h), b * scale, method)
    assert np.array_equal(scaled.solution, plain.solution * scale)  # powers of two round nothing


@pytest.mark.parametrize("method", EVERY)
def test_one_dimension(method: str) -> None:
    found = solve_symmetric(lambda x: -4.0 * x, np.array([2.0]), method, 0.0)
    assert found.solution[0] == pytest.approx(-0.5, rel=1e-15)
    assert found.reason == "converged"


@pytest.mark.parametrize("method", TIKHONOV)
def test_an_unreachable_tolerance_is_not_called_converged(method: str) -> None:
    h, b = symmetric(INDEFINITE), rhs(len(INDEFINITE))
    found = solve_symmetric(product_of(h), b, method, 0.0, 2000, 1e-25)
    assert found.reason in ("stagnated", "max_iterations")
    assert found.regularised_residual > 1e-25
    # The best iterate is as good as rounding allows: condition number of H H 6e4, times 2e-16.
    assert relative(found.solution, np.linalg.solve(h, b)) < 1e-9


def test_an_asymmetric_operator_is_not_called_converged() -> None:
    h = np.random.default_rng(3).standard_normal((30, 30))
    found = solve_symmetric(product_of(h), rhs(30), "minres", 0.1, 500, 1e-8)
    assert not found.converged
    assert found.regularised_residual > 1e-8


@pytest.mark.parametrize("method", EVERY)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("at", [1, 3])
def test_non_finite_product(method: str, bad: float, at: int) -> None:
    h, calls = symmetric(POSITIVE), 0

    def product(x: Array) -> Array:
        nonlocal calls
        calls += 1
        out = h @ x
        if calls == at:
            out[5] = bad
        return out

    with pytest.raises(_core.SolverError, match=f"product {at} has .* at index 5"):
        solve_symmetric(product, rhs(len(POSITIVE)), method)
    assert calls == at


@pytest.mark.parametrize("method", EVERY)
def test_overflow_is_an_error(method: str) -> None:
    with pytest.raises(_core.SolverError, match="overflowed"):
        solve_symmetric(lambda x: 1e308 * x, np.ones(5), method)


@pytest.mark.parametrize(
    ("value", "got"),
    [
        (np.zeros(4), r"\(4,\) float64"),
        (np.zeros((5, 1)), r"\(5, 1\) float64"),
        (np.zeros(5, np.float32), r"\(5,\) float32"),
        (None, "NoneType"),
        (0.0, "float"),
    ],
)
def test_wrong_kind_of_product(value: object, got: str) -> None:
    with pytest.raises(_core.SolverError, match=r"^hvp: expected \(P=5,\) float64, got " + got):
        solve_symmetric(lambda x: value, np.ones(5))  # type: ignore[arg-type, return-value]


@pytest.mark.parametrize("method", EVERY)
def test_exceptions_of_the_callback_pass_unchanged(method: str) -> None:
    error = LookupError("mine")

    def product(x: Array) -> Array:
        raise error

    with pytest.raises(LookupError) as caught:
        solve_symmetric(product, np.ones(4), method)
    assert caught.value is error


def test_a_signal_ends_the_solve_even_if_the_callback_runs_no_python() -> None:
    def interrupt(number: int, frame: object) -> None:
        raise TimeoutError

    # A ufunc bound to its first argument: no bytecode, so only the solver looks for signals.
    # Without damping this spectrum keeps cgnr busy far longer than the alarm.
    product = functools.partial(np.multiply, np.geomspace(1e-8, 1.0, 3000))
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(TimeoutError):
            solve_symmetric(product, np.ones(3000), "cgnr", 0.0, 10_000_000, 0.0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def test_the_callback_may_keep_its_argument() -> None:
    h, kept = symmetric(POSITIVE), list[tuple[Array, Array]]()

    def product(x: Array) -> Array:
        kept.append((x, x.copy()))
        return h @ x

    solve_symmetric(product, rhs(len(POSITIVE)), "minres")
    assert all(np.array_equal(x, copy) for x, copy in kept)


def test_a_solve_inside_a_solve() -> None:
    inner, b = symmetric(POSITIVE, 4), rhs(len(POSITIVE))

    def product(x: Array) -> Array:
        return solve_symmetric(product_of(inner), x, "cg", 0.0, 500, 1e-14).solution

    found = solve_symmetric(product, b, "minres", 0.0, 500, 1e-10)
    # Condition number of H H 2.6e4, residual 1e-10.
    assert relative(found.solution, inner @ b) < 1e-5


@pytest.mark.parametrize("method", EVERY)
def test_same_bits_twice(method: str) -> None:
    h, b = symmetric(POSITIVE), rhs(len(POSITIVE))
    first, second = (solve_symmetric(product_of(h), b, method) for _ in range(2))
    assert np.array_equal(first.solution, second.solution)
    assert np.array_equal(first.history, second.history)


@pytest.mark.parametrize("method", EVERY)
def test_torch_in_torch_out(method: str) -> None:
    h, b = symmetric(POSITIVE), rhs(len(POSITIVE))
    h_torch = torch.from_numpy(h)

    def product(x: torch.Tensor) -> torch.Tensor:
        assert x.dtype == torch.float64
        return h_torch @ x

    found: SolveResult[torch.Tensor] = solve_symmetric(
        product, torch.from_numpy(b), method, 0.1, 500, 1e-12
    )
    expected = solve_symmetric(product_of(h), b, method, 0.1, 500, 1e-12)
    assert isinstance(found.solution, torch.Tensor)
    assert found.reason == expected.reason
    # torch and numpy sum in different orders: two solutions, each within 2.6e4 (the condition
    # number of H H) times 1e-12 of the true one.
    assert relative(found.solution.numpy(), expected.solution) < 1e-7


def test_torch_float32_is_kept() -> None:
    def product(x: torch.Tensor) -> torch.Tensor:
        assert x.dtype == torch.float32
        return 2 * x

    b = torch.ones(3, requires_grad=True)
    found = solve_symmetric(product, b, "minres", 0.0)
    assert found.solution.dtype == torch.float32
    assert torch.equal(found.solution, torch.full((3,), 0.5))


def test_torch_errors() -> None:
    with pytest.raises(ValueError, match=r"^b: expected \(P,\) floating, got \(3,\) torch.int64"):
        solve_symmetric(lambda x: x, torch.arange(3))
    with pytest.raises(_core.SolverError, match=r"^hvp: expected a torch tensor, got ndarray"):
        solve_symmetric(lambda x: x.numpy(), torch.ones(3))  # type: ignore[arg-type, return-value]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"b": [1.0, 2.0]}, "b: expected a numpy array or a torch tensor, got list"),
        ({"b": np.ones(3, np.float32)}, r"b: expected \(P,\) float64, got \(3,\) float32"),
        ({"b": np.ones((3, 1))}, r"b: expected \(P,\) float64, got \(3, 1\) float64"),
        ({"b": np.ones(0)}, "b: expected at least one element"),
        ({"b": np.array([1.0, np.nan])}, "b: expected finite values, got nan at index 1"),
        ({"method": "lu"}, "method: expected one of cgnr, minres, cg, dense, auto, got 'lu'"),
        ({"damping": -0.1}, "damping: expected a finite number >= 0, got -0.1"),
        ({"damping": np.inf}, "damping: expected a finite number >= 0, got inf"),
        ({"damping": "a"}, "damping: expected float, got 'a'"),
        ({"tolerance": np.nan}, "tolerance: expected a finite number >= 0, got nan"),
        ({"max_iterations": 0}, "max_iterations: expected at least 1, got 0"),
        ({"max_iterations": 2.5}, "max_iterations: expected int, got 2.5"),
        ({"max_iterations": True}, "max_iterations: expected int, got True"),
    ],
)
def test_bad_arguments(change: dict[str, object], message: str) -> None:
    arguments: dict[str, object] = {"b": np.ones(3), **change}
    with pytest.raises(ValueError, match="^" + message):
        solve_symmetric(lambda x: x, **arguments)  # type: ignore[call-overload, arg-type, misc]
