"""Fits V to returns by Adam on shuffled minibatches."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from .._native import _core
from ..networks.value import ValueFunction
from .settings import ValueFitSettings

FloatArray = npt.NDArray[np.float32]


class ValueFit:
    """One task's value optimiser; its Adam moments live as long as the value function.

    On the CPU a fit is one native call (`core/value_fit`), elsewhere a loop in torch: the same
    minibatches, the same update.

    Args:
        value: the function to fit; its parameters are written.
    """

    def __init__(self, value: ValueFunction, settings: ValueFitSettings) -> None:
        self.value = value
        self.settings = settings
        self.optimiser = torch.optim.Adam(value.net.parameters(), lr=settings.learning_rate)
        for p in value.net.parameters():  # made here, so that both ways find them
            self.optimiser.state[p] = {
                "step": torch.zeros(()),
                "exp_avg": torch.zeros_like(p),
                "exp_avg_sq": torch.zeros_like(p),
            }

    def fit(self, obs: Tensor, returns: Tensor, generator: torch.Generator) -> float:
        """Passes `epochs` times over obs (M, D) and returns (M,) in minibatches.

        Returns:
            The mean loss, ½(V − return)² in the units of the fit, over the last epoch.

        Determinism: the same generator state gives the same bits on one device.
        """
        value, settings = self.value, self.settings
        if settings.normalise_targets:
            value.rescale(returns.mean(), returns.std().clamp(min=1e-3))
        x = value.normaliser(obs)
        targets = (returns - value.shift) / value.scale
        order = torch.stack(
            [
                torch.randperm(x.shape[0], generator=generator, device=obs.device)
                for _ in range(settings.epochs)
            ]
        )
        fit = self._fit_native if obs.device.type == "cpu" else self._fit_torch
        return fit(x, targets, order)

    def _fit_native(self, x: Tensor, targets: Tensor, order: Tensor) -> float:
        layers = self.value.net.weights_and_biases()
        state = self.optimiser.state

        def moments(name: str) -> list[tuple[FloatArray, FloatArray]]:
            return [(state[w][name].numpy(), state[b][name].numpy()) for w, b in layers]

        losses = _core.fit_value(
            [(w.detach().numpy(), b.detach().numpy()) for w, b in layers],
            moments("exp_avg"),
            moments("exp_avg_sq"),
            int(state[layers[0][0]]["step"].item()),
            x.contiguous().numpy(),
            targets.contiguous().numpy(),
            order.numpy(),
            minibatch=self.settings.minibatch,
            learning_rate=self.settings.learning_rate,
        )
        for entry in state.values():
            entry["step"] += order.shape[0] * -(-order.shape[1] // self.settings.minibatch)
        return float(losses[-1])

    def _fit_torch(self, x: Tensor, targets: Tensor, order: Tensor) -> float:
        loss_sum = torch.zeros((), device=x.device)
        for epoch in order:
            loss_sum.zero_()
            for index in epoch.split(self.settings.minibatch):
                error = self.value.net(x[index]).squeeze(-1) - targets[index]
                loss = 0.5 * (error * error).mean()
                self.optimiser.zero_grad(set_to_none=True)
                loss.backward()
                self.optimiser.step()
                loss_sum += loss.detach() * len(index)
        return loss_sum.item() / x.shape[0]
