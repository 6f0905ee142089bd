"""A tanh MLP linearised at its parameters: derivatives without automatic differentiation.

With the activations of one forward pass kept, a product costs about as much as the pass itself.
`torch.func` gives the same numbers at several times the cost (tests/numerical/test_trpo.py,
tests/numerical/test_scores.py).
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ..networks.mlp import affine

Layers = Sequence[tuple[Tensor, Tensor]]


class MlpLinearisation:
    """J v and Jᵀ w of the outputs (M, out) with respect to all weights and biases.

    Or of B networks side by side, each on its own inputs: then every shape here, of the arguments,
    the attributes, and what the products take and give, has B in front.

    Args:
        layers: (weight (out, in), bias (out,)) from first to last; tanh between them.
        x: (M, in).

    Attributes:
        output: (M, out).
        weights: of each layer.
        inputs: of each layer, (M, in); all but the first are tanh outputs h.
        slopes: 1 − h², of each tanh.
    """

    def __init__(self, layers: Layers, x: Tensor) -> None:
        self.weights = [weight.detach() for weight, _ in layers]
        self.inputs = [x]
        self.slopes = []
        for weight, bias in layers[:-1]:
            h = affine(self.inputs[-1], weight.detach(), bias.detach()).tanh_()
            self.inputs.append(h)
            self.slopes.append(1 - h * h)
        weight, bias = layers[-1]
        self.output = affine(self.inputs[-1], weight.detach(), bias.detach())

    def tangents(self, directions: Layers) -> list[Tensor]:
        """What a step along v, one (weight, bias) per layer, changes: of each tanh, of the output.

        The last one is J v (M, out).
        """
        changes: list[Tensor] = []
        for i, (weight, bias) in enumerate(directions):
            change = affine(self.inputs[i], weight, bias)
            if i > 0:
                _add_product(change, changes[-1], self.weights[i].mT)
            changes.append(change.mul_(self.slopes[i]) if i < len(self.slopes) else change)
        return changes

    def jvp(self, directions: Layers) -> Tensor:
        """J v (M, out) of v, one (weight, bias) for each layer."""
        return self.tangents(directions)[-1]

    def vjp(self, cotangent: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Jᵀ w of w (M, out), one (weight, bias) for each layer."""
        products = []
        for i in reversed(range(len(self.weights))):
            products.append((cotangent.mT @ self.inputs[i], cotangent.sum(-2)))
            if i > 0:
                cotangent = (cotangent @ self.weights[i]).mul_(self.slopes[i - 1])
        return products[::-1]


def _add_product(total: Tensor, a: Tensor, b: Tensor) -> None:
    """total += a b, of matrices or of B matrices side by side."""
    if total.ndim == 2:
        total.addmm_(a, b)
    else:
        total.baddbmm_(a, b)


class MlpCurvature:
    """The derivative of Jᵀ λ along a direction v of the parameters, for a fixed λ (M, out).

    Of one network.

    With a_i the adjoint of λ at layer i's output and h_i the layer's input, Jᵀ λ has the blocks
    a_iᵀ h_i, and a_{i−1} = (a_i W_i) (1 − h_i²). Differentiating both along v gives one more
    backward pass, whose cotangent may be given a change of its own.

    Args:
        mlp: the linearisation.
        cotangent: λ.
    """

    def __init__(self, mlp: MlpLinearisation, cotangent: Tensor) -> None:
        self._mlp = mlp
        self._adjoints = [cotangent]  # of each layer's output, from last to first
        self._bends = []  # derivative of (a W)(1 − h²) in h, from last tanh to first
        for i in reversed(range(1, len(mlp.weights))):
            at_input = self._adjoints[-1] @ mlp.weights[i]
            self._bends.append(-2 * at_input * mlp.inputs[i])
            self._adjoints.append(at_input * mlp.slopes[i - 1])
        self._adjoints.reverse()
        self._bends.reverse()

    def product(
        self, directions: Layers, tangents: Sequence[Tensor], cotangent_change: Tensor
    ) -> list[tuple[Tensor, Tensor]]:
        """d(Jᵀ λ) (weight, bias) per layer, when θ changes by v and λ by `cotangent_change`.

        Args:
            directions: v.
            tangents: `MlpLinearisation.tangents` of v.
            cotangent_change: (M, out).
        """
        mlp, change = self._mlp, cotangent_change
        products = []
        for i in reversed(range(len(mlp.weights))):
            weight = change.T @ mlp.inputs[i]
            if i > 0:
                weight.addmm_(self._adjoints[i].T, tangents[i - 1])
            products.append((weight, change.sum(0)))
            if i > 0:
                at_input = (change @ mlp.weights[i]).addmm_(self._adjoints[i], directions[i][0])
                change = at_input.mul_(mlp.slopes[i - 1])
                change.addcmul_(self._bends[i - 1], tangents[i - 1])
        return products[::-1]
