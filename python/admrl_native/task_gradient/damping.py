"""How strongly to regularise: by what one half of the trajectories says of the other."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from ..krylov import lanczos
from .settings import TaskGradientSettings
from .terms import Terms

# Candidates for √μ, in units of the largest eigenvalue of H that a short Lanczos run finds.
_CANDIDATES = np.geomspace(1e-3, 3.0, 15)
_SHORT_RUN = 12


@dataclasses.dataclass(frozen=True)
class Damping:
    """The regulariser of one task gradient.

    Attributes:
        value: μ, in the unit of the setting.
        why: how it was found.
        candidates: the μ tried, ascending; empty where it was given.
        losses: of the candidates: mean of ‖H_b y_a − g_b‖² / ‖g_b‖² over the two ways round.
    """

    value: float
    why: str
    candidates: tuple[float, ...] = ()
    losses: tuple[float, ...] = ()

    def metrics(self) -> dict[str, Any]:
        """JSON-able."""
        return dataclasses.asdict(self)


def choose_damping(
    halves: Sequence[Terms], settings: TaskGradientSettings, tolerance: float
) -> Damping:
    """The given μ, or the one with which the halves of the data agree best.

    auto: y_a solves the regularised system of half a. How well it solves that of half b,
    ‖H_b y_a − g_b‖², falls with μ as long as the noise of H_a and g_a is what μ takes away, and
    rises again where μ takes away what both halves have in common. One Lanczos process per half
    gives y_a for every candidate.

    Args:
        halves: the terms from each half of the trajectories; none if they cannot be split.
        tolerance: of the solves.

    Raises:
        ValueError: auto without halves.
    """
    if not isinstance(settings.damping, str):
        return Damping(settings.damping, "given")
    if not halves:
        raise ValueError("damping auto: expected trajectories that can be halved, got too few")
    a, b = halves
    runs = [lanczos(h.hessian, h.g, [], max_iterations=_SHORT_RUN) for h in halves]
    largest = max(float(np.abs(run.ritz_values).max(initial=0.0)) for run in runs)
    if largest == 0.0:
        return Damping(0.0, "auto: the policy gradient is 0, or H is")
    candidates = (_CANDIDATES * largest) ** 2
    path_a, path_b = (
        lanczos(
            half.hessian,
            half.g,
            candidates,
            max_iterations=settings.max_iterations,
            tolerance=tolerance,
        ).solutions
        for half in halves
    )
    losses = np.array(
        [0.5 * (_misfit(b, y_a) + _misfit(a, y_b)) for y_a, y_b in zip(path_a, path_b, strict=True)]
    )
    # A half without a policy gradient predicts nothing.
    comparable = np.isfinite(losses).any()
    best = int(np.nanargmin(losses)) if comparable else len(losses) - 1
    return Damping(
        value=float(candidates[best] / a.g.numel()),
        why=_why(best),
        candidates=tuple((candidates / a.g.numel()).tolist()),
        losses=tuple(losses.tolist()),
    )


def _misfit(half: Terms, y: Tensor) -> float:
    scale = float(half.g.square().sum())
    return float((half.hessian(y) - half.g).square().sum()) / scale if scale > 0 else np.inf


def _why(best: int) -> str:
    if best == len(_CANDIDATES) - 1:
        return "auto: the halves agree on nothing; the largest candidate"
    if best == 0:
        return "auto: the halves agree throughout; the smallest candidate"
    return "auto: each half of the trajectories predicts the other best"
