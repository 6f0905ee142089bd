"""One gradient step of PEARL: critics and context encoder, then the actor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ...networks.context_encoder import ContextEncoder, Posterior
from ...networks.normaliser import Normaliser
from ...sampling.task_replay import Transitions
from ...training.adam_state import adam_tensors, load_adam_tensors
from ...training.sac import SacBatch, SoftActorCritic, adam
from ...training.sac_settings import SacSettings
from .settings import PearlSettings


class PearlUpdate:
    """Actor and critics of [s, u, z] and the encoder that z comes from; u may be empty.

    Args:
        obs_dim: D.
        act_dim: A.
        task_dim: entries of u that actor and critics see (the MT methods), or 0.
        settings: of the method.
        sac: of actor and critics.
        gamma: the discount γ.
        generator: source of the initial weights (CPU).
        device: of the networks.

    Source: Rakelly et al. 2019, Algorithm 1.
    """

    def __init__(
        self,
        obs_dim: int,
        act_dim: int,
        task_dim: int,
        settings: PearlSettings,
        sac: SacSettings,
        gamma: float,
        generator: torch.Generator,
        device: torch.device,
    ) -> None:
        self.settings = settings
        input_dim = obs_dim + task_dim + settings.latent_dim
        self.sac = SoftActorCritic(input_dim, act_dim, sac, gamma, generator, device)
        width = obs_dim + act_dim + 1 + (obs_dim if settings.encoder_next_obs else 0)
        self.encoder = ContextEncoder(
            width, settings.latent_dim, settings.encoder_hidden, generator
        ).to(device)
        self._optimiser = adam(self.encoder.parameters(), sac.learning_rate)

    def posterior(self, context: Transitions) -> Posterior:
        """q(z|c) of the contexts of B tasks."""
        belief: Posterior = self.encoder(encoder_rows(context, self.settings))
        return belief

    def step(
        self, batch: Transitions, context: Transitions, u: Tensor, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """One Adam step of everything.

        Critics and encoder descend the critics' loss, whose gradient reaches the encoder through z,
        with the KL divergences of the B posteriors from the prior. The actor then
        descends its own for the same z, which is held: the encoder learns nothing from it.

        Args:
            batch: (B, M, …) what actor and critics learn from.
            context: (B, C, …) what z is inferred from.
            u: (B, K) what actor and critics see of the tasks; K may be 0.
            generator: of every random number of the step, on the device.

        Returns:
            Figures, scalars.
        """
        posterior = self.posterior(context)
        z = posterior.sample(generator)
        sac_batch = with_latent(batch, u, z)
        critic_loss = self.sac.critic_loss(sac_batch, generator)
        kl = posterior.kl_from_prior()
        self.sac.critics_step(critic_loss + self.settings.kl_weight * kl.sum(), self._optimiser)
        figures = self.sac.actor_step(sac_batch.obs, generator)
        return {"critic_loss": critic_loss.detach(), "kl": kl.detach().mean(), **figures}

    # State

    def adopt_normalisers(self, inputs: Normaliser, transitions: Normaliser) -> None:
        """Copies the statistics of [s, u, z], and of the transitions that the encoder sees."""
        self.sac.adopt_normaliser(inputs)
        self.encoder.normaliser.adopt(transitions, self.encoder.net.weights_and_biases()[0])

    def networks(self) -> dict[str, dict[str, Tensor]]:
        """Parameters and normalisers, by network."""
        return {**self.sac.networks(), "encoder": dict(self.encoder.state_dict())}

    def optimisers(self) -> dict[str, dict[str, Tensor]]:
        """Adam's moments, by network."""
        return {**self.sac.optimisers(), "encoder": adam_tensors(self._optimiser)}

    def load(self, networks: Mapping[str, Any], optimisers: Mapping[str, Any]) -> None:
        self.sac.load(networks, optimisers)
        self.encoder.load_state_dict(networks["encoder"])
        load_adam_tensors(self._optimiser, optimisers["encoder"])


def with_latent(batch: Transitions, u: Tensor, z: Tensor) -> SacBatch:
    """Transitions of B tasks (B, M, …) in one row, their states [s, u, z]."""
    tasks, rows = batch.rewards.shape
    context = torch.cat([u, z], dim=-1).unsqueeze(1).expand(tasks, rows, -1)
    # The next state decides the targets, through which nothing is differentiated.
    return SacBatch(
        obs=torch.cat([batch.obs, context], dim=-1).flatten(0, 1),
        actions=batch.actions.flatten(0, 1),
        rewards=batch.rewards.flatten(),
        next_obs=torch.cat([batch.next_obs, context.detach()], dim=-1).flatten(0, 1),
        dones=batch.dones.flatten(),
    )


def encoder_rows(context: Transitions, settings: PearlSettings) -> Tensor:
    """What the encoder sees of transitions (B, M, W): [s, a, r], and s' if it is to."""
    parts = [context.obs, context.actions, context.rewards.unsqueeze(-1)]
    if settings.encoder_next_obs:
        parts.append(context.next_obs)
    return torch.cat(parts, dim=-1)
