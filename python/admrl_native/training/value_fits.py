"""Fits B value functions at once: `ValueFit` in batched products, without autograd."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..networks.cuda_graph import captured
from ..networks.linearisation import MlpLinearisation
from .value_fit import ValueFit


def fit_values(
    fits: Sequence[ValueFit],
    obs: Tensor,
    returns: Tensor,
    generators: Sequence[torch.Generator],
) -> list[float]:
    """`ValueFit.fit` of B value functions, each on its own samples; see `ValueFits`."""
    return ValueFits(fits, obs.shape[1]).fit(obs, returns, generators)


class ValueFits:
    """Fits B value functions side by side, again and again, in buffers made once.

    The parameters and Adam's moments are taken from the fits and written back at every call. On
    CUDA the step on one minibatch is captured in a graph, so this is worth keeping.

    Args:
        fits: of networks of one shape, with the same settings.
        rows: M, samples of each.

    Raises:
        ValueError: the fits differ in shape or settings.
    """

    @torch.no_grad()
    def __init__(self, fits: Sequence[ValueFit], rows: int) -> None:
        _check_alike(fits)
        self._fits = fits
        settings, parameters = fits[0].settings, list(fits[0].value.net.parameters())
        device, zeros = parameters[0].device, parameters[0].new_zeros
        self._minibatch = min(settings.minibatch, rows)
        self._per_epoch = -(-rows // self._minibatch)
        steps, tasks = settings.epochs * self._per_epoch, len(fits)

        # The parameters of all tasks and their moments, each one vector; in it the block of one
        # weight (B, out, in) after the other, so that Adam is a handful of operations.
        shapes = [(tasks, *p.shape) for p in parameters]
        sizes = [tasks * p.numel() for p in parameters]
        self._params = zeros(sum(sizes))
        self._first = torch.zeros_like(self._params)
        self._second = torch.zeros_like(self._params)
        self._blocks = [
            [part.view(shape) for part, shape in zip(vector.split(sizes), shapes, strict=True)]
            for vector in (self._params, self._first, self._second)
        ]
        blocks = self._blocks[0]
        self._layers = list(zip(blocks[::2], blocks[1::2], strict=True))

        # What the minibatches are gathered from: rows [normalised s, target] of all tasks.
        self._samples = zeros((tasks, rows, parameters[0].shape[1] + 1))
        self._order = zeros((steps, tasks * self._minibatch), dtype=torch.int64)
        self._weights = self._sample_weights(rows).to(self._params).repeat(settings.epochs, 1)
        self._rates = zeros((steps, 2))
        self._step = zeros(1, dtype=torch.int64)
        self._errors = zeros((steps, tasks, self._minibatch))
        self._advance = captured(self._step_all, device, warm_up=min(3, steps))

    @torch.no_grad()
    def fit(
        self, obs: Tensor, returns: Tensor, generators: Sequence[torch.Generator]
    ) -> list[float]:
        """Passes `epochs` times over each task's obs (B, M, D) and returns (B, M) in minibatches.

        Returns:
            Each task's mean loss, ½(V − return)² in the units of the fit, over the last epoch.

        Raises:
            ValueError: the fits have not done the same number of steps.

        Determinism: task b draws its minibatches from generators[b], those of `ValueFit.fit`. The
        same generator states give the same bits on one device for the same B; with another B the
        products may round differently.
        """
        self._begin(obs, returns, generators)
        for _ in range(self._order.shape[0]):
            self._advance()
        self._write_back()
        errors = self._errors[-self._per_epoch :]
        counted = self._weights[-self._per_epoch :].unsqueeze(1) > 0
        losses = torch.where(counted, 0.5 * errors * errors, 0.0).sum((0, 2)) / obs.shape[1]
        return [float(loss) for loss in losses.tolist()]

    def _begin(self, obs: Tensor, returns: Tensor, generators: Sequence[torch.Generator]) -> None:
        """Takes the tasks' samples, minibatch orders, parameters and moments."""
        rows, padding = obs.shape[1], self._per_epoch * self._minibatch - obs.shape[1]
        order = self._order.view(-1, self._per_epoch, len(self._fits), self._minibatch)
        samples = zip(self._fits, obs, returns, generators, strict=True)
        for b, (fit, *sample) in enumerate(samples):
            x, targets, task_order = fit.prepare(*sample)
            self._samples[b, :, :-1] = x
            self._samples[b, :, -1] = targets
            padded = torch.nn.functional.pad(task_order + b * rows, (0, padding), value=b * rows)
            order[:, :, b] = padded.view(-1, self._per_epoch, self._minibatch)
        self._rates.copy_(self._adam_rates(self._steps_done()))
        torch._foreach_copy_(*self._mine_and_theirs())
        self._step.zero_()

    def _step_all(self) -> None:
        """One minibatch of every task, forward, back and Adam, without waiting for the device."""
        step = self._step
        index = self._order.index_select(0, step).squeeze(0)
        samples = self._samples.flatten(0, 1).index_select(0, index)
        samples = samples.view(len(self._fits), self._minibatch, -1)
        network = MlpLinearisation(self._layers, samples[..., :-1])
        errors = network.output - samples[..., -1:]
        self._errors.index_copy_(0, step, errors.squeeze(2).unsqueeze(0))
        weights = self._weights.index_select(0, step).unsqueeze(2)
        pairs = network.vjp(errors * weights)
        gradient = torch.cat([part.reshape(-1) for pair in pairs for part in pair])

        beta1, beta2 = self._fits[0].optimiser.defaults["betas"]
        self._first.lerp_(gradient, 1 - beta1)
        self._second.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        rate, epsilon = self._rates.index_select(0, step).squeeze(0).unbind()
        self._params.addcdiv_(-rate * self._first, self._second.sqrt().add_(epsilon))
        step += 1

    def _sample_weights(self, rows: int) -> Tensor:
        """The share of each sample in its minibatch's mean (minibatches of an epoch, minibatch).

        The last minibatch is filled up with samples that do not count.
        """
        last = rows - (self._per_epoch - 1) * self._minibatch
        weights = torch.full(
            (self._per_epoch, self._minibatch), 1 / self._minibatch, dtype=torch.float64
        )
        weights[-1] = torch.where(torch.arange(self._minibatch) < last, 1 / last, 0.0)
        return weights

    def _adam_rates(self, steps_done: int) -> Tensor:
        """The rate and ε of every step (steps, 2), the bias corrections taken into them.

        Source: Kingma & Ba 2015, the end of Section 2.
        """
        defaults = self._fits[0].optimiser.defaults
        beta1, beta2 = defaults["betas"]
        t = steps_done + 1 + torch.arange(self._order.shape[0], dtype=torch.float64)
        root = torch.sqrt(1 - beta2**t)
        return torch.stack([defaults["lr"] * root / (1 - beta1**t), defaults["eps"] * root], dim=1)

    def _steps_done(self) -> int:
        """Adam's steps so far."""
        done = [int(next(iter(fit.optimiser.state.values()))["step"].item()) for fit in self._fits]
        if min(done) != max(done):
            raise ValueError(f"fits: expected the same number of Adam steps done, got {done}")
        return done[0]

    def _mine_and_theirs(self) -> tuple[list[Tensor], list[Tensor]]:
        """The buffers of every parameter and moment, and the tensors of the fits they stand for."""
        mine, theirs = [], []
        for b, fit in enumerate(self._fits):
            for i, p in enumerate(fit.value.net.parameters()):
                state = fit.optimiser.state[p]
                mine += [blocks[i][b] for blocks in self._blocks]
                theirs += [p.detach(), state["exp_avg"], state["exp_avg_sq"]]
        return mine, theirs

    def _write_back(self) -> None:
        """Gives the fits their parameters, moments and counts of steps."""
        mine, theirs = self._mine_and_theirs()
        torch._foreach_copy_(theirs, mine)
        for fit in self._fits:
            for state in fit.optimiser.state.values():
                state["step"] += self._order.shape[0]


def _check_alike(fits: Sequence[ValueFit]) -> None:
    shapes = [[tuple(p.shape) for p in fit.value.net.parameters()] for fit in fits]
    for name, values in (("shape", shapes), ("settings", [fit.settings for fit in fits])):
        odd = next((value for value in values if value != values[0]), None)
        if odd is not None:
            raise ValueError(f"fits: expected one {name}, {values[0]}, got {odd}")
