"""Fits V to returns by Adam on shuffled minibatches."""

from __future__ import annotations

import torch
from torch import Tensor

from .._native import _core
from ..networks.value import ValueFunction
from .adam_state import add_steps, make_moments, moment_arrays, steps_done
from .settings import ValueFitSettings


class ValueFit:
    """One task's value optimiser; its Adam moments live as long as the value function.

    `fit` is plain torch, `native_job` one call of the native core: the same minibatches, the same
    update.

    Args:
        value: the function to fit; its parameters are written.
    """

    def __init__(self, value: ValueFunction, settings: ValueFitSettings) -> None:
        self.value = value
        self.settings = settings
        self.optimiser = torch.optim.Adam(value.net.parameters(), lr=settings.learning_rate)
        make_moments(self.optimiser)

    def fit(self, obs: Tensor, returns: Tensor, generator: torch.Generator) -> float:
        """Passes `epochs` times over obs (M, D) and returns (M,) in minibatches.

        Returns:
            The mean loss, ½(V − return)² in the units of the fit, over the last epoch.

        Determinism: the same generator state gives the same bits on one device.
        """
        x, targets, order = self.prepare(obs, returns, generator)
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

    def prepare(
        self, obs: Tensor, returns: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What a fit passes over: normalised obs (M, D), targets (M,), the order (epochs, M).

        The targets are in the units of the fit: with normalised targets the value function takes
        on those of these returns, and stays the same function.
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
        return x, targets, order

    def native_job(
        self, obs: Tensor, returns: Tensor, generator: torch.Generator
    ) -> _core.ValueFit:
        """`fit` as a job of the native pool (`core/update/value_fit`): the same updates.

        It has to run before anything else is done with the value function; `finish` then counts it.
        """
        layers = self.value.net.weights_and_biases()
        x, targets, order = self.prepare(obs, returns, generator)
        return _core.ValueFit(
            [(w.detach().numpy(), b.detach().numpy()) for w, b in layers],
            *moment_arrays(self.optimiser, layers),
            steps_done(self.optimiser),
            x.contiguous().numpy(),
            targets.contiguous().numpy(),
            order.numpy(),
            minibatch=self.settings.minibatch,
            adam=_core.AdamSettings(learning_rate=self.settings.learning_rate),
        )

    def finish(self, job: _core.ValueFit) -> float:
        """Counts the steps of a job that has run; returns what `fit` returns."""
        add_steps(self.optimiser, job.steps)
        return float(job.losses[-1])
