"""Multilayer perceptrons and their initialisations."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from .rounded import rounded_linear

Initialiser = Callable[[Tensor, torch.Generator], None]


class Mlp(nn.Module):
    """Linear layers with one activation between them and none after the last.

    Args:
        sizes: input size, hidden sizes, output size.
        activation: "tanh" or "relu".
        initialise: fills each weight (out, in); biases start at 0.
        generator: source of the initial weights (CPU).
    """

    def __init__(
        self,
        sizes: Sequence[int],
        activation: str,
        initialise: Initialiser,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.activation = {"tanh": torch.tanh, "relu": torch.relu}[activation]
        self.layers = nn.ModuleList(nn.Linear(i, o) for i, o in itertools.pairwise(sizes))
        with torch.no_grad():
            for weight, bias in self.weights_and_biases():
                initialise(weight, generator)
                bias.zero_()

    def forward(self, x: Tensor) -> Tensor:
        return mlp_forward(self.weights_and_biases(), self.activation, x)

    def weights_and_biases(self) -> list[tuple[nn.Parameter, nn.Parameter]]:
        """(weight (out, in), bias (out,)) of each layer, from first to last."""
        parameters = list(self.parameters())
        return list(zip(parameters[::2], parameters[1::2], strict=True))


def mlp_forward(
    layers: Sequence[tuple[Tensor, Tensor]], activation: Callable[[Tensor], Tensor], x: Tensor
) -> Tensor:
    """x (…, in) through layers of (weight (out, in), bias (out,)); the last one is linear.

    Or B networks side by side: x (B, M, in), weights (B, out, in), biases (B, out).
    """
    *hidden, (weight, bias) = layers
    for w, b in hidden:
        x = activation(affine(x, w, b))
    return affine(x, weight, bias)


def rounded_mlp_forward(
    layers: Sequence[tuple[Tensor, Tensor]], activation: Callable[[Tensor], Tensor], x: Tensor
) -> Tensor:
    """`mlp_forward` of x (M, in) in the precision bf16: in every layer but the first."""
    (weight, bias), *later = layers
    x = functional.linear(x, weight, bias)
    for w, b in later:
        x = rounded_linear(activation(x), w, b)
    return x


FORWARD = {"fp32": mlp_forward, "bf16": rounded_mlp_forward}  # by precision


def affine(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x Wᵀ + b of one layer, or of the layers of B networks side by side, as in `mlp_forward`."""
    if weight.ndim == 2:
        return functional.linear(x, weight, bias)
    return torch.baddbmm(bias.unsqueeze(-2), x, weight.mT)


def normalised_columns(scale: float = 1.0) -> Initialiser:
    """Gaussian weights, each output unit's scaled to the norm `scale`."""

    def initialise(weight: Tensor, generator: torch.Generator) -> None:
        weight.normal_(generator=generator)
        weight *= scale / weight.norm(dim=1, keepdim=True)

    return initialise


def fan_in_uniform(weight: Tensor, generator: torch.Generator) -> None:
    """Uniform weights (out, in) between ±1/√in."""
    bound = weight.shape[1] ** -0.5
    weight.uniform_(-bound, bound, generator=generator)


def truncated_normal(std: float) -> Initialiser:
    """Gaussian weights of standard deviation `std`, cut at two standard deviations."""

    def initialise(weight: Tensor, generator: torch.Generator) -> None:
        nn.init.trunc_normal_(weight, std=std, a=-2 * std, b=2 * std, generator=generator)

    return initialise
