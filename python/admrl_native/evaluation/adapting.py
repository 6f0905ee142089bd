"""A_n(ψ) of a set of test tasks from one meta-trained model (Section 5, Appendix C)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from ..algorithms.adaptation import Adaptation, zero_shot
from ..algorithms.workshop import Workshop
from ..networks.policy import GaussianPolicy
from ..training.agent import Agent
from ..training.model_learner import ModelLearner
from .comparison import Returns
from .oracle import earned

AfterStep = Callable[[], None]


@dataclasses.dataclass(frozen=True)
class Adapted:
    """A policy for one task, and what it earns.

    Attributes:
        real_samples: n, real samples of the task that it was made with.
        returns: real ones.
        policy: π_θ.
    """

    real_samples: int
    returns: Returns
    policy: GaussianPolicy


def adapt_all(
    workshop: Workshop,
    model: ModelLearner,
    psis: Tensor,
    *,
    episodes: int,
    seed: int,
    after_step: AfterStep = lambda: None,
) -> tuple[ModelLearner, list[Agent], list[Adapted]]:
    """Zero-shot adaptation to all tasks (B, K) in one batch; `model` is left as it is.

    Returns:
        The model as it has become, which is the same for every task, the agents, and what they
        earn: from the first two `adapt_further` goes on.
    """
    learned, agents = zero_shot(workshop, model, psis, seed, lambda _i, _figures: after_step())
    adapted = [
        Adapted(0, earned(workshop, agent.policy, psi, episodes, seed), agent.policy)
        for agent, psi in zip(agents, psis, strict=True)
    ]
    return learned, agents, adapted


def adapt_further(
    workshop: Workshop,
    learned: ModelLearner,
    agent: Agent,
    psi: Tensor,
    wanted: Sequence[int],
    *,
    episodes: int,
    seed: int,
    after_step: AfterStep = lambda: None,
) -> Iterator[Adapted]:
    """Rounds of real samples and SLBO on one task, after its zero-shot adaptation.

    Args:
        workshop: of the run.
        learned: the model and data after zero-shot adaptation; changed.
        agent: after zero-shot adaptation; changed.
        psi: the task (K,).
        wanted: the n > 0 to stop at, ascending multiples of `n_adapt`.
        episodes: of each set of real episodes.
        seed: as of the zero-shot adaptation.
        after_step: called after every virtual iteration.
    """
    per_round = workshop.settings.schedule.n_adapt
    adaptation = Adaptation(workshop, learned, agent, psi, seed, lambda _i, _figures: after_step())
    for n in wanted:
        while adaptation.stages * per_round < n:
            adaptation.slbo_stage(per_round)
        yield Adapted(n, earned(workshop, agent.policy, psi, episodes, seed), agent.policy)


def model_error(
    workshop: Workshop, model: ModelLearner, policy: GaussianPolicy, psi: Tensor, samples: int
) -> float:
    """Mean L2 error of the model's next state on real transitions of a policy (Figure 6).

    In standard deviations of a step: each coordinate is divided by the standard deviation of
    s' − s over the same transitions, and the norm by √D, so that 1 is the error of a model that
    knows the mean step and nothing else. The transitions are the same for every model.

    Args:
        workshop: of the run.
        model: T̂_φ.
        policy: whose transitions, for instance the oracle's.
        psi: the task it is for (K,).
        samples: real samples.
    """
    t = workshop.real_trajectories(policy, psi, samples, 0, "evaluation")
    obs, actions, next_obs = (x.flatten(0, 1) for x in (t.obs, t.actions, t.next_obs))
    with torch.no_grad():
        error = model.dynamics(obs, actions) - next_obs
    scale = (next_obs - obs).std(0).clamp(min=1e-6)
    return float((error / scale).square().mean(1).sqrt().mean())
