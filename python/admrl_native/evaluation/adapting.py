"""A_n(ψ) of a set of test tasks from one meta-trained model (Section 5, Appendix C)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from ..algorithms.environments import Environments
from ..algorithms.learner import Adaptation, Learner
from ..networks.conditioned import Policy
from ..networks.policy import GaussianPolicy
from ..training.learned_dynamics import LearnedDynamics
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
        excluded: real samples in which the simulation blew up, of those that it was judged on and
            of those that it learned from since the one before.
    """

    real_samples: int
    returns: Returns
    policy: Policy
    excluded: int = 0


def adapt_all(
    learner: Learner,
    psis: Tensor,
    *,
    episodes: int,
    seed: int,
    after_step: AfterStep = lambda: None,
) -> tuple[Sequence[Adaptation], list[Adapted]]:
    """Zero-shot adaptation to all tasks (B, K) in one batch; the learner is left as it is.

    Returns:
        The adaptations, which can go on, and what they earn.
    """
    environments = learner.environments
    adaptations = learner.adaptations(psis, seed=seed, after_step=after_step)
    adapted = []
    for adaptation, psi in zip(adaptations, psis, strict=True):
        before, policy = environments.num_excluded, adaptation.policy
        returns = earned(environments, policy, psi, episodes, seed)
        adapted.append(Adapted(0, returns, policy, environments.num_excluded - before))
    return adaptations, adapted


def adapt_further(
    learner: Learner,
    adaptation: Adaptation,
    psi: Tensor,
    wanted: Sequence[int],
    *,
    episodes: int,
    seed: int,
) -> Iterator[Adapted]:
    """Rounds of real samples and learning on one task, after its zero-shot adaptation.

    Args:
        learner: of the run.
        adaptation: after zero-shot adaptation; changed.
        psi: the task (K,).
        wanted: the n > 0 to stop at, ascending multiples of `n_adapt`.
        episodes: of each set of real episodes.
        seed: as of the zero-shot adaptation.
    """
    per_round, done, environments = learner.settings.schedule.n_adapt, 0, learner.environments
    for n in wanted:
        before = environments.num_excluded
        while done < n:
            adaptation.learn(per_round)
            done += per_round
        policy = adaptation.policy
        returns = earned(environments, policy, psi, episodes, seed)
        yield Adapted(n, returns, policy, environments.num_excluded - before)


def model_error(
    environments: Environments,
    model: LearnedDynamics,
    policy: GaussianPolicy,
    psi: Tensor,
    samples: int,
) -> float:
    """Mean L2 error of the model's next state on real transitions of a policy (Figure 6).

    In standard deviations of a step: each coordinate is divided by the standard deviation of
    s' − s over the same transitions, and the norm by √D, so that 1 is the error of a model that
    knows the mean step and nothing else. The transitions are the same for every model.

    Args:
        environments: of the run.
        model: T̂_φ.
        policy: whose transitions, for instance the oracle's.
        psi: the task it is for (K,).
        samples: real samples.
    """
    t = environments.real_trajectories(policy, psi, samples, 0, "evaluation")
    obs, actions, next_obs = (x[~t.excluded] for x in (t.obs, t.actions, t.next_obs))
    with torch.no_grad():
        error = model.dynamics(obs, actions) - next_obs
    scale = (next_obs - obs).std(0).clamp(min=1e-6)
    return float((error / scale).square().mean(1).sqrt().mean())
