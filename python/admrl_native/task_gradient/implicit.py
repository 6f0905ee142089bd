"""The implicit term Mᵀ H⁻¹ g = −(∂θ̂/∂ψ)ᵀ ∂η*/∂θ (Eq. 5), by one solve or by one per dimension."""

from __future__ import annotations

import dataclasses
from typing import Any, Protocol

import torch
from torch import Tensor

from ..krylov import SolverError, lanczos, solve_symmetric
from .hessian import HessianProduct
from .settings import TaskGradientSettings


class Mixed(Protocol):
    """M = ∂²η̂/∂θ∂ψᵀ (P, K); `terms.MixedDerivative` is one."""

    def transposed(self, y: Tensor) -> Tensor:
        """Mᵀ y (K,)."""

    def columns(self) -> list[Tensor]:
        """The K columns (P,)."""


@dataclasses.dataclass(frozen=True)
class Solve:
    """One linear solve with H.

    Attributes:
        solution: (P,).
        method: the solver that ran.
        why: why that one.
        status: why it stopped; see `krylov.SolveResult.reason`.
        iterations: of the solver.
        products: of H, those that recompute the residuals included.
        residual: ‖b − H x‖ / ‖b‖, recomputed.
        regularised_residual: the relative residual of the regularised system, recomputed.
        ritz_values: ascending; empty for a solver that finds none.
    """

    solution: Tensor
    method: str
    why: str
    status: str
    iterations: int
    products: int
    residual: float
    regularised_residual: float
    ritz_values: tuple[float, ...] = ()

    def metrics(self) -> dict[str, Any]:
        """JSON-able, without the vectors."""
        left_out = ("solution", "ritz_values")
        fields = dataclasses.fields(self)
        return {f.name: getattr(self, f.name) for f in fields if f.name not in left_out}


def solve(
    hessian: HessianProduct,
    b: Tensor,
    damping: float,
    settings: TaskGradientSettings,
) -> Solve:
    """x of (HᵀH/P + μ I) x = Hᵀ b/P, the authors' system: min ‖H x − b‖² + P μ ‖x‖².

    Args:
        damping: μ; a solver gets P μ.

    Raises:
        SolverError: b or a product with H is not finite.
    """
    if not torch.isfinite(b).all():
        raise SolverError("task gradient: expected finite derivatives, got some that are not")
    limits = {"max_iterations": settings.max_iterations, "tolerance": settings.tolerance}
    raw_damping = damping * b.numel()
    if settings.solver == "minres":
        path = lanczos(hessian, b, [raw_damping], **limits)  # type: ignore[arg-type]
        return Solve(
            solution=path.solutions[0],
            method="minres",
            why="asked for",
            status=path.reasons[0],
            iterations=path.iterations,
            products=path.products,
            residual=float(path.residuals[0]),
            regularised_residual=float(path.regularised_residuals[0]),
            ritz_values=tuple(path.ritz_values.tolist()),
        )
    found = solve_symmetric(hessian, b, settings.solver, raw_damping, **limits)  # type: ignore[arg-type]
    return Solve(
        solution=found.solution,
        method=found.method,
        why=found.why,
        status=found.reason,
        iterations=found.iterations,
        products=found.products,
        residual=found.residual,
        regularised_residual=found.regularised_residual,
    )


def implicit_term(
    hessian: HessianProduct,
    g: Tensor,
    mixed: Mixed,
    damping: float,
    settings: TaskGradientSettings,
) -> tuple[Tensor, list[Solve]]:
    """Mᵀ H⁻¹ g (K,), and the solves it took.

    adjoint: H y = g, then Mᵀ y. per-dimension: H x_k = m_k for each column of M, then x_kᵀ g.
    The two agree because the regularised inverse is symmetric.
    """
    if settings.form == "adjoint":
        adjoint = solve(hessian, g, damping, settings)
        return mixed.transposed(adjoint.solution), [adjoint]
    solves = [solve(hessian, m, damping, settings) for m in mixed.columns()]
    return torch.stack([s.solution @ g for s in solves]), solves
