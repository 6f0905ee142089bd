"""A_n(ψ): a policy for a new task from a meta-trained model and n real samples (Section 5)."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt
from torch import Tensor

from ..networks.policy import GaussianPolicy
from ..seeding import derive_generator, derive_seed
from ..training.agent import Agent
from ..training.model_learner import ModelLearner
from ..training.virtual_training import AfterIteration
from .workshop import Workshop


@dataclasses.dataclass(frozen=True)
class AdaptedPolicy:
    """A policy adapted to one task.

    Attributes:
        policy: π_θ with the normaliser it was made with.
        psi: the task (K,).
        real_samples: n, real samples of this task that were used.
    """

    policy: GaussianPolicy
    psi: Tensor
    real_samples: int


@dataclasses.dataclass
class Adaptation:
    """A policy on its way to one task, and the model that goes with it; see `begin`.

    Attributes:
        workshop: what it is made with.
        model: a copy of the meta-trained model and its data, which goes on learning.
        agent: π_θ and V.
        psi: the task (K,).
        seed: of every random number.
        after_iteration: called after every virtual iteration.
        stages: SLBO stages completed.
    """

    workshop: Workshop
    model: ModelLearner
    agent: Agent
    psi: Tensor
    seed: int
    after_iteration: AfterIteration
    stages: int = 0

    def slbo_stage(self, samples: int) -> None:
        """Real samples of the task with exploration noise, then virtual training on all data."""
        stage, workshop, agent = self.stages, self.workshop, self.agent
        seed = derive_seed(self.seed, stage, "collect")
        transitions = workshop.collect(agent.policy, self.psi, samples, seed, "adaptation")
        self.model.add("train", transitions)
        agent.adopt_normaliser(self.model.dynamics.states)
        self._virtual_training(workshop.settings.schedule.n_inner, f"slbo-{stage}")
        self.stages += 1

    def _virtual_training(self, iterations: int, phase: str) -> None:
        self.workshop.virtual_training(
            [self.agent],
            self.model,
            self.psi.unsqueeze(0),
            iterations,
            derive_seed(self.seed, phase),
            self.after_iteration,
        )


def begin(
    workshop: Workshop,
    model: ModelLearner,
    psi: Tensor,
    *,
    seed: int,
    after_iteration: AfterIteration = lambda _iteration, _figures: None,
) -> Adaptation:
    """Zero-shot adaptation: a fresh policy, trained in the model alone; `model` is left as it is.

    Raises:
        ValueError: the model has no data.
    """
    model, (agent,) = zero_shot(workshop, model, psi.unsqueeze(0), seed, after_iteration)
    return Adaptation(workshop, model, agent, psi, seed, after_iteration)


def adapt_zero_shot(
    workshop: Workshop, model: ModelLearner, psis: Tensor, *, seed: int
) -> list[AdaptedPolicy]:
    """Zero-shot adaptation to many tasks at once, in one model; `model` is left as it is.

    Each policy is the one that `adapt` makes for its task with the same seed: the random numbers
    are the same for every task, and the model learns on the data alone.

    Args:
        psis: tasks (B, K).

    Raises:
        ValueError: the model has no data.
    """
    _, agents = zero_shot(workshop, model, psis, seed)
    return [AdaptedPolicy(agent.policy, psi, 0) for agent, psi in zip(agents, psis, strict=True)]


def zero_shot(
    workshop: Workshop,
    model: ModelLearner,
    psis: Tensor,
    seed: int,
    after_iteration: AfterIteration = lambda _iteration, _figures: None,
) -> tuple[ModelLearner, list[Agent]]:
    """As `adapt_zero_shot`, but returns all that an `Adaptation` goes on from.

    Returns:
        The model as it has become, with its data, and an agent for each of the tasks (B, K).
    """
    if len(model.replays["train"]) == 0:
        raise ValueError("adapt: expected a trained model, got one without data")
    model = model.copy(with_data=True)
    agents = [workshop.new_agent(derive_generator(seed, "agent")) for _ in psis]
    for agent in agents:
        agent.adopt_normaliser(model.dynamics.states)
    workshop.virtual_training(
        agents,
        model,
        psis,
        workshop.settings.schedule.n_zeroshot,
        derive_seed(seed, "zero-shot"),
        after_iteration,
    )
    return model, agents


def adapt(
    workshop: Workshop, model: ModelLearner, psi: Tensor, *, real_samples: int, seed: int
) -> AdaptedPolicy:
    """Zero-shot adaptation, then rounds of real samples and SLBO; `model` is left as it is.

    Args:
        model: the meta-trained model and its data.
        psi: the task (K,).
        real_samples: n, a multiple of `n_adapt` of the schedule; 0: zero-shot.

    Raises:
        ValueError: n is not a multiple of `n_adapt`, or the model has no data.
    """
    schedule = workshop.settings.schedule
    if real_samples < 0 or real_samples % schedule.n_adapt != 0:
        raise ValueError(
            f"real_samples: expected a multiple of n_adapt={schedule.n_adapt}, got {real_samples}"
        )
    adaptation = begin(workshop, model, psi, seed=seed)
    for _ in range(real_samples // schedule.n_adapt):
        adaptation.slbo_stage(schedule.n_adapt)
    return AdaptedPolicy(adaptation.agent.policy, psi, real_samples)


def evaluate(
    workshop: Workshop, policy: GaussianPolicy, psi: Tensor, *, episodes: int, seed: int
) -> npt.NDArray[np.float32]:
    """Undiscounted real returns (episodes,) of the stochastic policy on a task ψ (K,)."""
    return workshop.real_returns(policy, psi, episodes, derive_seed(seed, "evaluate")).numpy()
