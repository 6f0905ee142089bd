"""Networks with their normalisers folded into the weights, as the virtual rollouts run them."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Sequence

import torch
from torch import Tensor

from ..networks.dynamics import Dynamics
from ..networks.mlp import FORWARD
from ..networks.normaliser import Normaliser
from ..networks.policy import GaussianPolicy

Layers = list[tuple[Tensor, Tensor]]


@dataclasses.dataclass(frozen=True)
class FoldedDynamics:
    """T̂_φ as s' = clip(s + MLP([s, clip(a, −1, 1)]), low, high), ReLU between the layers.

    Attributes:
        layers: (weight (out, in), bias (out,)) from first to last. The first takes s in real units,
            the last gives s' − s in real units.
        low: (D,) least value of a predicted state.
        high: (D,) greatest.
    """

    layers: Layers
    low: Tensor
    high: Tensor

    @classmethod
    @torch.no_grad()
    def of(cls, dynamics: Dynamics) -> typing.Self:
        """The model as it is now; the hidden layers are views of its weights, the rest copies."""
        states, differences = dynamics.states, dynamics.differences
        layers = [(w.detach(), b.detach()) for w, b in dynamics.net.weights_and_biases()]
        layers[0] = _fold_input(*layers[0], states)
        weight, bias = layers[-1]
        layers[-1] = (
            weight * differences.std.unsqueeze(1),
            bias * differences.std + differences.mean,
        )
        reach = dynamics.state_clip * states.std
        return cls(layers, states.mean - reach, states.mean + reach)

    def next_states(self, inputs: Tensor, precision: str = "fp32") -> Tensor:
        """s' (M, D) of [s, clip(a)] (M, D + A), the products in "fp32" or "bf16"."""
        difference = FORWARD[precision](self.layers, torch.relu, inputs)
        return difference.add_(inputs[:, : self.low.numel()]).clamp_(self.low, self.high)

    def clone(self) -> typing.Self:
        """A copy that shares nothing with the model."""
        # Input-major in memory: 1 % faster for 50 rows (MKL in torch 2.13, AMD EPYC, 2026-11-25).
        layers = [
            (weight.T.clone(memory_format=torch.contiguous_format).T, bias.clone())
            for weight, bias in self.layers
        ]
        return dataclasses.replace(
            self, layers=layers, low=self.low.clone(), high=self.high.clone()
        )


@dataclasses.dataclass(frozen=True)
class FoldedPolicies:
    """μ_θ of B policies side by side, tanh between the layers.

    Attributes:
        layers: (weight (B, in, out), bias (B, 1, out)) from first to last, as the products read
            them; the first takes s in real units.
        log_std: (B, 1, A).
    """

    layers: Layers
    log_std: Tensor

    @classmethod
    @torch.no_grad()
    def of(cls, policies: Sequence[GaussianPolicy]) -> typing.Self:
        """The policies as they are now, all of one shape; copied."""
        folded = []
        for policy in policies:
            first, *rest = policy.mean.weights_and_biases()
            folded.append([_fold_input(*first, policy.normaliser), *rest])
        layers = [
            (torch.stack([w.T for w, _ in layer]), torch.stack([b for _, b in layer]).unsqueeze(1))
            for layer in zip(*folded, strict=True)
        ]
        return cls(layers, torch.stack([policy.log_std for policy in policies]).unsqueeze(1))

    def means(self, states: Tensor) -> Tensor:
        """Mean actions (B, M, A) of states (B, M, D)."""
        x = states
        for weight, bias in self.layers[:-1]:
            x = torch.baddbmm(bias, x, weight).tanh_()
        weight, bias = self.layers[-1]
        return torch.baddbmm(bias, x, weight)


def _fold_input(weight: Tensor, bias: Tensor, normaliser: Normaliser) -> tuple[Tensor, Tensor]:
    """(W', b') with W' [s, a] + b' = W [(s − mean)/std, a] + b; a may be empty."""
    dim = normaliser.mean.numel()
    scaled = weight[:, :dim] / normaliser.std
    return torch.cat([scaled, weight[:, dim:]], dim=1), bias - scaled @ normaliser.mean
