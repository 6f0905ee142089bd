"""The value function V of one task and one policy."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .mlp import Mlp, normalised_columns
from .normaliser import Normaliser
from .settings import NetworkSettings


class ValueFunction(nn.Module):
    """V(s) = shift + scale · MLP((s − mean)/std).

    `shift` and `scale` are 0 and 1 as in the authors' code unless the value fit normalises its
    targets (`ValueFitSettings.normalise_targets`).
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, obs_dim: int, settings: NetworkSettings, generator: torch.Generator) -> None:
        super().__init__()
        sizes = (obs_dim, *settings.value_hidden, 1)
        self.net = Mlp(sizes, "tanh", normalised_columns(), generator)
        self.normaliser = Normaliser(obs_dim)
        self.register_buffer("shift", torch.zeros(()))
        self.register_buffer("scale", torch.ones(()))

    def forward(self, obs: Tensor) -> Tensor:
        """V, shape (…,), of obs (…, D)."""
        value: Tensor = self.shift + self.scale * self.net(self.normaliser(obs)).squeeze(-1)
        return value

    @torch.no_grad()
    def rescale(self, shift: Tensor, scale: Tensor) -> None:
        """Changes shift and scale and, with them, the last layer, so that V stays the same.

        Source: van Hasselt et al. 2016 (PopArt), Section 2.
        """
        weight, bias = self.net.weights_and_biases()[-1]
        weight.mul_(self.scale / scale)
        bias.copy_((self.scale * bias + self.shift - shift) / scale)
        self.shift.copy_(shift)
        self.scale.copy_(scale)
