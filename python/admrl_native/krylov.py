"""Native solvers for H x = b, H symmetric and known by its products alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from ._native import _core
from ._vectors import number, numpy_system

SolverError = _core.SolverError
NotFiniteError = _core.NotFiniteError

if TYPE_CHECKING:
    import torch

Reason = Literal["converged", "max_iterations", "stagnated", "indefinite", "zero_right_hand_side"]
V = TypeVar("V", "npt.NDArray[np.float64]", "torch.Tensor")


@dataclasses.dataclass(frozen=True)
class SolveResult(Generic[V]):
    """What a solve found, and how far it can be trusted.

    Attributes:
        solution: x, (P,), of the kind of b: the iterate with the smallest regularised residual;
            "minres": the last, where only rounding tells that from the smallest; "cg": the last,
            whose error is the smallest in the energy norm (of H less its shift).
        image: H x, (P,), of the kind of b.
        residual: ‖b − H x‖ / ‖b‖, recomputed from the solution. Damping keeps it above zero.
        regularised_residual: relative residual of the regularised system, recomputed likewise.
        iterations: iterations done; "dense": 0.
        products: calls of hvp, those that recompute residuals included.
        reason: why it stopped: "converged"; "max_iterations"; "stagnated" (rounding errors or an
            exhausted Krylov space allow no progress: H may not be symmetric, or tolerance is too
            small); "indefinite" (cg: H shifted by the damping is not definite: use minres);
            "zero_right_hand_side" (x = 0).
        history: (iterations + 1,) float64, the recurrence's regularised residual of every iterate;
            "dense", and the last of "minres" if the recurrence ends before it: the recomputed one.
        ritz_values: "minres": those of H, ascending, one for each step of the process (see
            `lanczos`); "dense": its eigenvalues, (P,); "cgnr", "cg": none, (0,). float64.
        method: the one that ran: "minres", "cgnr", "cg" or "dense".
        why: what made "auto" choose it, or "asked for".
    """

    solution: V
    image: V
    residual: float
    regularised_residual: float
    iterations: int
    products: int
    reason: Reason
    history: npt.NDArray[np.float64]
    ritz_values: npt.NDArray[np.float64]
    method: str
    why: str

    @property
    def converged(self) -> bool:
        """Whether the solution is within tolerance."""
        return self.reason in ("converged", "zero_right_hand_side")


def solve_symmetric(
    hvp: Callable[[V], V],
    b: V,
    method: str = "minres",
    damping: float = 0.1,
    max_iterations: int = 200,
    tolerance: float = 1e-6,
) -> SolveResult[V]:
    """Solves H x = b, regularised, for a symmetric H that may be indefinite or singular.

    The damping μ ≥ 0 is in units of H²: what eigenvalues with |λ| well below √μ would contribute
    is suppressed. "minres", "cgnr" and "dense" compute the same Tikhonov solution:

        x = argmin ‖H x − b‖² + μ‖x‖²,  that is  (H H + μ I) x = H b.

    "cgnr" is conjugate gradients on that system, two products an iteration. "minres" minimises the
    same functional over the Krylov space of (H, b), one product an iteration (MINRES itself for
    μ = 0): the process of `lanczos`, whose stored and reorthogonalised basis keeps it as accurate
    as the conditioning of H allows. "dense" forms H with P products, P ≤ 5000, and takes its
    eigendecomposition: exact, the standard for the others. For μ = 0 all give a least-squares
    solution, that of least norm (the pseudo-inverse's; "dense" counts |λ| ≤ P ε max|λ| as 0, ε the
    relative spacing of b's type), with one exception: where H is singular and b outside its range,
    the one of "minres" is not of least norm if it ends within tolerance. Where it cannot, it goes
    on to the end of the iterations or of the space and ends with least norm, so that b next to the
    null space gives x next to 0. A tolerance is of ‖H r‖: of an H with condition κ, r is small
    once that is 1/κ of it.

    "cg" is for a definite H and shifts it:

        (H + s √μ I) x = b,  s = sign(bᵀ H b): +1 for a positive, −1 for a negative definite H.

    "auto" is "dense" where P ≤ max_iterations: it is exact, and takes no more products than the
    iterations allowed (and three for the residuals). Otherwise it is "minres", which takes one
    product an iteration whether H is definite or not. `SolveResult.why` says so.

    Args:
        hvp: H x from x. Gets and returns what b is: numpy float64, or torch of b's type and device.
        b: (P,) float64 array or floating torch tensor, not written.
        method: "minres", "cgnr", "cg", "dense" or "auto".
        damping: μ ≥ 0, in units of H².
        max_iterations: iterations at most; "dense" has none.
        tolerance: the solve stops when the relative residual of the regularised system is at most
            this: ‖H b − (H H + μ I) x‖ / ‖H b‖, for "cg" ‖b − (H + s √μ I) x‖ / ‖b‖. "dense" is
            as exact as rounding allows, and only judged by it.

    Returns:
        SolveResult; look at `converged` and `reason`.

    Raises:
        ValueError: an argument is not as above.
        SolverError: hvp returned a value of another shape or type, or not finite; "dense": H
            differs from its transpose by more than √ε times its largest element.
        Exception: whatever hvp raises, unchanged, KeyboardInterrupt included.

    Source: Section 4.2, Appendix C (cgnr); Paige & Saunders 1975 (minres); Hestenes & Stiefel 1952.

    Determinism: float64, one thread; the same products give the same bits.

    Cost: "minres" 1, "cg" 1, "cgnr" 2 products an iteration, and 2 ("cg" 1) for each check of the
    residuals. "minres" keeps its basis, at most P vectors: 8 P bytes an iteration, and 4 k² P
    operations for k of them (P = 2480, k = 200: 4 MB and 0.05 s; one core of an AMD EPYC,
    2026-11-25). "dense" P + 3 products, 16 P² bytes and O(P³) operations: the decomposition takes
    15 s for P = 2480 and 155 s for P = 5000 (same machine), while Ctrl-C waits.
    """
    damping = float(number("damping", damping, (int, float)))
    max_iterations = number("max_iterations", max_iterations, (int,))
    tolerance = float(number("tolerance", tolerance, (int, float)))
    system = numpy_system(hvp, b)
    settings = _core.KrylovSettings(
        method=method,
        damping=damping,
        max_iterations=max_iterations,
        tolerance=tolerance,
        rounding=system.rounding,
    )
    found = _core.solve_symmetric(system.hvp, system.b, settings)
    return SolveResult(
        solution=system.restore(found.solution),
        image=system.restore(found.image),
        residual=found.residual,
        regularised_residual=found.regularised_residual,
        iterations=found.iterations,
        products=found.products,
        reason=found.reason,
        history=found.history,
        ritz_values=found.ritz_values,
        method=found.method,
        why=found.why,
    )


@dataclasses.dataclass(frozen=True)
class LanczosResult(Generic[V]):
    """The solutions for a path of L regularisers, and what is known of the spectrum of H.

    Attributes:
        dampings: μ, (L,) float64, as given.
        solutions: x_μ, (L, P), of the kind of b.
        residuals: ‖b − H x‖ / ‖b‖, (L,) float64, recomputed from the solutions.
        regularised_residuals: ‖H b − (H H + μ I) x‖ / ‖H b‖, (L,) float64, recomputed likewise.
        iterations: steps of the Lanczos process, one product each.
        products: calls of hvp, those that recompute residuals included.
        reasons: one for each μ: "converged"; "max_iterations"; "stagnated" (the Krylov space is
            exhausted or rounding errors allow no progress: H may not be symmetric, or tolerance is
            too small); "zero_right_hand_side" (x = 0).
        ritz_values: (iterations,) float64, ascending; see `lanczos`.
    """

    dampings: npt.NDArray[np.float64]
    solutions: V
    residuals: npt.NDArray[np.float64]
    regularised_residuals: npt.NDArray[np.float64]
    iterations: int
    products: int
    reasons: tuple[Reason, ...]
    ritz_values: npt.NDArray[np.float64]

    @property
    def converged(self) -> bool:
        """Whether every solution is within tolerance."""
        return all(reason in ("converged", "zero_right_hand_side") for reason in self.reasons)


def lanczos(
    hvp: Callable[[V], V],
    b: V,
    dampings: Sequence[float] | npt.NDArray[np.float64],
    *,
    max_iterations: int = 200,
    tolerance: float = 1e-6,
) -> LanczosResult[V]:
    """Solves H x = b for a whole path of dampings, and gives Ritz values of H, from one process.

    The Krylov space of (H, b) does not depend on the damping. One Lanczos process builds it, and
    for every μ of the path

        x_μ = argmin ‖H x − b‖² + μ‖x‖²  over that space,

    which for one μ is "minres" of `solve_symmetric`. Each μ keeps the first iterate within
    tolerance, so that x_μ does not depend on the rest of the path. The process stops when every μ
    has one or is as near as rounding allows, the space is exhausted, or the iterations are used up;
    a μ without one keeps the last (minres: the one with the smallest regularised residual).

    The Ritz values are the eigenvalues of H within the Krylov space: between the smallest and the
    largest eigenvalue of H, those at the ends of the spectrum being found first. Eigenvalues with
    eigenvectors orthogonal to b are not seen, and a multiple one comes once. An empty path asks for
    them alone; a run of few iterations gives the ends of the spectrum.

    Args:
        hvp: H x from x. Gets and returns what b is: numpy float64, or torch of b's type and device.
        b: (P,) float64 array or floating torch tensor, not written.
        dampings: (L,) values of μ ≥ 0, in units of H², in any order; L may be 0.
        max_iterations: steps at most, the dimension of the Krylov space.
        tolerance: that of every ‖H b − (H H + μ I) x‖ / ‖H b‖.

    Returns:
        LanczosResult; look at `reasons`. For μ = 0 on a singular H whose range does not contain b,
        the solution is a least-squares one, but not that of least norm.

    Raises:
        ValueError: an argument is not as above.
        SolverError: hvp returned a value of another shape or type, or not finite.
        Exception: whatever hvp raises, unchanged, KeyboardInterrupt included.

    Source: Lanczos 1950; Paige & Saunders 1975, with Tikhonov damping.

    Determinism: float64, one thread; the same products give the same bits.

    Cost: one product an iteration and 2 for each μ. Every vector of the basis is kept, 8 P bytes an
    iteration, and orthogonalised against all before it, twice: k iterations take 4 k² P operations.
    """
    if np.ndim(dampings) != 1:
        raise ValueError(f"dampings: expected (L,) numbers, got {dampings!r}")
    path = np.array([float(number("dampings", mu, (int, float))) for mu in dampings], np.float64)
    max_iterations = number("max_iterations", max_iterations, (int,))
    tolerance = float(number("tolerance", tolerance, (int, float)))
    system = numpy_system(hvp, b)
    found = _core.lanczos(
        system.hvp, system.b, path, max_iterations=max_iterations, tolerance=tolerance
    )
    solutions = np.array([s.x for s in found.solutions]).reshape(len(path), len(system.b))
    return LanczosResult(
        dampings=path,
        solutions=system.restore(solutions),
        residuals=np.array([s.residual for s in found.solutions], np.float64),
        regularised_residuals=np.array(
            [s.regularised_residual for s in found.solutions], np.float64
        ),
        iterations=found.iterations,
        products=found.products,
        reasons=tuple(s.reason for s in found.solutions),
        ritz_values=found.ritz_values,
    )
