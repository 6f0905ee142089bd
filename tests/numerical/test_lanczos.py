"""One Lanczos process for a path of dampings, against separate and dense solves and eigvalsh."""

from __future__ import annotations

import functools
import signal

import numpy as np
import pytest
import torch

import admrl_native
from admrl_native._native import _core
from admrl_native.krylov import lanczos, solve_symmetric
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

PATH = np.geomspace(1e-4, 10.0, 9)


@pytest.mark.parametrize("spectrum", [INDEFINITE, SINGULAR, POSITIVE, -POSITIVE])
def test_the_path_is_that_of_dense_solves(spectrum: Array) -> None:
    h, b = symmetric(spectrum), rhs(len(spectrum))
    found = lanczos(product_of(h), b, PATH, max_iterations=1000, tolerance=1e-11)
    assert found.reasons == ("converged",) * len(PATH)
    assert found.converged
    for x, damping in zip(found.solutions, PATH, strict=True):
        # An error is at most the condition number of H H + μ I, below 7e4 (INDEFINITE; with zeros
        # among the eigenvalues 81/1e-4), times the residual, 1e-11.
        assert relative(x, tikhonov(h, b, damping)) < 1e-5


@pytest.mark.parametrize("spectrum", [INDEFINITE, SINGULAR, POSITIVE])
def test_the_path_is_that_of_separate_solves(spectrum: Array) -> None:
    h, b = symmetric(spectrum), rhs(len(spectrum))
    found = lanczos(product_of(h), b, PATH, max_iterations=1000, tolerance=1e-11)
    separate = [solve_symmetric(product_of(h), b, "minres", mu, 1000, 1e-11) for mu in PATH]
    for x, other in zip(found.solutions, separate, strict=True):
        assert relative(x, other.solution) < 1e-5  # as above, twice
    # One process costs what the longest solve costs, but for rounding, which it does not suffer.
    assert found.iterations <= max(s.iterations for s in separate) + 1
    assert found.products < sum(s.products for s in separate) / 2


def test_no_solution_depends_on_the_rest_of_the_path() -> None:
    h, b = symmetric(INDEFINITE), rhs(len(INDEFINITE))
    found = lanczos(product_of(h), b, PATH)
    alone = [lanczos(product_of(h), b, [mu]) for mu in PATH]
    assert np.array_equal(found.solutions, np.concatenate([one.solutions for one in alone]))
    backwards = lanczos(product_of(h), b, PATH[::-1])
    assert np.array_equal(found.solutions, backwards.solutions[::-1])
    assert found.iterations == max(one.iterations for one in alone)


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5])
def test_each_solution_is_the_minimiser_over_the_krylov_space(steps: int) -> None:
    h, b = symmetric(np.linspace(-2.0, 3.0, 12)), rhs(12)
    path = [0.0, 0.1, 3.0]
    found = lanczos(product_of(h), b, path, max_iterations=steps, tolerance=0.0)
    assert found.reasons == ("max_iterations",) * 3
    powers = [np.linalg.matrix_power(h, j) @ b for j in range(steps)]
    basis = np.linalg.qr(np.stack(powers, 1))[0]
    for x, damping in zip(found.solutions, path, strict=True):
        stacked = np.vstack([h @ basis, np.sqrt(damping) * basis])
        y = np.linalg.lstsq(stacked, np.concatenate([b, np.zeros(12)]), rcond=None)[0]
        # Five powers of H (norm 3) lose about three digits of the reference.
        assert relative(x, basis @ y) < 1e-10


@pytest.mark.parametrize("seed", range(5))
def test_a_singular_system_without_damping_has_a_least_squares_solution(seed: int) -> None:
    h, b = symmetric(SINGULAR, seed), rhs(len(SINGULAR), seed + 10)
    expected = np.linalg.pinv(h, rcond=1e-10, hermitian=True) @ b
    for tolerance in (1e-6, 1e-9, 0.0):
        found = lanczos(product_of(h), b, [0.0], max_iterations=1000, tolerance=tolerance)
        # A part in the null space of H remains. Condition number of H 18, times the tolerance;
        # where none is asked the process ends before rounding errors can blow the solution up.
        limit = 18 * max(tolerance, 1e-9)
        assert relative(h @ found.solutions[0], h @ expected) < limit
        assert found.residuals[0] == pytest.approx(
            np.linalg.norm(b - h @ expected) / np.linalg.norm(b), rel=1e-9
        )
        assert found.reasons == (("converged",) if tolerance else ("stagnated",))
        assert found.iterations < len(b)


def test_a_full_run_gives_every_eigenvalue() -> None:
    spectrum = np.sort(np.random.default_rng(3).standard_normal(60) * 5)
    h = symmetric(spectrum)
    found = lanczos(product_of(h), rhs(60), [], max_iterations=1000)
    assert (found.iterations, found.products) == (60, 60)
    assert found.reasons == ()
    assert found.converged
    assert found.solutions.shape == (0, 60)
    # Full orthogonalisation: eigenvalues are exact to a rounding error of ‖H‖, 13, none twice.
    assert np.allclose(found.ritz_values, np.linalg.eigvalsh(h), rtol=0, atol=1e-12)


def test_the_ends_of_the_spectrum_come_first() -> None:
    spectrum = np.concatenate([[-9.0, -6.0], np.linspace(-1.0, 1.0, 396), [7.0, 12.0]])
    h = symmetric(spectrum)
    found = lanczos(product_of(h), rhs(400), [], max_iterations=25)
    ritz = found.ritz_values
    assert ritz.shape == (25,)
    assert np.all(np.diff(ritz) > 0)
    # Kaniel and Paige: the error falls as the square of a Chebyshev polynomial of degree 21 at 6,
    # the least of the four ends in units of the bulk: (12 ** 21 / 2) ** -2 is below rounding.
    assert np.allclose(ritz[[0, 1, -2, -1]], [-9.0, -6.0, 7.0, 12.0], rtol=0, atol=1e-10)
    assert np.all(np.abs(ritz[2:-2]) < 1.0 + 1e-12)


def test_ritz_values_are_those_of_the_krylov_space() -> None:
    h, b = symmetric(INDEFINITE), rhs(len(INDEFINITE))
    basis = np.linalg.qr(np.stack([np.linalg.matrix_power(h, j) @ b for j in range(5)], 1))[0]
    found = lanczos(product_of(h), b, [0.1], max_iterations=5, tolerance=0.0)
    # Powers up to 50**4 in the reference lose seven digits.
    assert np.allclose(found.ritz_values, np.linalg.eigvalsh(basis.T @ h @ basis), atol=1e-6)


def test_products_are_counted_and_residuals_true() -> None:
    h, b, path = symmetric(POSITIVE), rhs(len(POSITIVE)), np.array([0.0, 0.1, 3.0])
    calls = 0

    def product(x: Array) -> Array:
        nonlocal calls
        calls += 1
        return h @ x

    found = lanczos(product, b, path, max_iterations=7, tolerance=1e-10)
    assert found.products == calls == 7 + 2 * 3
    assert found.iterations == 7
    assert found.reasons[0] == "max_iterations"
    assert not found.converged
    assert np.array_equal(found.dampings, path)
    for i, damping in enumerate(path):
        x = found.solutions[i]
        r = b - h @ x
        regularised = np.linalg.norm(h @ r - damping * x) / np.linalg.norm(h @ b)
        # The same formula, summed in another order.
        assert found.residuals[i] == pytest.approx(np.linalg.norm(r) / np.linalg.norm(b), rel=1e-12)
        assert found.regularised_residuals[i] == pytest.approx(regularised, rel=1e-9)


def test_an_exhausted_space() -> None:
    h, b = np.diag([1.0, 2.0, 3.0, 4.0, 5.0]), np.array([1.0, 0.0, 2.0, 0.0, 1.0])
    found = lanczos(product_of(h), b, [0.0, 0.5], tolerance=0.0)
    assert found.iterations == 3
    assert found.reasons == ("stagnated", "stagnated")  # exact, but a tolerance of 0 is not met
    assert np.allclose(found.ritz_values, [1.0, 3.0, 5.0], rtol=0, atol=1e-14)
    assert np.allclose(found.solutions[0], b / np.diag(h), rtol=0, atol=1e-14)
    assert np.allclose(found.solutions[1], np.diag(h) * b / (np.diag(h) ** 2 + 0.5), atol=1e-14)
    full = lanczos(product_of(h), np.ones(5), [0.5], tolerance=1e-12)
    assert (full.iterations, full.reasons) == (5, ("converged",))


def test_an_asymmetric_operator_is_not_called_converged() -> None:
    h = np.random.default_rng(3).standard_normal((30, 30))
    found = lanczos(product_of(h), rhs(30), [0.1], max_iterations=500, tolerance=1e-8)
    assert found.reasons == ("stagnated",)
    assert found.regularised_residuals[0] > 1e-8


def test_one_dimension() -> None:
    found = lanczos(lambda x: -4.0 * x, np.array([2.0]), [0.0, 9.0])
    assert found.solutions[:, 0] == pytest.approx([-0.5, -8.0 / 25.0], rel=1e-15)
    assert found.ritz_values == pytest.approx([-4.0])
    assert (found.iterations, found.products, found.converged) == (1, 5, True)


def test_zero_right_hand_side() -> None:
    found = lanczos(product_of(np.eye(3)), np.zeros(3), [0.0, 0.1])
    assert found.reasons == ("zero_right_hand_side",) * 2
    assert found.converged
    assert np.array_equal(found.solutions, np.zeros((2, 3)))
    assert np.array_equal(found.residuals, np.zeros(2))
    assert (found.iterations, found.products, len(found.ritz_values)) == (0, 0, 0)


def test_right_hand_side_in_the_null_space() -> None:
    found = lanczos(product_of(np.diag([0.0, 2.0])), np.array([3.0, 0.0]), [0.0, 0.1])
    assert np.array_equal(found.solutions, np.zeros((2, 2)))
    assert found.reasons == ("converged", "converged")
    assert np.array_equal(found.residuals, np.ones(2))
    assert np.array_equal(found.regularised_residuals, np.zeros(2))
    assert np.array_equal(found.ritz_values, np.zeros(1))


@pytest.mark.parametrize("scale", [2.0**-600, 2.0**600])
def test_scale_of_the_right_hand_side_does_not_matter(scale: float) -> None:
    h, b = symmetric(POSITIVE), rhs(len(POSITIVE))
    plain, scaled = (lanczos(product_of(h), x, PATH) for x in (b, b * scale))
    assert np.array_equal(scaled.solutions, plain.solutions * scale)  # powers of two round nothing
    assert np.array_equal(scaled.ritz_values, plain.ritz_values)


def test_same_bits_twice() -> None:
    h, b = symmetric(INDEFINITE), rhs(len(INDEFINITE))
    first, second = (lanczos(product_of(h), b, PATH) for _ in range(2))
    assert np.array_equal(first.solutions, second.solutions)
    assert np.array_equal(first.ritz_values, second.ritz_values)


def test_torch_in_torch_out() -> None:
    h, b = symmetric(POSITIVE), rhs(len(POSITIVE))
    h_torch = torch.from_numpy(h)

    def product(x: torch.Tensor) -> torch.Tensor:
        assert x.dtype == torch.float64
        return h_torch @ x

    found = lanczos(product, torch.from_numpy(b), PATH, tolerance=1e-12)
    expected = lanczos(product_of(h), b, PATH, tolerance=1e-12)
    assert isinstance(found.solutions, torch.Tensor)
    assert isinstance(found.ritz_values, np.ndarray)
    assert found.reasons == expected.reasons
    # torch and numpy sum in different orders: condition number of H H 2.6e4, tolerance 1e-12.
    assert relative(found.solutions.numpy(), expected.solutions) < 1e-7


def test_torch_float32_is_kept() -> None:
    h = torch.from_numpy(symmetric(np.linspace(-2.0, 3.0, 12))).float()
    b = torch.from_numpy(rhs(12)).float().requires_grad_()

    def product(x: torch.Tensor) -> torch.Tensor:
        assert x.dtype == torch.float32
        return h @ x

    found = lanczos(product, b, [0.1, 1.0], tolerance=1e-4)
    assert found.solutions.dtype == torch.float32
    assert found.converged
    for x, damping in zip(found.solutions, [0.1, 1.0], strict=True):
        expected = tikhonov(h.double().numpy(), b.detach().double().numpy(), damping)
        # Condition number of H H + 0.1 I at most 91, times the tolerance.
        assert relative(x.double().numpy(), expected) < 1e-2
    empty = lanczos(product, b, [])
    assert empty.solutions.shape == (0, 12)


@pytest.mark.parametrize("at", [1, 3])
def test_non_finite_product(at: int) -> None:
    h, calls = symmetric(POSITIVE), 0

    def product(x: Array) -> Array:
        nonlocal calls
        calls += 1
        out = h @ x
        if calls == at:
            out[5] = np.nan
        return out

    with pytest.raises(_core.SolverError, match=f"product {at} has .*nan at index 5"):
        lanczos(product, rhs(len(POSITIVE)), PATH)
    assert calls == at


def test_overflow_is_an_error() -> None:
    with pytest.raises(_core.SolverError, match="overflowed"):
        lanczos(lambda x: 1e308 * x, np.ones(5), [0.1])


def test_wrong_kind_of_product() -> None:
    with pytest.raises(_core.SolverError, match=r"^hvp: expected \(P=5,\) float64, got \(4,\)"):
        lanczos(lambda x: x[:4], np.ones(5), [0.1])
    with pytest.raises(_core.SolverError, match=r"^hvp: expected a torch tensor, got ndarray"):
        lanczos(lambda x: x.numpy(), torch.ones(3), [0.1])  # type: ignore[arg-type, return-value]


def test_exceptions_of_the_callback_pass_unchanged() -> None:
    error = LookupError("mine")

    def product(x: Array) -> Array:
        raise error

    with pytest.raises(LookupError) as caught:
        lanczos(product, np.ones(4), [0.1])
    assert caught.value is error


def test_a_signal_ends_the_process_even_if_the_callback_runs_no_python() -> None:
    def interrupt(number: int, frame: object) -> None:
        raise TimeoutError

    # A ufunc bound to its first argument: no bytecode, so only the process looks for signals.
    product = functools.partial(np.multiply, np.linspace(-1.0, 1.0, 3000))
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(TimeoutError):
            lanczos(product, np.ones(3000), [], max_iterations=3000)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def test_the_callback_may_keep_its_argument() -> None:
    h, kept = symmetric(POSITIVE), list[tuple[Array, Array]]()

    def product(x: Array) -> Array:
        kept.append((x, x.copy()))
        return h @ x

    lanczos(product, rhs(len(POSITIVE)), [0.1])
    assert all(np.array_equal(x, copy) for x, copy in kept)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"b": [1.0, 2.0]}, "b: expected a numpy array or a torch tensor, got list"),
        ({"b": np.ones(3, np.float32)}, r"b: expected \(P,\) float64, got \(3,\) float32"),
        ({"b": np.ones(0)}, "b: expected at least one element"),
        ({"b": np.array([1.0, np.inf])}, "b: expected finite values, got inf at index 1"),
        ({"b": torch.arange(3)}, r"b: expected \(P,\) floating, got \(3,\) torch.int64"),
        ({"dampings": [0.1, -0.1]}, "damping: expected a finite number >= 0, got -0.1"),
        ({"dampings": [np.nan]}, "damping: expected a finite number >= 0, got nan"),
        ({"dampings": ["a"]}, "dampings: expected float, got 'a'"),
        ({"dampings": 0.1}, r"dampings: expected \(L,\) numbers, got 0.1"),
        ({"dampings": np.ones((2, 2))}, r"dampings: expected \(L,\) numbers, got array"),
        ({"tolerance": -1.0}, "tolerance: expected a finite number >= 0, got -1"),
        ({"max_iterations": 0}, "max_iterations: expected at least 1, got 0"),
        ({"max_iterations": 2.5}, "max_iterations: expected int, got 2.5"),
    ],
)
def test_bad_arguments(change: dict[str, object], message: str) -> None:
    arguments: dict[str, object] = {"b": np.ones(3), "dampings": [0.1], **change}
    with pytest.raises(ValueError, match="^" + message):
        lanczos(lambda x: x, **arguments)  # type: ignore[call-overload, arg-type, misc]


def test_public_names() -> None:
    assert admrl_native.lanczos is lanczos
    found = admrl_native.lanczos(lambda x: x, np.ones(2), [0.1])
    assert isinstance(found, admrl_native.LanczosResult)
