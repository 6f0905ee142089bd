"""Trust region policy optimisation of π_θ on one batch of samples, in torch.

The twin of `trpo.cpp`.

Source: Schulman et al. 2015, Appendix C, with the constants of the authors' code.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from ..derivatives.fisher import FisherProducts, mean_kl
from ..derivatives.settings import TrpoSettings
from ..derivatives.trust_region import trust_region_step
from ..networks.policy import GaussianPolicy, gaussian_entropy, gaussian_log_prob


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
