"""Trust region policy optimisation of π_θ on one batch of samples, or of B policies at once.

Source: Schulman et al. 2015, Appendix C, with the constants of the authors' code.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor

from ..krylov import solve_symmetric
from ..networks.linearisation import MlpLinearisation
from ..networks.policy import GaussianPolicy, gaussian_log_prob
from .conjugate_gradient import conjugate_gradients
from .settings import TrpoSettings

_CG_TOLERANCE = 1e-10  # of the residual: in practice `cg_iterations` ends the solve


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
        tolerance=_CG_TOLERANCE,
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


def trpo_updates(
    policies: Sequence[GaussianPolicy],
    obs: Tensor,
    actions: Tensor,
    advantages: Tensor,
    settings: TrpoSettings,
) -> list[TrpoResult]:
    """`trpo_update` of B policies, each on its own samples; writes their θ.

    On the CPU one after the other; elsewhere side by side, where the device is waited for once
    before the line search and once in each of its steps.

    Args:
        policies: of one shape.
        obs: (B, M, D).
        actions: (B, M, A), unclipped.
        advantages: (B, M); standardised here, each task's on its own.

    Raises:
        ValueError: samples are not finite; no policy is written if they go side by side.
    """
    if obs.device.type == "cpu":
        tasks = zip(policies, obs, actions, advantages, strict=True)
        return [trpo_update(*task, settings=settings) for task in tasks]
    return _side_by_side(policies, obs, actions, advantages, settings)


@torch.no_grad()
def _side_by_side(
    policies: Sequence[GaussianPolicy],
    obs: Tensor,
    actions: Tensor,
    advantages: Tensor,
    settings: TrpoSettings,
) -> list[TrpoResult]:
    """`trpo_updates` in batched products."""
    shape = policies[0]
    params = torch.stack([policy.get_params() for policy in policies])
    x = _normalised(policies, obs)
    mean, std = advantages.mean(1, keepdim=True), advantages.std(1, keepdim=True)
    weights = (advantages - mean) / (std + 1e-8)
    fisher = _FisherProducts(shape, params, x)
    old_mean, old_log_std = fisher.output, shape.split_params(params)[1].unsqueeze(1)
    old_log_prob = gaussian_log_prob(actions, old_mean, old_log_std)

    # The gradient of the surrogate at θ_old, where every ratio is 1: one product back.
    z = (actions - old_mean) * torch.exp(-old_log_std)
    by_mean = weights.unsqueeze(2) * z * torch.exp(-old_log_std) / x.shape[1]
    by_log_std = (weights.unsqueeze(2) * (z * z - 1)).mean(1) + settings.entropy_coefficient
    gradient = fisher.flat(fisher.vjp(by_mean), by_log_std)

    def surrogate(mean: Tensor, log_std: Tensor) -> Tensor:
        ratio = torch.exp(gaussian_log_prob(actions, mean, log_std) - old_log_prob)
        bonus = settings.entropy_coefficient * _entropy(log_std).squeeze(1)
        return (ratio * weights).mean(1) + bonus

    def damped_fisher_product(v: Tensor) -> Tensor:
        return fisher(v) + settings.fisher_damping * v

    direction = conjugate_gradients(
        damped_fisher_product, gradient, iterations=settings.cg_iterations, tolerance=_CG_TOLERANCE
    )
    curvature = (direction * damped_fisher_product(direction)).sum(1)
    finite = gradient.isfinite().all(1) & curvature.isfinite()
    if not finite.all():
        wrong = (~finite).nonzero().flatten().tolist()
        raise ValueError(
            f"obs, actions, advantages: expected finite samples, tasks {wrong} are not"
        )
    pending = curvature > 0  # else a zero gradient: there is no direction to go
    length = torch.where(pending, torch.sqrt(2 * settings.max_kl / curvature), 0.0)
    step = direction * length.unsqueeze(1)

    old_value = surrogate(old_mean, old_log_std)
    found, kls, gains = params, torch.zeros_like(old_value), torch.zeros_like(old_value)
    steps = torch.full_like(pending, -1, dtype=torch.int64)
    for halvings in range(settings.line_search_steps):
        if not pending.any():
            break
        candidate = params + settings.line_search_decay**halvings * step
        mean, log_std = shape.mean_and_log_std(candidate, x)
        kl = _mean_kl(old_mean, old_log_std, mean, log_std.unsqueeze(1))
        gain = surrogate(mean, log_std.unsqueeze(1)) - old_value
        accepted = pending & (kl <= settings.kl_tolerance * settings.max_kl) & (gain >= 0)
        found = torch.where(accepted.unsqueeze(1), candidate, found)
        kls, gains = torch.where(accepted, kl, kls), torch.where(accepted, gain, gains)
        steps = torch.where(accepted, halvings, steps)
        pending &= ~accepted

    for policy, theta in zip(policies, found, strict=True):
        policy.set_params(theta)
    entropies = _entropy(shape.split_params(found)[1])
    columns = (kls.tolist(), gains.tolist(), entropies.tolist(), steps.tolist())
    return [TrpoResult(*row) for row in zip(*columns, strict=True)]


def _normalised(policies: Sequence[GaussianPolicy], obs: Tensor) -> Tensor:
    """Each policy's own normalisation of its states (B, M, D)."""
    means = torch.stack([policy.normaliser.mean for policy in policies])
    stds = torch.stack([policy.normaliser.std for policy in policies])
    return (obs - means.unsqueeze(1)) / stds.unsqueeze(1)


class _FisherProducts:
    """v ↦ F v in Gauss–Newton form: one Jacobian product forward, one back.

    F = E[J_μᵀ Σ⁻¹ J_μ] for the mean's parameters and 2 I for log_std: the Hessian of the mean KL
    divergence at θ_old, without second derivatives of the network. For params (P,) and x (M, D), or
    (B, P) and (B, M, D).
    """

    def __init__(self, policy: GaussianPolicy, params: Tensor, x: Tensor) -> None:
        layers, log_std = policy.split_params(params)
        self._policy = policy
        self._mean = MlpLinearisation(layers, x)
        self._precision = torch.exp(-2 * log_std).unsqueeze(-2) / x.shape[-2]
        self.output, self.vjp = self._mean.output, self._mean.vjp

    def __call__(self, v: Tensor) -> Tensor:
        layers, log_std = self._policy.split_params(v)
        product = self._mean.vjp(self._mean.jvp(layers) * self._precision)
        return self.flat(product, 2 * log_std)

    def flat(self, layers: Sequence[tuple[Tensor, Tensor]], log_std: Tensor) -> Tensor:
        """The inverse of `GaussianPolicy.split_params`."""
        leading = log_std.shape[:-1]
        parts = [part.reshape(*leading, -1) for pair in layers for part in pair]
        return torch.cat([*parts, log_std], dim=-1)


def _entropy(log_std: Tensor) -> Tensor:
    """Entropy of the Gaussian up to a constant: Σ log σ."""
    return log_std.sum(-1)


def _mean_kl(old_mean: Tensor, old_log_std: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    """Mean over samples of KL(N_old ‖ N_new), diagonal covariances."""
    variance_ratio = torch.exp(2 * (old_log_std - log_std))
    distance = ((old_mean - mean) * torch.exp(-log_std)) ** 2
    return (log_std - old_log_std + 0.5 * (variance_ratio + distance - 1)).sum(-1).mean(-1)
