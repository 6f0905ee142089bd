"""MT-joint: one policy π(a|s, ψ) for all training tasks, by TRPO in the real environment."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ...networks.conditioned import ConditionedPolicy
from ...networks.normaliser import Normaliser
from ...sampling.trajectories import Trajectories
from ...seeding import derive_generator, derive_seed
from ...training.agent import Agent
from ..environments import Environments
from ..iterative import IterativeLearner, TaskAdaptation
from ..learner import AfterStep
from ..setup import Setup


class MtJoint(IterativeLearner):
    """One agent, its state [s, u]: the state and the task in normalised coordinates.

    Source: Section 5, baseline (A).
    """

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup, task_conditioned=True)
        self.agent = self.environments.new_agent(
            derive_generator(self.seed, "agent"), self.family.task_dim
        )
        self.states = Normaliser(self.environments.obs_dim + self.family.task_dim)

    @property
    def num_iterations(self) -> int:
        return self.settings.mt.iterations

    def compute(self) -> dict[str, str]:
        return self.environments.compute.describe()

    def iterate(self) -> dict[str, Any]:
        """Samples of some of the training tasks, and one update on all of them."""
        mt, i = self.settings.mt, self.iteration
        chosen = self.draw_tasks(mt.tasks_per_iteration)
        contexts = self.train_u[chosen].float().repeat_interleave(mt.rollouts, 0)
        trajectories = self.environments.many_trajectories(
            [self.agent.policy],
            self.train_psi[chosen],
            mt.rollouts,
            derive_seed(self.seed, i, "samples"),
            "train",
            contexts=contexts,
        )
        figures = update(
            self.environments,
            self.agent,
            self.states,
            trajectories.with_context(contexts),
            derive_generator(self.seed, i, "value", device=self.environments.device),
        )
        return {
            "real_return": trajectories.first_episode_returns().mean().item(),
            "adapted_return": None,
            **figures,
        }

    def parts(self) -> dict[str, Any]:
        return {
            "networks": {**self.agent.networks(), "states": self.states.state_dict()},
            "optimisers": self.agent.optimisers(),
        }

    def load_parts(
        self, parts: Mapping[str, Any], transitions: Mapping[str, Mapping[str, Tensor]]
    ) -> None:
        self.agent.load(parts["networks"], parts["optimisers"])
        self.states.load_state_dict(parts["networks"]["states"])

    def adaptations(
        self, psis: Tensor, *, seed: int, after_step: AfterStep = lambda: None
    ) -> list[MtAdaptation]:
        return [
            MtAdaptation(
                self.environments,
                psi,
                task_input,
                seed,
                after_step,
                copy.deepcopy(self.agent),
                copy.deepcopy(self.states),
            )
            for psi, task_input in zip(psis, self.task_inputs(psis), strict=True)
        ]


@dataclasses.dataclass
class MtAdaptation(TaskAdaptation):
    """The multi-task policy on its way to one task: further TRPO updates on the task's samples.

    Attributes:
        agent: changed.
        states: statistics of [s, u]; changed.
    """

    agent: Agent
    states: Normaliser

    @property
    def policy(self) -> ConditionedPolicy:
        return ConditionedPolicy(
            self.agent.policy, self.task_input, torch.zeros_like(self.task_input)
        )

    def learn_round(self, samples: int) -> None:
        rollouts = samples // self.environments.settings.physics.horizon
        contexts = self.task_input.expand(rollouts, -1)
        trajectories = self.environments.many_trajectories(
            [self.agent.policy],
            self.psi.unsqueeze(0),
            rollouts,
            derive_seed(self.seed, "adapt", self.rounds),
            "adaptation",
            contexts=contexts,
        )
        device = self.environments.device
        update(
            self.environments,
            self.agent,
            self.states,
            trajectories.with_context(contexts),
            derive_generator(self.seed, "adapt", self.rounds, "value", device=device),
        )


def update(
    environments: Environments,
    agent: Agent,
    states: Normaliser,
    samples: Trajectories,
    generator: torch.Generator,
) -> dict[str, Any]:
    """One TRPO step and one value fit of an agent on real samples, which its normaliser joins.

    Args:
        environments: computes.
        agent: changed.
        states: statistics of the agent's states; changed.
        samples: with the agent's states, (N, T, D + C).
        generator: of the value fit, on the device.
    """
    compute, settings = environments.compute, environments.settings
    targets = compute.advantages_and_returns([samples], [agent.value], settings.advantage)
    (done,) = compute.update_agents([agent], [samples], targets, settings.trpo, [generator])
    states.update(samples.obs.flatten(0, 1).cpu())
    agent.adopt_normaliser(states)
    return {"kl": done.trpo.kl, "entropy": done.trpo.entropy, "value_loss": done.value_loss}
