"""The two critics of soft actor-critic: Q(s, a), twice."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .mlp import Mlp, fan_in_uniform
from .normaliser import Normaliser


class TwinQ(nn.Module):
    """Q_1 and Q_2 of [(s − mean)/std, a]: ReLU networks that differ by their initial weights.

    Args:
        obs_dim: D, with a context its entries too.
        act_dim: A.
        hidden: sizes of the hidden layers.
        generator: source of the initial weights (CPU).
    """

    def __init__(
        self, obs_dim: int, act_dim: int, hidden: Sequence[int], generator: torch.Generator
    ) -> None:
        super().__init__()
        sizes = (obs_dim + act_dim, *hidden, 1)
        self.nets = nn.ModuleList(Mlp(sizes, "relu", fan_in_uniform, generator) for _ in range(2))
        self.normaliser = Normaliser(obs_dim)
        with torch.no_grad():
            for weight, _ in self._last_layers():
                weight.uniform_(-_LAST_LAYER, _LAST_LAYER, generator=generator)

    def forward(self, obs: Tensor, actions: Tensor) -> Tensor:
        """(2, M) of obs (M, D) and actions (M, A)."""
        inputs = torch.cat([self.normaliser(obs), actions], dim=-1)
        return torch.stack([net(inputs).squeeze(-1) for net in self.nets])

    @torch.no_grad()
    def start_at(self, value: float) -> None:
        """Both are about `value` everywhere, as long as they have not learned anything."""
        for _, bias in self._last_layers():
            bias.fill_(value)

    def first_layers(self) -> list[tuple[nn.Parameter, nn.Parameter]]:
        """(weight (out, D + A), bias (out,)) of both."""
        return [net.weights_and_biases()[0] for net in self.nets if isinstance(net, Mlp)]

    def _last_layers(self) -> list[tuple[nn.Parameter, nn.Parameter]]:
        return [net.weights_and_biases()[-1] for net in self.nets if isinstance(net, Mlp)]


_LAST_LAYER = 3e-3  # Lillicrap et al. 2016, Section 7: the first values are near the bias
