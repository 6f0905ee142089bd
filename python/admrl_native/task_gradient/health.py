"""How far a task gradient can be trusted: the same estimate from parts of its samples."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from ..krylov import lanczos
from .implicit import Solve, solve
from .samples import GapSamples
from .settings import TaskGradientSettings
from .terms import Terms
from .weights import TooFewEpisodesError

# A component is trusted beyond this many standard errors.
_TRUSTED_BEYOND = 2.0

# θ̂ is called stationary up to this multiple of what noise alone would show.
_STATIONARY_UP_TO = 3.0

# The ends of the spectrum take a few steps of the Lanczos process to be found.
_FEWEST_RITZ_VALUES = 12
_RITZ_PRODUCTS = 20

# A solve whose residual stays above this has next to none of g in it.
_SUPPRESSED_FROM = 0.9

# Three digits are enough here, in half the time.
_DTYPE = torch.float32
_TOLERANCE = 1e-4


@dataclasses.dataclass(frozen=True)
class Health:
    """The health report of one task gradient; (K,) tensors are float64 on the CPU.

    Attributes:
        ritz_smallest: smallest Ritz value of H; at a maximum of η̂ all eigenvalues are negative.
            None where g = 0.
        ritz_largest: largest.
        stationarity: ‖∂η̂/∂θ‖ at θ̂, which the implicit function theorem takes to be 0.
        stationarity_noise: what ‖∂η̂/∂θ‖ would be (root mean square) from sampling noise alone, by
            the same jackknife as standard_error.
        standard_error: of each component of dL/dψ (K,), by a delete-a-group jackknife over
            trajectories; None if that was not asked for or the samples cannot be split. It knows
            nothing of errors of principle: a biased estimator, a θ̂ that is not stationary, damping.
        halves: dL/dψ from each half of the trajectories (2, K), or None.
        halves_cosine: cosine between the two, in the unit of the caller's `scale`; None where it
            is not defined.
        trusted: of each component, whether it is more than two standard errors from 0; None where
            standard_error is.
    """

    ritz_smallest: float | None
    ritz_largest: float | None
    stationarity: float
    stationarity_noise: float | None
    standard_error: Tensor | None
    halves: Tensor | None
    halves_cosine: float | None
    trusted: tuple[bool, ...] | None

    def metrics(self) -> dict[str, Any]:
        """JSON-able."""
        out: dict[str, Any] = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            out[field.name] = value.tolist() if isinstance(value, Tensor) else value
        return out


class TermsOf(Protocol):
    """The terms of Eq. 2 from some of the samples."""

    def __call__(self, part: GapSamples, dtype: torch.dtype = ...) -> Terms: ...


class HealthCheck:
    """Estimates the same gradient from parts of its samples, to fewer digits.

    Args:
        samples: all of them.
        terms_of: the estimator.
        settings: of the gradient.

    Attributes:
        halves: the terms from each half of the trajectories; empty if they cannot be split.
        tolerance: of its solves.
    """

    def __init__(
        self, samples: GapSamples, terms_of: TermsOf, settings: TaskGradientSettings
    ) -> None:
        self.tolerance = max(_TOLERANCE, settings.tolerance)
        self._samples, self._terms_of = samples, terms_of
        self._groups = min(settings.jackknife_groups, samples.num_rows)
        # The solvers other than cg compute the same; minres does with the fewest products.
        self._settings = settings.replace(
            tolerance=self.tolerance, solver="cg" if settings.solver == "cg" else "minres"
        )
        self.halves: list[Terms] = []
        if samples.num_rows >= 2:
            with contextlib.suppress(TooFewEpisodesError):
                self.halves = [terms_of(part, _DTYPE) for part in samples.halves()]

    def report(
        self, terms: Terms, total: Tensor, main: Solve, damping: float, scale: Tensor | None
    ) -> Health:
        """The health of an estimate.

        Args:
            terms: from all the samples.
            total: dL/dψ (K,).
            main: its first solve.
            damping: μ.
            scale: (K,) the unit in which directions are compared; None: 1.
        """
        ritz = main.ritz_values
        if len(ritz) < _FEWEST_RITZ_VALUES:  # a short solve, or a solver that finds none
            ritz = _ritz_values(terms)
        errors = self._standard_errors(damping)
        standard_error = None if errors is None else errors[: len(total)]
        halves = [self._total(half, damping) for half in self.halves]
        unit = torch.ones_like(total) if scale is None else scale.to(total)
        return Health(
            ritz_smallest=min(ritz, default=None),
            ritz_largest=max(ritz, default=None),
            stationarity=terms.model_gradient.norm().item(),
            stationarity_noise=None if errors is None else errors[len(total) :].norm().item(),
            standard_error=standard_error,
            halves=torch.stack(halves) if halves else None,
            halves_cosine=cosine(halves[0] * unit, halves[1] * unit) if halves else None,
            trusted=None if standard_error is None else trusted_signs(total, standard_error),
        )

    def _total(self, part: Terms, damping: float) -> Tensor:
        """dL/dψ (K,) from a part of the samples."""
        y = solve(part.hessian, part.g, damping, self._settings).solution
        return part.total(part.mixed.transposed(y))

    def _standard_errors(self, damping: float) -> Tensor | None:
        """Of dL/dψ (K,), then of ∂η̂/∂θ (P,)."""
        if self._groups < 2:
            return None

        def replicate(group: int) -> Tensor:
            part = self._terms_of(self._samples.without(group, self._groups), _DTYPE)
            return torch.cat([self._total(part, damping), part.model_gradient.cpu()])

        try:
            return jackknife(replicate, self._groups)
        except TooFewEpisodesError:
            return None


def jackknife(replicate: Callable[[int], Tensor], groups: int) -> Tensor:
    """Standard error of each element from `replicate(i)`, the estimate without group i of the data.

    The groups are taken to be of equal size.

    Source: Kott 2001, the delete-a-group jackknife.
    """
    replicates = torch.stack([replicate(i) for i in range(groups)])
    spread = (replicates - replicates.mean(0)).square().sum(0)
    return torch.sqrt(spread * (groups - 1) / groups)


def trusted_signs(total: Tensor, standard_error: Tensor) -> tuple[bool, ...]:
    """Whether each component of the total (K,) is far enough from 0 for its sign to count."""
    sure: list[bool] = (total.abs() > _TRUSTED_BEYOND * standard_error).tolist()
    return tuple(sure)


def cosine(a: Tensor, b: Tensor) -> float | None:
    """Of the angle between two vectors; None if one of them is 0 or not finite."""
    norms = float(a.norm() * b.norm())
    return float(a @ b) / norms if 0 < norms < float("inf") else None


def _ritz_values(terms: Terms) -> tuple[float, ...]:
    run = lanczos(terms.hessian, terms.g, [], max_iterations=_RITZ_PRODUCTS)
    return tuple(run.ritz_values.tolist())


def verdict(health: Health, total: Tensor, implicit: Tensor, solves: Sequence[Solve]) -> str:
    """One line: "trusted", or what is wrong with the gradient, the worst first."""
    problems = []
    unsolved = sorted({s.status for s in solves} - {"converged", "zero_right_hand_side"})
    if not torch.isfinite(total).all():
        problems.append("not finite")
    if unsolved:
        problems.append(f"the solve did not converge ({', '.join(unsolved)})")
    if health.trusted is None:
        problems.append("no standard errors")
    elif not any(health.trusted):
        problems.append("no component's sign can be trusted")
    elif not all(health.trusted):
        unsure = [str(k) for k, sure in enumerate(health.trusted, start=1) if not sure]
        shown = ", ".join(unsure[:4]) + (", ..." if len(unsure) > 4 else "")
        problems.append(f"sign not to be trusted in component {shown}")
    if health.halves_cosine is not None and health.halves_cosine <= 0:
        problems.append("the halves of the data disagree on the direction")
    suppressed = max((s.residual for s in solves), default=0.0)
    if suppressed > _SUPPRESSED_FROM and implicit.any():  # where M = 0, nothing is lost
        problems.append(f"the damping suppresses the implicit term (residual {suppressed:.2f})")
    noise = health.stationarity_noise
    if noise is not None and health.stationarity > _STATIONARY_UP_TO * noise:
        problems.append("theta^ is not stationary in the model, which the implicit term assumes")
    return "; ".join(problems) or "trusted"
