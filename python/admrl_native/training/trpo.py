"""Trust region policy optimisation of π_θ on one batch of samples, or of B policies at once.

Source: Schulman et al. 2015, Appendix C, with the constants of the authors' code.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor

from ..krylov import NotFiniteError
from ..networks.policy import GaussianPolicy, gaussian_entropy, gaussian_log_prob
from .conjugate_gradient import conjugate_gradients
from .fisher import FisherProducts, mean_kl
from .settings import TrpoSettings
from .trust_region import CG_TOLERANCE, trust_region_step


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

    Of the entropy Σ log σ is enough here: the rest of it is constant.

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
        return (ratio * weights).mean() + settings.entropy_coefficient * log_std.sum(-1)

    gradient, old_value = torch.func.grad_and_value(surrogate)(params)

    def evaluate(candidate: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_std = policy.mean_and_log_std(candidate, x)
        return mean_kl(old_mean, old_log_std, mean, log_std), surrogate(candidate) - old_value

    fisher = FisherProducts(policy, params, x)
    step = trust_region_step(params, gradient, fisher, evaluate, settings)
    policy.set_params(step.params)
    entropy = gaussian_entropy(policy.split_params(step.params)[1]).item()
    return TrpoResult(step.kl, step.improvement, entropy, step.line_search_steps)


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
    fisher = FisherProducts(shape, params, x)
    old_mean, old_log_std = fisher.output, shape.split_params(params)[1].unsqueeze(1)
    old_log_prob = gaussian_log_prob(actions, old_mean, old_log_std)

    # The gradient of the surrogate at θ_old, where every ratio is 1: one product back.
    z = (actions - old_mean) * torch.exp(-old_log_std)
    by_mean = weights.unsqueeze(2) * z * torch.exp(-old_log_std) / x.shape[1]
    by_log_std = (weights.unsqueeze(2) * (z * z - 1)).mean(1) + settings.entropy_coefficient
    gradient = fisher.flat(fisher.vjp(by_mean), by_log_std)

    def surrogate(mean: Tensor, log_std: Tensor) -> Tensor:
        ratio = torch.exp(gaussian_log_prob(actions, mean, log_std) - old_log_prob)
        bonus = settings.entropy_coefficient * log_std.sum(-1).squeeze(1)
        return (ratio * weights).mean(1) + bonus

    def damped_fisher_product(v: Tensor) -> Tensor:
        return fisher(v) + settings.fisher_damping * v

    direction = conjugate_gradients(
        damped_fisher_product, gradient, iterations=settings.cg_iterations, tolerance=CG_TOLERANCE
    )
    curvature = (direction * damped_fisher_product(direction)).sum(1)
    finite = gradient.isfinite().all(1) & curvature.isfinite()
    if not finite.all():
        wrong = (~finite).nonzero().flatten().tolist()
        raise NotFiniteError(
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
        kl = mean_kl(old_mean, old_log_std, mean, log_std.unsqueeze(1))
        gain = surrogate(mean, log_std.unsqueeze(1)) - old_value
        accepted = pending & (kl <= settings.kl_tolerance * settings.max_kl) & (gain >= 0)
        found = torch.where(accepted.unsqueeze(1), candidate, found)
        kls, gains = torch.where(accepted, kl, kls), torch.where(accepted, gain, gains)
        steps = torch.where(accepted, halvings, steps)
        pending &= ~accepted

    for policy, theta in zip(policies, found, strict=True):
        policy.set_params(theta)
    entropies = gaussian_entropy(shape.split_params(found)[1])
    columns = (kls.tolist(), gains.tolist(), entropies.tolist(), steps.tolist())
    return [TrpoResult(*row) for row in zip(*columns, strict=True)]


def _normalised(policies: Sequence[GaussianPolicy], obs: Tensor) -> Tensor:
    """Each policy's own normalisation of its states (B, M, D)."""
    means = torch.stack([policy.normaliser.mean for policy in policies])
    stds = torch.stack([policy.normaliser.std for policy in policies])
    return (obs - means.unsqueeze(1)) / stds.unsqueeze(1)
