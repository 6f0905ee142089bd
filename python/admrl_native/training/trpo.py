"""Trust region policy optimisation of π_θ on one batch of samples.

Source: Schulman et al. 2015, Appendix C, with the constants of the authors' code.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from ..krylov import solve_symmetric
from ..networks.linearisation import MlpLinearisation
from ..networks.policy import GaussianPolicy, gaussian_log_prob
from .settings import TrpoSettings


@dataclasses.dataclass(frozen=True)
class TrpoResult:
    """What one update did.

    Attributes:
        kl: mean KL(π_old ‖ π_new), nats.
        improvement: of the surrogate.
        entropy: of the new policy, nats.
        line_search_steps: halvings made; -1: no step was accepted and θ is unchanged.
    """

    kl: float
    improvement: float
    entropy: float
    line_search_steps: int


def trpo_update(
    policy: GaussianPolicy,
    obs: Tensor,
    actions: Tensor,
    advantages: Tensor,
    settings: TrpoSettings,
) -> TrpoResult:
    """One natural-gradient step with line search; writes θ of `policy`.

    maximise  E[π_θ(a|s)/π_old(a|s) · Â] + c · entropy(π_θ)   subject to   E[KL(π_old ‖ π_θ)] ≤ δ

    Args:
        obs: (M, D).
        actions: (M, A), unclipped.
        advantages: (M,); standardised here.
    """
    params = policy.get_params()
    x = policy.normaliser(obs)
    weights = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
    with torch.no_grad():
        old_mean, old_log_std = policy.mean_and_log_std(params, x)
        old_log_std = old_log_std.clone()
        old_log_prob = gaussian_log_prob(actions, old_mean, old_log_std)

    def surrogate(theta: Tensor) -> Tensor:
        mean, log_std = policy.mean_and_log_std(theta, x)
        ratio = torch.exp(gaussian_log_prob(actions, mean, log_std) - old_log_prob)
        return (ratio * weights).mean() + settings.entropy_coefficient * _entropy(log_std)

    gradient, old_value = torch.func.grad_and_value(surrogate)(params)
    fisher = _FisherProducts(policy, params, x)

    def damped_fisher_product(v: Tensor) -> Tensor:
        return fisher(v) + settings.fisher_damping * v

    solve = solve_symmetric(
        damped_fisher_product,
        gradient,
        method="cg",
        damping=0.0,
        max_iterations=settings.cg_iterations,
        tolerance=1e-10,
    )
    direction = solve.solution
    curvature = direction @ damped_fisher_product(direction)
    if not curvature > 0:  # a zero gradient: there is no direction to go
        return TrpoResult(0.0, 0.0, _entropy(old_log_std).item(), -1)
    step = direction * torch.sqrt(2 * settings.max_kl / curvature)

    with torch.no_grad():
        for halvings in range(settings.line_search_steps):
            candidate = params + settings.line_search_decay**halvings * step
            mean, log_std = policy.mean_and_log_std(candidate, x)
            kl = _mean_kl(old_mean, old_log_std, mean, log_std)
            gain = surrogate(candidate) - old_value
            if kl <= settings.kl_tolerance * settings.max_kl and gain >= 0:
                policy.set_params(candidate)
                return TrpoResult(kl.item(), gain.item(), _entropy(log_std).item(), halvings)
    return TrpoResult(0.0, 0.0, _entropy(old_log_std).item(), -1)


class _FisherProducts:
    """v ↦ F v in Gauss–Newton form: one Jacobian product forward, one back.

    F = E[J_μᵀ Σ⁻¹ J_μ] for the mean's parameters and 2 I for log_std: the Hessian of the mean KL
    divergence at θ_old, without second derivatives of the network.
    """

    def __init__(self, policy: GaussianPolicy, params: Tensor, x: Tensor) -> None:
        layers, log_std = policy.split_params(params)
        self._policy = policy
        self._mean = MlpLinearisation(layers, x)
        self._precision = torch.exp(-2 * log_std) / x.shape[0]

    def __call__(self, v: Tensor) -> Tensor:
        layers, log_std = self._policy.split_params(v)
        product = self._mean.vjp(self._mean.jvp(layers) * self._precision)
        flat = [part.reshape(-1) for pair in product for part in pair]
        return torch.cat([*flat, 2 * log_std])


def _entropy(log_std: Tensor) -> Tensor:
    """Entropy of the Gaussian up to a constant: Σ log σ."""
    return log_std.sum()


def _mean_kl(old_mean: Tensor, old_log_std: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    """Mean over samples of KL(N_old ‖ N_new), diagonal covariances."""
    variance_ratio = torch.exp(2 * (old_log_std - log_std))
    distance = ((old_mean - mean) * torch.exp(-log_std)) ** 2
    return (log_std - old_log_std + 0.5 * (variance_ratio + distance - 1)).sum(-1).mean()
