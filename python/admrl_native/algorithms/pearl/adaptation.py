"""PEARL on its way to a test task: more transitions, a narrower belief about z."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from ...networks.conditioned import ConditionedPolicy
from ...networks.context_encoder import ContextEncoder
from ...networks.squashed_policy import SquashedGaussianPolicy
from ...sampling.task_replay import Transitions, sound_transitions
from ...seeding import derive_generator, derive_seed
from ..iterative import TaskAdaptation
from .update import encoder_rows


@dataclasses.dataclass
class PearlAdaptation(TaskAdaptation):
    """The actor, with z from the posterior given all samples of the task; nothing is trained.

    It acts by its mean action, as in the authors' evaluation; z is drawn anew in every episode, at
    first from the prior.

    Attributes:
        actor: of [s, u, z]; only read.
        encoder: only read.
        context: rows of all transitions so far.

    Source: Rakelly et al. 2019, Algorithm 2.
    """

    actor: SquashedGaussianPolicy
    encoder: ContextEncoder
    context: Tensor = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        self.context = self.encoder.normaliser.mean.new_empty(0, self.encoder.input_dim)

    @property
    def policy(self) -> ConditionedPolicy:
        with torch.no_grad():
            belief = self.encoder(self.context.unsqueeze(0))
        return ConditionedPolicy(
            self.actor,
            torch.cat([self.task_input, belief.mean[0]]),
            torch.cat([torch.zeros_like(self.task_input), belief.std[0]]),
            deterministic=True,
        )

    def learn_round(self, samples: int) -> None:
        policy, seed = self.policy, derive_seed(self.seed, "adapt", self.rounds)
        rollouts = samples // self.environments.settings.physics.horizon
        trajectories = self.environments.many_trajectories(
            [self.actor],
            self.psi.unsqueeze(0),
            rollouts,
            seed,
            "adaptation",
            contexts=policy.contexts(rollouts, derive_generator(seed, "contexts")),
            deterministic=policy.deterministic,
        )
        found = {k: x.unsqueeze(0) for k, x in sound_transitions(trajectories).items()}
        (rows,) = encoder_rows(Transitions(**found), self.environments.settings.pearl)
        self.context = torch.cat([self.context, rows])
