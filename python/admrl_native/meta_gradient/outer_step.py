"""The outer step: θ moves so that the adapted policies of all tasks get better.

    maximise  mean_b E[π_θ'_b(θ)/π_θ'_b,old · Â]   subject to   mean_b E[KL(θ'_b,old ‖ θ'_b(θ))] ≤ δ

The divergence is 0 with gradient 0 at θ_old, so that its Hessian there is mean_b J_bᵀ F_b J_b, with
J_b the Jacobian of the adaptation and F_b the Fisher matrix of the adapted policy: no derivative of
J_b is needed.

Source: Finn et al. 2017, Section 5.3 (TRPO as the meta-optimiser); Schulman et al. 2015.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..derivatives.fisher import FisherProducts, mean_kl
from ..derivatives.settings import TrpoSettings
from ..derivatives.trust_region import TrustRegionStep, trust_region_step
from ..networks.policy import GaussianPolicy
from .adapted_task import AdaptedTask


def meta_gradient(tasks: Sequence[AdaptedTask]) -> Tensor:
    """d/dθ of the mean return of the adapted policies (P,)."""
    return torch.stack([task.gradient() for task in tasks]).mean(0)


def outer_step(
    policy: GaussianPolicy, tasks: Sequence[AdaptedTask], settings: TrpoSettings
) -> TrustRegionStep:
    """A trust-region step of θ; writes θ of `policy`.

    Args:
        policy: at the θ that every task adapted from.
        tasks: of the meta-batch; of policies of the same shape.
        settings: the trust region; the entropy coefficient is not used.
    """
    region = AdaptedRegion(policy, tasks)
    params = policy.get_params().to(tasks[0].params)
    step = trust_region_step(
        params, meta_gradient(tasks), region.fisher_product, region.evaluate, settings
    )
    policy.set_params(step.params)
    return step


class AdaptedRegion:
    """Divergence and gain of the adapted policies as functions of θ.

    Args: as `outer_step`.
    """

    def __init__(self, policy: GaussianPolicy, tasks: Sequence[AdaptedTask]) -> None:
        self._policy, self._tasks = policy, tasks
        self._fishers = [FisherProducts(policy, task.params, task.x) for task in tasks]

    def fisher_product(self, v: Tensor) -> Tensor:
        """mean_b J_bᵀ F_b J_b v (P,) of v (P,)."""
        total = torch.zeros_like(v)
        for task, fisher in zip(self._tasks, self._fishers, strict=True):
            total += task.backward(fisher(task.forward(v)))
        return total / len(self._tasks)

    def evaluate(self, params: Tensor) -> tuple[Tensor, Tensor]:
        """Mean KL () and mean gain () at another θ (P,)."""
        kls, gains = [], []
        for task in self._tasks:
            adapted = task.adapted_at(params)
            mean, log_std = self._policy.mean_and_log_std(adapted, task.x)
            kls.append(mean_kl(task.old_mean, task.old_log_std, mean, log_std))
            gains.append(task.return_change(mean, log_std))
        return torch.stack(kls).mean(), torch.stack(gains).mean()
