"""PEARL on its way to a test task: more transitions, a narrower belief about z."""

from __future__ import annotations

import torch
from torch import Tensor

from ...networks.conditioned import ConditionedPolicy
from ...networks.context_encoder import ContextEncoder
from ...networks.squashed_policy import SquashedGaussianPolicy
from ...sampling.task_replay import Transitions, sound_transitions
from ...seeding import derive_generator, derive_seed
from ..learner import AfterStep
from ..workshop import Workshop
from .update import encoder_rows


class PearlAdaptation:
    """The actor, with z from the posterior given all samples of the task; nothing is trained.

    It acts by its mean action, as in the authors' evaluation; z is drawn anew in every episode, at
    first from the prior.

    Args:
        workshop: of the run.
        actor: of [s, u, z]; only read.
        encoder: only read.
        psi: the task (K,).
        told: (K,) what the actor is told of it, or (0,).
        seed: of every random number.
        after_step: called after every round.

    Source: Rakelly et al. 2019, Algorithm 2.
    """

    def __init__(
        self,
        workshop: Workshop,
        actor: SquashedGaussianPolicy,
        encoder: ContextEncoder,
        psi: Tensor,
        told: Tensor,
        seed: int,
        after_step: AfterStep,
    ) -> None:
        self._workshop, self._actor, self._encoder = workshop, actor, encoder
        self._psi, self._told, self._seed = psi, told, seed
        self._after_step = after_step
        self._rounds = 0
        self._context = encoder.normaliser.mean.new_empty(0, encoder.input_dim)

    @property
    def policy(self) -> ConditionedPolicy:
        with torch.no_grad():
            belief = self._encoder(self._context.unsqueeze(0))
        return ConditionedPolicy(
            self._actor,
            torch.cat([self._told, belief.mean[0]]),
            torch.cat([torch.zeros_like(self._told), belief.std[0]]),
            deterministic=True,
        )

    def learn(self, samples: int) -> None:
        policy, seed = self.policy, derive_seed(self._seed, "adapt", self._rounds)
        rollouts = samples // self._workshop.settings.physics.horizon
        trajectories = self._workshop.many_trajectories(
            [self._actor],
            self._psi.unsqueeze(0),
            rollouts,
            seed,
            "adaptation",
            contexts=policy.contexts(rollouts, derive_generator(seed, "contexts")),
            deterministic=policy.deterministic,
        )
        found = {k: x.unsqueeze(0) for k, x in sound_transitions(trajectories).items()}
        (rows,) = encoder_rows(Transitions(**found), self._workshop.settings.pearl)
        self._context = torch.cat([self._context, rows])
        self._rounds += 1
        self._after_step()
