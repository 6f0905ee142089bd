"""Fits V to returns by Adam on shuffled minibatches."""

from __future__ import annotations

import torch
from torch import Tensor

from ..networks.value import ValueFunction
from .settings import ValueFitSettings


class ValueFit:
    """One task's value optimiser; its Adam moments live as long as the value function.

    Args:
        value: the function to fit; its parameters are written.
    """

    def __init__(self, value: ValueFunction, settings: ValueFitSettings) -> None:
        self.value = value
        self.settings = settings
        self.optimiser = torch.optim.Adam(
            value.net.parameters(), lr=settings.learning_rate, fused=True
        )

    def fit(self, obs: Tensor, returns: Tensor, generator: torch.Generator) -> float:
        """Passes `epochs` times over obs (M, D) and returns (M,) in minibatches.

        Returns:
            The mean loss, ½(V − return)² in the units of the fit, over the last epoch.
        """
        value, settings = self.value, self.settings
        if settings.normalise_targets:
            value.rescale(returns.mean(), returns.std().clamp(min=1e-3))
        x = value.normaliser(obs)
        targets = (returns - value.shift) / value.scale
        loss_sum = torch.zeros((), device=obs.device)
        for _ in range(settings.epochs):
            order = torch.randperm(x.shape[0], generator=generator, device=obs.device)
            loss_sum.zero_()
            for index in order.split(settings.minibatch):
                error = value.net(x[index]).squeeze(-1) - targets[index]
                loss = 0.5 * (error * error).mean()
                self.optimiser.zero_grad(set_to_none=True)
                loss.backward()
                self.optimiser.step()
                loss_sum += loss.detach() * len(index)
        return loss_sum.item() / x.shape[0]
