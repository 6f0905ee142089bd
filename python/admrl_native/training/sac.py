"""Soft actor-critic: two critics, a squashed Gaussian actor, slowly following target critics."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..networks.normaliser import Normaliser
from ..networks.q_function import TwinQ
from ..networks.squashed_policy import SquashedGaussianPolicy
from ..networks.subnormals import flush_subnormals
from .adam_state import adam_tensors, load_adam_tensors
from .sac_settings import SacSettings


@dataclasses.dataclass(frozen=True)
class SacBatch:
    """M transitions; a context, if there is one, is part of obs and next_obs.

    Attributes:
        obs: (M, D).
        actions: (M, A).
        rewards: (M,), not scaled.
        next_obs: (M, D).
        dones: (M,) 1 where the episode ended by the family's rule, else 0.
    """

    obs: Tensor
    actions: Tensor
    rewards: Tensor
    next_obs: Tensor
    dones: Tensor


class SoftActorCritic:
    """The networks and one gradient step of each.

    Args:
        obs_dim: D, with a context its entries too.
        act_dim: A.
        settings: of the method.
        gamma: the discount γ.
        generator: source of the initial weights (CPU).
        device: of the networks.

    Attributes:
        actor: π.
        critics: Q_1, Q_2.
        targets: the target critics.
        log_temperature: log α; a parameter where the temperature is learned.

    Source: Haarnoja et al. 2018, "Soft Actor-Critic Algorithms and Applications".
    """

    def __init__(
        self,
        obs_dim: int,
        act_dim: int,
        settings: SacSettings,
        gamma: float,
        generator: torch.Generator,
        device: torch.device,
    ) -> None:
        self.settings, self.gamma, self.act_dim = settings, gamma, act_dim
        hidden = settings.hidden
        self.actor = SquashedGaussianPolicy(obs_dim, act_dim, hidden, generator).to(device)
        self.critics = TwinQ(obs_dim, act_dim, hidden, generator).to(device)
        self.targets = copy.deepcopy(self.critics)
        self.targets.requires_grad_(False)
        learned = isinstance(settings.temperature, str)
        alpha = 1.0 if isinstance(settings.temperature, str) else settings.temperature
        self.log_temperature = torch.tensor(alpha, device=device).log().requires_grad_(learned)
        self._optimisers = {
            "actor": adam(self.actor.parameters(), settings.learning_rate),
            "critics": adam(self.critics.parameters(), settings.learning_rate),
        }
        if learned:
            self._optimisers["temperature"] = adam([self.log_temperature], settings.learning_rate)

    def step(self, batch: SacBatch, generator: torch.Generator) -> dict[str, Tensor]:
        """One step of critics, actor, temperature and targets; returns figures, scalars."""
        loss = self.critic_loss(batch, generator)
        self.critics_step(loss)
        return {"critic_loss": loss.detach(), **self.actor_step(batch.obs, generator)}

    # The parts of a step

    def critic_loss(self, batch: SacBatch, generator: torch.Generator) -> Tensor:
        """Mean squared errors of both critics, added; differentiable in batch.obs too.

        Against the targets c r + γ (1 − done) (min_i Q̄_i(s', a') − α log π(a'|s')), a' ~ π(s').
        """
        with torch.no_grad():
            next_actions, log_prob, *_ = self.actor.sample(batch.next_obs, generator)
            next_values = self.targets(batch.next_obs, next_actions).amin(0)
            next_values -= self.log_temperature.exp() * log_prob
            targets = self.settings.reward_scale * batch.rewards
            targets += self.gamma * (1 - batch.dones) * next_values
        errors: Tensor = self.critics(batch.obs, batch.actions) - targets
        return errors.square().mean(1).sum()

    @flush_subnormals()
    def critics_step(self, loss: Tensor, *others: torch.optim.Adam) -> None:
        """One Adam step of the critics, and of whatever else the loss depends on."""
        optimisers = (self._optimisers["critics"], *others)
        for optimiser in optimisers:
            optimiser.zero_grad()
        loss.backward()
        for optimiser in optimisers:
            optimiser.step()

    def actor_loss(self, obs: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """E[α log π(a|s) − min_i Q_i(s, a)] with the regularisers, and log π(a|s) (M,)."""
        actions, log_prob, _, mean, log_std = self.actor.sample(obs, generator)
        values = self.critics(obs, actions).amin(0)
        settings = self.settings
        loss = (self.log_temperature.exp().detach() * log_prob - values).mean()
        loss = loss + settings.mean_regularisation * mean.square().mean()
        return loss + settings.std_regularisation * log_std.square().mean(), log_prob

    @flush_subnormals()
    def actor_step(self, obs: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """One Adam step of the actor and of a learned temperature; then the targets follow."""
        loss, log_prob = self.actor_loss(obs.detach(), generator)
        self._step("actor", loss, list(self.actor.parameters()))
        entropy = -log_prob.detach().mean()
        if self.log_temperature.requires_grad:
            # Section 5: α falls where the entropy is above its target −A.
            self._step(
                "temperature",
                self.log_temperature * (entropy + self.act_dim),
                [self.log_temperature],
            )
        self._follow()
        return {"actor_loss": loss.detach(), "entropy": entropy}

    def _step(self, name: str, loss: Tensor, parameters: list[Any]) -> None:
        # Only these gradients: backward() would compute those of the critics' weights as well.
        for p, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
            p.grad = gradient
        self._optimisers[name].step()

    @torch.no_grad()
    def _follow(self) -> None:
        pairs = zip(self.targets.parameters(), self.critics.parameters(), strict=True)
        for target, value in pairs:
            target.lerp_(value, self.settings.target_rate)

    # State

    def adopt_normaliser(self, inputs: Normaliser) -> None:
        """Every network takes on the statistics of the inputs and stays the same function."""
        self.actor.normaliser.adopt(inputs, self.actor.net.weights_and_biases()[0])
        for critics in (self.critics, self.targets):
            critics.normaliser.adopt(inputs, *critics.first_layers())

    def start_values_at(self, value: float) -> None:
        """All critics are about `value` everywhere (scaled), before they learn."""
        for critics in (self.critics, self.targets):
            critics.start_at(value)

    def modules(self) -> dict[str, nn.Module]:
        return {"actor": self.actor, "critics": self.critics, "targets": self.targets}

    def networks(self) -> dict[str, dict[str, Tensor]]:
        """Parameters and normalisers, by network, and the temperature."""
        states = {name: dict(module.state_dict()) for name, module in self.modules().items()}
        return {**states, "temperature": {"log": self.log_temperature.detach().clone()}}

    def optimisers(self) -> dict[str, dict[str, Tensor]]:
        """Adam's moments, by network."""
        return {name: adam_tensors(o) for name, o in self._optimisers.items()}

    def load(self, networks: Mapping[str, Any], optimisers: Mapping[str, Any]) -> None:
        for name, module in self.modules().items():
            module.load_state_dict(networks[name])
        with torch.no_grad():
            self.log_temperature.copy_(networks["temperature"]["log"])
        for name, optimiser in self._optimisers.items():
            load_adam_tensors(optimiser, optimisers[name])


def adam(parameters: Iterable[Tensor], learning_rate: float) -> torch.optim.Adam:
    """Adam in one kernel for all parameters, a third of the time of a loop over them."""
    return torch.optim.Adam(list(parameters), lr=learning_rate, fused=True)
