"""A tanh MLP linearised at its parameters: Jacobian products without automatic differentiation.

With the activations of one forward pass kept, a product costs about as much as the pass itself.
`torch.func` gives the same numbers at several times the cost (tests/numerical/test_trpo.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

Layers = Sequence[tuple[Tensor, Tensor]]


class MlpLinearisation:
    """J v and Jᵀ w of the outputs (M, out) with respect to all weights and biases.

    Args:
        layers: (weight (out, in), bias (out,)) from first to last; tanh between them.
        x: (M, in).

    Attributes:
        output: (M, out).
    """

    def __init__(self, layers: Layers, x: Tensor) -> None:
        self._weights = [weight.detach() for weight, _ in layers]
        self._inputs = [x]  # of each layer
        self._slopes = []  # of each tanh
        for weight, bias in layers[:-1]:
            h = torch.addmm(bias.detach(), self._inputs[-1], weight.detach().T).tanh_()
            self._inputs.append(h)
            self._slopes.append(1 - h * h)
        weight, bias = layers[-1]
        self.output = torch.addmm(bias.detach(), self._inputs[-1], weight.detach().T)

    def jvp(self, directions: Layers) -> Tensor:
        """J v (M, out) of v, one (weight, bias) for each layer."""
        change: Tensor | None = None
        for i, (weight, bias) in enumerate(directions):
            at_output = torch.addmm(bias, self._inputs[i], weight.T)
            if change is not None:
                at_output.addmm_(change, self._weights[i].T)
            change = at_output.mul_(self._slopes[i]) if i < len(self._slopes) else at_output
        assert change is not None
        return change

    def vjp(self, cotangent: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Jᵀ w of w (M, out), one (weight, bias) for each layer."""
        products = []
        for i in reversed(range(len(self._weights))):
            products.append((cotangent.T @ self._inputs[i], cotangent.sum(0)))
            if i > 0:
                cotangent = (cotangent @ self._weights[i]).mul_(self._slopes[i - 1])
        return products[::-1]
