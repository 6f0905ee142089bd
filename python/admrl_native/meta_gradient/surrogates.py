"""What the inner step climbs: surrogates whose gradient at the sampling policy is Σ_t w_t ∇log π_t.

With ρ_t = π_θ(a_t|s_t)/π_old(a_t|s_t), w_t the weights and sums within episodes,

    lvc          Σ_t w_t ρ_t
    dice         Σ_t w_t (Π_{u≤t} ρ_u − Π_{u<t} ρ_u)
    first-order  as lvc, but the step is a constant: nothing is differentiated through it

They agree in the gradient at θ_old and differ in the Hessian there, which is what the meta-gradient
needs. Those of lvc and dice are two of the Hessian estimators of the task gradient: per-step, which
leaves out the products of two different time steps and is biased, and causal, which is not.

Source: Foerster et al. 2018 (DiCE); Farquhar et al. 2019 (its form with advantages); Rothfuss et
al. 2019 (LVC, Section 5); Finn et al. 2017, Section 5.2 (first order).
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from ..derivatives.scores import ScoreProducts
from ..task_gradient.hessian import causal_hessian, per_step_hessian
from ..task_gradient.scans import EpisodeScans
from .weighted import WeightedTrajectories

SURROGATES = ("lvc", "dice", "first-order")


def surrogate(name: str, samples: WeightedTrajectories, log_ratio: Tensor) -> Tensor:
    """The surrogate () as a differentiable function of log ρ (R, T)."""
    w = samples.weights.to(log_ratio)
    if name == "dice":
        log_product = samples.sum_to_here(log_ratio)
        return (w * (log_product.exp() - (log_product - log_ratio).exp())).sum()
    return (w * log_ratio.exp()).sum()


def surrogate_hessian(
    name: str, samples: WeightedTrajectories, scores: ScoreProducts
) -> Callable[[Tensor], Tensor] | None:
    """Its Hessian at θ_old, as products with vectors (P,); None: nothing is to pass through.

    Args:
        scores: of the same samples, at θ_old.
    """
    weights = samples.weights.flatten()
    if name == "dice":
        return causal_hessian(scores, EpisodeScans(samples.trajectories), weights)
    return per_step_hessian(scores, weights) if name == "lvc" else None


def check_surrogate(name: str) -> None:
    """Raises ValueError unless there is a surrogate of this name."""
    if name not in SURROGATES:
        raise ValueError(f"surrogate: expected one of {', '.join(SURROGATES)}, got {name!r}")
