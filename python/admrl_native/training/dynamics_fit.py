"""Fits the dynamics model to real transitions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..networks.dynamics import Dynamics
from ..sampling.replay import Replay
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

    def fit(self, replay: Replay, steps: int, generator: torch.Generator) -> float:
        """Takes `steps` gradient steps (Algorithm 2, line 3).

        loss + ½ · weight_decay · ‖φ‖², the gradient's norm clipped.

        Returns:
            The mean loss over the steps.
        """
        settings = self.settings
        weights: list[Tensor] = list(self.dynamics.net.parameters())
        loss_sum = torch.zeros((), device=weights[0].device)
        for _ in range(steps):
            loss = self.dynamics.loss(*replay.sample(settings.batch_size, generator))
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()
            gradients = [w.grad for w in weights if w.grad is not None]
            with torch.no_grad():
                torch._foreach_add_(gradients, weights, alpha=settings.weight_decay)
            nn.utils.clip_grad_norm_(weights, settings.max_grad_norm)
            self.optimiser.step()
            loss_sum += loss.detach()
        return loss_sum.item() / steps

    @torch.no_grad()
    def validation_loss(self, replay: Replay, batch_size: int = 10_000) -> float:
        """The model's loss on all held-out transitions."""
        total = 0.0
        columns = [torch.split(c, batch_size) for c in replay.all()]
        for obs, actions, next_obs in zip(*columns, strict=True):
            total += self.dynamics.loss(obs, actions, next_obs).item() * len(obs)
        return total / len(replay)
