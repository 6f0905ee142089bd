"""Divergence of Gaussian policies with MLP means, and products with its Hessian."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..networks.policy import GaussianPolicy
from .linearisation import MlpLinearisation


class FisherProducts:
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


def mean_kl(old_mean: Tensor, old_log_std: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    """Mean over samples of KL(N_old ‖ N_new), diagonal covariances."""
    variance_ratio = torch.exp(2 * (old_log_std - log_std))
    distance = ((old_mean - mean) * torch.exp(-log_std)) ** 2
    return (log_std - old_log_std + 0.5 * (variance_ratio + distance - 1)).sum(-1).mean(-1)
