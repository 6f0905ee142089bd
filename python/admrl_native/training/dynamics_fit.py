"""Fits the dynamics model to real transitions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .._native import _core
from ..networks.dynamics import Dynamics
from ..networks.subnormals import flush_subnormals
from ..sampling.replay import Replay
from .adam_state import add_steps, make_moments, moment_arrays, steps_done
from .settings import DynamicsFitSettings


class DynamicsFit:
    """The model's optimiser; it lives as long as the run.

    Args:
        dynamics: the model to fit; its network's parameters are written.
    """

    def __init__(self, dynamics: Dynamics, settings: DynamicsFitSettings) -> None:
        self.dynamics = dynamics
        self.settings = settings
        self.optimiser = torch.optim.Adam(
            dynamics.net.parameters(), lr=settings.learning_rate, fused=True
        )
        make_moments(self.optimiser)

    @flush_subnormals()
    def fit(
        self,
        replay: Replay,
        steps: int,
        generator: torch.Generator,
        precision: str = "fp32",
    ) -> float:
        """Takes `steps` gradient steps (Algorithm 2, line 3).

        loss + ½ · weight_decay · ‖φ‖², the gradient's norm clipped. On CUDA nothing waits for the
        device before the last step: indices, norm, clipping and the sum of losses stay there.

        Args:
            replay: the data.
            steps: minibatches.
            generator: draws them.
            precision: of the products, "fp32" or "bf16".

        Returns:
            The mean loss over the steps.
        """
        settings = self.settings
        weights: list[Tensor] = list(self.dynamics.net.parameters())
        loss_sum = torch.zeros((), device=weights[0].device)
        for _ in range(steps):
            loss = self.dynamics.loss(*replay.sample(settings.batch_size, generator), precision)
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()
            gradients = [w.grad for w in weights if w.grad is not None]
            with torch.no_grad():
                torch._foreach_add_(gradients, weights, alpha=settings.weight_decay)
            nn.utils.clip_grad_norm_(weights, settings.max_grad_norm)
            self.optimiser.step()
            loss_sum += loss.detach()
        return loss_sum.item() / steps

    def fit_native(
        self,
        replay: Replay,
        steps: int,
        generator: torch.Generator,
        pool: _core.ThreadPool,
        precision: str,
    ) -> float:
        """`fit` in one native call (`core/update/dynamics_fit`): same minibatches, same update.

        Raises:
            KeyboardInterrupt: between two steps. Those done are not counted: the fit is not to be
                used any more (a run goes on from its checkpoint).
        """
        settings, dynamics = self.settings, self.dynamics
        layers = dynamics.net.weights_and_biases()
        order = torch.stack([replay.draw(settings.batch_size, generator) for _ in range(steps)])
        loss = _core.fit_dynamics(
            pool,
            [(w.detach().numpy(), b.detach().numpy()) for w, b in layers],
            *moment_arrays(self.optimiser, layers),
            steps_done(self.optimiser),
            replay.rows().numpy(),
            order.numpy(),
            dynamics.states.mean.numpy(),
            dynamics.states.std.numpy(),
            dynamics.differences.mean.numpy(),
            dynamics.differences.std.numpy(),
            _core.DynamicsFitSettings(
                adam=_core.AdamSettings(learning_rate=settings.learning_rate),
                weight_decay=settings.weight_decay,
                max_grad_norm=settings.max_grad_norm,
                precision=precision,
            ),
        )
        add_steps(self.optimiser, steps)
        return loss

    @torch.no_grad()
    def validation_loss(self, replay: Replay, batch_size: int = 10_000) -> float:
        """The model's loss on all held-out transitions."""
        total = 0.0
        columns = [torch.split(c, batch_size) for c in replay.all()]
        for obs, actions, next_obs in zip(*columns, strict=True):
            total += self.dynamics.loss(obs, actions, next_obs).item() * len(obs)
        return total / len(replay)
