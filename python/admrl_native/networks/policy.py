"""The policy π_θ: a Gaussian whose mean is an MLP of the normalised state."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .mlp import Mlp, mlp_forward, normalised_columns
from .normaliser import Normaliser
from .settings import NetworkSettings

_LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)


class GaussianPolicy(nn.Module):
    """π_θ(a|s) = N(μ_θ((s − mean)/std), diag exp(2 log_std)), actions in [−1, 1] units, unclipped.

    The order of the parameters θ [P]: the layers' weights and biases from first to last, then
    log_std. The normaliser is the policy's own copy: a stored policy keeps
    the one it was made with.
    """

    def __init__(
        self, obs_dim: int, act_dim: int, settings: NetworkSettings, generator: torch.Generator
    ) -> None:
        super().__init__()
        sizes = (obs_dim, *settings.policy_hidden, act_dim)
        self.mean = Mlp(sizes, "tanh", normalised_columns(), generator)
        with torch.no_grad():
            self.mean.weights_and_biases()[-1][0].mul_(settings.policy_output_scale)
        self.log_std = nn.Parameter(torch.full((act_dim,), settings.initial_log_std))
        self.normaliser = Normaliser(obs_dim)

    def forward(self, obs: Tensor) -> Tensor:
        """Mean action (…, A) of obs (…, D)."""
        mean: Tensor = self.mean(self.normaliser(obs))
        return mean

    def log_prob(self, obs: Tensor, actions: Tensor) -> Tensor:
        """log π_θ(a|s), shape (…,), of obs (…, D) and actions (…, A)."""
        return gaussian_log_prob(actions, self(obs), self.log_std)

    def adopt_normaliser(self, states: Normaliser) -> None:
        """Takes on other statistics of the states and stays the same policy."""
        self.normaliser.adopt(states, self.mean.weights_and_biases()[0])

    # θ as one vector

    def _ordered_params(self) -> list[nn.Parameter]:
        return [*self.mean.parameters(), self.log_std]

    @torch.no_grad()
    def get_params(self) -> Tensor:
        """θ as one vector (P,), a copy."""
        return torch.cat([p.reshape(-1) for p in self._ordered_params()])

    @torch.no_grad()
    def set_params(self, params: Tensor) -> None:
        """Writes θ from one vector (P,)."""
        pieces = torch.split(params, [p.numel() for p in self._ordered_params()])
        for p, piece in zip(self._ordered_params(), pieces, strict=True):
            p.copy_(piece.view_as(p))

    def split_params(self, params: Tensor) -> tuple[list[tuple[Tensor, Tensor]], Tensor]:
        """Views of vectors (…, P) in the shapes of θ: (weight, bias) of each layer, log_std.

        Their shapes have the leading dimensions of params in front.
        """
        ordered, leading = self._ordered_params(), params.shape[:-1]
        pieces = torch.split(params, [p.numel() for p in ordered], dim=-1)
        shaped = [v.view(*leading, *p.shape) for v, p in zip(pieces, ordered, strict=True)]
        return list(zip(shaped[:-1:2], shaped[1:-1:2], strict=True)), shaped[-1]

    def mean_and_log_std(self, params: Tensor, normalised_obs: Tensor) -> tuple[Tensor, Tensor]:
        """μ (M, A) and log_std (A,) as a pure function of θ (P,), for functional derivatives.

        Or of B policies of this shape: μ (B, M, A) and log_std (B, A) of (B, P) and (B, M, D).
        """
        layers, log_std = self.split_params(params)
        return mlp_forward(layers, torch.tanh, normalised_obs), log_std


def gaussian_log_prob(actions: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    """log N(a; μ, diag σ²) summed over the last dimension."""
    z = (actions - mean) * torch.exp(-log_std)
    return -(0.5 * z * z + log_std + _LOG_SQRT_2PI).sum(-1)


def gaussian_entropy(log_std: Tensor) -> Tensor:
    """Entropy (…,) of N(μ, diag σ²) in nats, of log σ (…, A)."""
    return (log_std + (0.5 + _LOG_SQRT_2PI)).sum(-1)
