"""VirtualTraining: Algorithm 2, for one task or for many that share a model."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from torch import Tensor

from ..derivatives.settings import TrpoSettings
from ..sampling.replay import Replay
from ..sampling.trajectories import Trajectories
from ..seeding import derive_generator
from .agent import Agent
from .compute import AgentUpdate, Compute, Targets
from .dynamics_fit import DynamicsFit
from .settings import AdvantageSettings

AfterIteration = Callable[[int, list[dict[str, float]]], None]


@dataclasses.dataclass(frozen=True)
class VirtualTrainingBudget:
    """The counts of Algorithm 2, named as in Appendix C.

    Attributes:
        iterations: n, virtual steps.
        n_model: dynamics gradient steps per iteration.
        n_policy: policy updates per iteration.
        n_trpo: virtual samples per policy update and task.
        num_envs: virtual environments side by side, of each task.
        horizon: steps after which a virtual episode times out.
    """

    iterations: int
    n_model: int
    n_policy: int
    n_trpo: int
    num_envs: int
    horizon: int


class VirtualWork(NamedTuple):
    """What `virtual_training` did.

    Attributes:
        samples: virtual ones drawn.
        skipped_updates: of a policy and its value function, because the model's samples were not
            finite.
    """

    samples: int
    skipped_updates: int


def virtual_training(
    compute: Compute,
    agents: Sequence[Agent],
    psis: Tensor,
    fit: DynamicsFit,
    replay: Replay,
    start_states: Tensor,
    budget: VirtualTrainingBudget,
    trpo: TrpoSettings,
    advantage: AdvantageSettings,
    *,
    seed: int,
    after_iteration: AfterIteration = lambda _iteration, _figures: None,
) -> VirtualWork:
    """Trains the model on the data and B policies for B tasks in the model, in turn.

    Samples that are not finite, because a policy has gone where the model explodes, update nothing:
    both stay as they are until the model is fitted again.

    Args:
        compute: what does the work.
        agents: B of them; changed.
        psis: their tasks (B, K).
        fit: of the model, which is changed.
        replay: the data.
        start_states: real reset states (S, D) from which virtual rollouts begin.
        seed: of every random number used here. Each task has the same ones, whatever the others
            are.
        after_iteration: called with the iteration and the figures of each task: model_loss,
            virtual_return (mean undiscounted return of each environment's first episode in the last
            batch), episode_length, kl, entropy, value_loss; NaN, of an update that is skipped.

    Returns:
        The work done.
    """
    device = start_states.device
    skipped = 0
    sampler = compute.virtual_sampler(
        fit.dynamics,
        [agent.policy for agent in agents],
        num_envs=budget.num_envs,
        num_steps=budget.n_trpo // budget.num_envs,
        horizon=budget.horizon,
    )
    for iteration in range(budget.iterations):  # line 2
        model_loss = compute.fit_dynamics(  # line 3
            fit,
            replay,
            budget.n_model,
            derive_generator(seed, iteration, "model", device=device),
        )
        sampler.take_model()
        generators = [derive_generator(seed, iteration, "policy", device=device) for _ in agents]
        for _ in range(budget.n_policy):  # line 4
            samples = sampler.sample(psis, start_states, generators)  # line 5
            targets = compute.advantages_and_returns(
                samples, [agent.value for agent in agents], advantage
            )
            updates: list[AgentUpdate | None] = [None] * len(agents)
            usable = [b for b in range(len(agents)) if _finite(samples[b], targets[b])]
            if usable:
                done = compute.update_agents(  # line 6
                    [agents[b] for b in usable],
                    [samples[b] for b in usable],
                    [targets[b] for b in usable],
                    trpo,
                    [generators[b] for b in usable],
                )
                for b, update in zip(usable, done, strict=True):
                    updates[b] = update
            skipped += len(agents) - len(usable)
        after_iteration(
            iteration,
            [
                {"model_loss": model_loss, **_figures(s, u)}
                for s, u in zip(samples, updates, strict=True)
            ],
        )
    samples_drawn = budget.iterations * budget.n_policy * budget.n_trpo * len(agents)
    return VirtualWork(samples_drawn, skipped)


def _finite(samples: Trajectories, targets: Targets) -> bool:
    """Whether one task's update can learn from this."""
    return all(bool(x.isfinite().all()) for x in (samples.obs, samples.rewards, *targets))


def _figures(samples: Trajectories, update: AgentUpdate | None) -> dict[str, float]:
    return {
        "virtual_return": samples.first_episode_returns().mean().item(),
        "episode_length": samples.mean_episode_length(),
        "kl": update.trpo.kl if update else math.nan,
        "entropy": update.trpo.entropy if update else math.nan,
        "value_loss": update.value_loss if update else math.nan,
    }
