"""One step uphill within a trust region: conjugate gradients, then a line search.

Source: Schulman et al. 2015, Appendix C.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import torch
from torch import Tensor

from ..krylov import solve_symmetric
from .settings import TrpoSettings

CG_TOLERANCE = 1e-10  # of the residual: in practice `cg_iterations` ends the solve


@dataclasses.dataclass(frozen=True)
class TrustRegionStep:
    """Where a step went.

    Attributes:
        params: θ (P,), unchanged if no step was accepted.
        kl: mean divergence of the new policy from the old one, nats.
        improvement: of the surrogate.
        line_search_steps: shortenings made; -1: no step was accepted.
    """

    params: Tensor
    kl: float
    improvement: float
    line_search_steps: int


@torch.no_grad()
def trust_region_step(
    params: Tensor,
    gradient: Tensor,
    fisher_product: Callable[[Tensor], Tensor],
    evaluate: Callable[[Tensor], tuple[Tensor, Tensor]],
    settings: TrpoSettings,
) -> TrustRegionStep:
    """The longest step along F⁻¹ g, halved until it improves the surrogate and the KL allows it.

    Args:
        params: θ (P,).
        gradient: g (P,) of the surrogate at θ.
        fisher_product: F v (P,) of v (P,), F the Hessian of the mean KL divergence at θ.
        evaluate: KL () and gain of the surrogate () at a candidate (P,).
        settings: of TRPO; the entropy coefficient is not used.
    """

    def damped_fisher_product(v: Tensor) -> Tensor:
        return fisher_product(v) + settings.fisher_damping * v

    solve = solve_symmetric(
        damped_fisher_product,
        gradient,
        method="cg",
        damping=0.0,
        max_iterations=settings.cg_iterations,
        tolerance=CG_TOLERANCE,
    )
    direction = solve.solution
    curvature = direction @ damped_fisher_product(direction)
    if not curvature > 0:  # a zero gradient: there is no direction to go
        return TrustRegionStep(params, 0.0, 0.0, -1)
    step = direction * torch.sqrt(2 * settings.max_kl / curvature)

    for shortenings in range(settings.line_search_steps):
        candidate = params + settings.line_search_decay**shortenings * step
        kl, gain = evaluate(candidate)
        if kl <= settings.kl_tolerance * settings.max_kl and gain >= 0:
            return TrustRegionStep(candidate, kl.item(), gain.item(), shortenings)
    return TrustRegionStep(params, 0.0, 0.0, -1)
