"""Native Krylov solvers for H x = b, H symmetric and known by its products alone."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, cast

import numpy as np
import numpy.typing as npt

from ._native import _core

if TYPE_CHECKING:
    import torch

Reason = Literal["converged", "max_iterations", "stagnated", "indefinite", "zero_right_hand_side"]
V = TypeVar("V", "npt.NDArray[np.float64]", "torch.Tensor")


@dataclasses.dataclass(frozen=True)
class SolveResult(Generic[V]):
    """What a solve found, and how far it can be trusted.

    Attributes:
        solution: x, (P,), of the kind of b: the iterate with the smallest regularised residual.
        residual: ‖b − H x‖ / ‖b‖, recomputed from the solution. Damping keeps it above zero.
        regularised_residual: relative residual of the regularised system, recomputed likewise.
        iterations: iterations done.
        products: calls of hvp, those that recompute residuals included.
        reason: why it stopped: "converged"; "max_iterations"; "stagnated" (rounding errors or an
            exhausted Krylov space allow no progress: H may not be symmetric, or tolerance is too
            small); "indefinite" (cg: H shifted by the damping is not definite: use minres);
            "zero_right_hand_side" (x = 0).
        history: (iterations + 1,) float64, the recurrence's regularised residual of every iterate.
    """

    solution: V
    residual: float
    regularised_residual: float
    iterations: int
    products: int
    reason: Reason
    history: npt.NDArray[np.float64]

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

    "cgnr" and "minres" compute the same Tikhonov solution, with μ the damping:

        x = argmin ‖H x − b‖² + μ‖x‖²,  that is  (H H + μ I) x = H b;

    "cgnr" is conjugate gradients on that system, two products an iteration. "minres" minimises the
    same functional over the Krylov space of (H, b), one product an iteration (MINRES itself for
    μ = 0). For μ = 0 both give a least-squares solution, that of least norm (the pseudo-inverse's),
    with one exception: where H is singular and b outside its range, the one of "minres" is not of
    least norm, and rounding errors end it near a regularised residual of 1e-8. "cg" is for a
    definite H and shifts it:

        (H + s μ I) x = b,  s = sign(bᵀ H b): +1 for a positive, −1 for a negative definite H.

    Args:
        hvp: H x from x. Gets and returns what b is: numpy float64, or torch of b's type and device.
        b: (P,) float64 array or floating torch tensor, not written.
        method: "minres", "cgnr" or "cg".
        damping: μ ≥ 0, in units of H² ("cgnr", "minres") or of H ("cg").
        max_iterations: iterations at most.
        tolerance: the solve stops when the relative residual of the regularised system is at most
            this: ‖H b − (H H + μ I) x‖ / ‖H b‖, for "cg" ‖b − (H + s μ I) x‖ / ‖b‖.

    Returns:
        SolveResult; look at `converged` and `reason`.

    Raises:
        ValueError: an argument is not as above.
        SolverError: hvp returned a value of another shape or type, or not finite.
        Exception: whatever hvp raises, unchanged, KeyboardInterrupt included.

    Source: Section 4.2, Appendix C (cgnr); Paige & Saunders 1975 (minres); Hestenes & Stiefel 1952.

    Determinism: float64, one thread; the same products give the same bits.

    Cost: "minres" 1, "cg" 1, "cgnr" 2 products an iteration, and 2 ("cg" 1) for the residuals.
    """
    options = {
        "method": method,
        "damping": float(_number("damping", damping, (int, float))),
        "max_iterations": _number("max_iterations", max_iterations, (int,)),
        "tolerance": float(_number("tolerance", tolerance, (int, float))),
    }
    if isinstance(b, np.ndarray):
        found = _core.solve_symmetric(cast(Any, hvp), b, **options)
        return _result(found[0], found)
    torch_module = sys.modules.get("torch")  # a tensor cannot come before torch is imported
    if torch_module is None or not isinstance(b, torch_module.Tensor):
        raise ValueError(f"b: expected a numpy array or a torch tensor, got {type(b).__name__}")
    return _solve_torch(cast(Any, hvp), b, options)


def _solve_torch(
    hvp: Callable[[torch.Tensor], torch.Tensor], b: torch.Tensor, options: dict[str, Any]
) -> SolveResult[torch.Tensor]:
    import torch

    kind = f"{tuple(b.shape)} {b.dtype}"
    if b.ndim != 1 or not b.is_floating_point():
        raise ValueError(f"b: expected (P,) floating, got {kind}")

    def as_tensor(x: npt.NDArray[np.float64]) -> torch.Tensor:
        return torch.from_numpy(x).to(dtype=b.dtype, device=b.device)

    def as_array(x: torch.Tensor) -> npt.NDArray[np.float64]:
        return np.ascontiguousarray(x.detach().to(device="cpu", dtype=torch.float64).numpy())

    def product(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        out = hvp(as_tensor(x))
        if not isinstance(out, torch.Tensor):
            raise _core.SolverError(f"hvp: expected a torch tensor, got {type(out).__name__}")
        return as_array(out)

    found = _core.solve_symmetric(product, as_array(b), **options)
    return _result(as_tensor(found[0]), found)


def _result(solution: V, found: tuple[Any, ...]) -> SolveResult[V]:
    return SolveResult(solution, *found[1:])


def _number(name: str, value: Any, kinds: tuple[type, ...]) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, kinds):
        raise ValueError(f"{name}: expected {kinds[-1].__name__}, got {value!r}")
    return value
