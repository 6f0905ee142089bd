"""A_n(ψ): a policy for a new task from a meta-trained model and n real samples (Section 5)."""

from __future__ import annotations

import dataclasses

from torch import Tensor

from ...networks.policy import GaussianPolicy
from ...seeding import derive_generator, derive_seed
from ...training.agent import Agent
from ...training.learned_dynamics import LearnedDynamics
from ...training.virtual_training import AfterIteration
from ..environments import Environments


@dataclasses.dataclass
class ModelAdaptation:
    """A policy on its way to one task, and the model that goes with it; see `begin`.

    Attributes:
        environments: what it is made with.
        model: the model after zero-shot adaptation, with its data, which goes on learning.
        agent: π_θ and V.
        psi: the task (K,).
        seed: of every random number.
        after_iteration: called after every virtual iteration.
        stages: SLBO stages completed.
        shares_model: other adaptations have the same model: it is copied before it learns.
    """

    environments: Environments
    model: LearnedDynamics
    agent: Agent
    psi: Tensor
    seed: int
    after_iteration: AfterIteration
    stages: int = 0
    shares_model: bool = False

    @property
    def policy(self) -> GaussianPolicy:
        """π_θ."""
        return self.agent.policy

    def learn(self, samples: int) -> None:
        """A stage of SLBO: real samples with exploration noise, virtual training on all data."""
        if self.shares_model:
            self.model, self.shares_model = self.model.copy(with_data=True), False
        stage, environments, agent = self.stages, self.environments, self.agent
        seed = derive_seed(self.seed, stage, "collect")
        transitions = environments.collect(agent.policy, self.psi, samples, seed, "adaptation")
        self.model.add("train", transitions)
        agent.adopt_normaliser(self.model.dynamics.states)
        self._virtual_training(environments.settings.schedule.n_inner, f"slbo-{stage}")
        self.stages += 1

    def _virtual_training(self, iterations: int, phase: str) -> None:
        self.environments.virtual_training(
            [self.agent],
            self.model,
            self.psi.unsqueeze(0),
            iterations,
            derive_seed(self.seed, phase),
            self.after_iteration,
        )


def begin(
    environments: Environments,
    model: LearnedDynamics,
    psi: Tensor,
    *,
    seed: int,
    after_iteration: AfterIteration = lambda _iteration, _figures: None,
) -> ModelAdaptation:
    """Zero-shot adaptation: a fresh policy, trained in the model alone; `model` is left as it is.

    Raises:
        ValueError: the model has no data.
    """
    model, (agent,) = zero_shot(environments, model, psi.unsqueeze(0), seed, after_iteration)
    return ModelAdaptation(environments, model, agent, psi, seed, after_iteration)


def zero_shot(
    environments: Environments,
    model: LearnedDynamics,
    psis: Tensor,
    seed: int,
    after_iteration: AfterIteration = lambda _iteration, _figures: None,
) -> tuple[LearnedDynamics, list[Agent]]:
    """Zero-shot adaptation to many tasks at once, in one model; `model` is left as it is.

    Each agent is the one that `begin` makes for its task with the same seed: the random numbers
    are the same for every task, and the model learns on the data alone.

    Returns:
        The model as it has become, with its data, and an agent for each of the tasks (B, K).

    Raises:
        ValueError: the model has no data.
    """
    if len(model.replays["train"]) == 0:
        raise ValueError("adapt: expected a trained model, got one without data")
    model = model.copy(with_data=True)
    agents = [environments.new_agent(derive_generator(seed, "agent")) for _ in psis]
    for agent in agents:
        agent.adopt_normaliser(model.dynamics.states)
    environments.virtual_training(
        agents,
        model,
        psis,
        environments.settings.schedule.n_zeroshot,
        derive_seed(seed, "zero-shot"),
        after_iteration,
    )
    return model, agents
