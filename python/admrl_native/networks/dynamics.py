"""The learned dynamics model T̂_φ."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .mlp import FORWARD, Mlp, truncated_normal
from .normaliser import Normaliser
from .settings import NetworkSettings


class Dynamics(nn.Module):
    """Deterministic model s' = s + μ_Δ + σ_Δ · MLP([(s − mean)/std, clip(a, −1, 1)]).

    Source: SLBO (Luo et al. 2018), as the authors ran it.

    Args:
        state_clip: predicted states are clipped to mean ± state_clip · std.
    """

    def __init__(
        self,
        obs_dim: int,
        act_dim: int,
        settings: NetworkSettings,
        state_clip: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        sizes = (obs_dim + act_dim, *settings.dynamics_hidden, obs_dim)
        initialise = truncated_normal(settings.dynamics_initial_std)
        self.net = Mlp(sizes, "relu", initialise, generator)
        self.states = Normaliser(obs_dim)
        self.differences = Normaliser(obs_dim)
        self.state_clip = state_clip

    @torch.no_grad()
    def update_normalisers(self, obs: Tensor, next_obs: Tensor) -> None:
        """Takes new real transitions obs, next_obs (M, D) into the running statistics."""
        self.states.update(obs)
        self.differences.update(next_obs - obs)

    def normalised_difference(
        self, obs: Tensor, actions: Tensor, precision: str = "fp32"
    ) -> Tensor:
        """The prediction of ((s' − s) − μ_Δ)/σ_Δ, shape (M, D)."""
        inputs = torch.cat([self.states(obs), actions.clamp(-1, 1)], dim=-1)
        return FORWARD[precision](self.net.weights_and_biases(), torch.relu, inputs)

    def loss(
        self, obs: Tensor, actions: Tensor, next_obs: Tensor, precision: str = "fp32"
    ) -> Tensor:
        """Mean over the batch of the root mean square error in units of σ_Δ, shape ().

        Args:
            obs: (M, D).
            actions: (M, A).
            next_obs: (M, D).
            precision: of the products, "fp32" or "bf16".

        Source: the authors' code (root per sample, mean over the batch).
        """
        target = self.differences(next_obs - obs)
        error = self.normalised_difference(obs, actions, precision) - target
        norms: Tensor = torch.linalg.vector_norm(error, dim=-1)
        return norms.mean() / math.sqrt(error.shape[-1])

    def forward(self, obs: Tensor, actions: Tensor) -> Tensor:
        """Predicted next states (M, D) of obs (M, D) and actions (M, A)."""
        difference = self.normalised_difference(obs, actions)
        predicted = obs + self.differences.mean + self.differences.std * difference
        reach = self.state_clip * self.states.std
        return predicted.clamp(self.states.mean - reach, self.states.mean + reach)
