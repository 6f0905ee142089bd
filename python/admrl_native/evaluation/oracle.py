"""A learner for one task in the real environment, whose return stands for A*(ψ).

The paper does not say how A* is found. Real stepping is cheap here and a policy update from 10 000
samples takes the native core some milliseconds, so plain TRPO with many samples is both strong and
quick; what it misses, a method's own policy may have found: A* is the best of all.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ..algorithms.environments import Environments
from ..algorithms.settings import ScheduleSettings, TrainingSettings
from ..derivatives.settings import TrpoSettings
from ..families.declaration import Family
from ..families.physics import PhysicsSettings
from ..networks.conditioned import Policy
from ..networks.normaliser import Normaliser
from ..networks.policy import GaussianPolicy
from ..networks.settings import NetworkSettings
from ..sampling.settings import CollectionSettings
from ..seeding import derive_generator, derive_seed
from ..training.agent import Agent
from ..training.settings import ValueFitSettings
from .comparison import Returns
from .settings import OracleSettings

VERSION = 1  # of the learner: raised whenever its results change


@dataclasses.dataclass(frozen=True)
class OracleResult:
    """What a task's own learner reached.

    Attributes:
        returns: of its best policy.
        policy: `GaussianPolicy.state_dict()`.
        samples: real samples used by all attempts.
        curves: mean return of every update's samples, by attempt.
    """

    returns: Returns
    policy: dict[str, Tensor]
    samples: int
    curves: list[list[float]]


def training_settings(physics: PhysicsSettings) -> TrainingSettings:
    """The constants of the learner, in the form that everything else takes them."""
    return TrainingSettings(
        physics=physics,
        schedule=ScheduleSettings(),
        collection=CollectionSettings(num_envs=50),
        networks=NetworkSettings(
            policy_hidden=(64, 64), value_hidden=(64, 64), initial_log_std=-0.7
        ),
        trpo=TrpoSettings(max_kl=0.05, entropy_coefficient=0.0),
        value_fit=ValueFitSettings(normalise_targets=True),
    )


def learn(
    family: Family,
    physics: PhysicsSettings,
    psi: Tensor,
    settings: OracleSettings,
    *,
    threads: int,
    after_update: Callable[[float], None] = lambda _return: None,
) -> OracleResult:
    """Learns one task ψ (K,) by TRPO in the real environment, from nothing.

    An attempt ends when the mean return of the last updates has not been the best for `patience`
    updates, or when its samples are spent; its result is the policy that ended the best window.

    Args:
        family: of the task.
        physics: of the simulation.
        psi: the task.
        settings: how long.
        threads: of the simulation and of the updates; the result does not depend on it.
        after_update: called with the mean return of every update's samples.
    """
    environments = Environments(family, training_settings(physics), threads, torch.device("cpu"))
    best: tuple[Returns, dict[str, Tensor]] | None = None
    curves = []
    for attempt in range(settings.attempts):
        seed = derive_seed(settings.seed, "oracle", attempt)
        policy, curve = _attempt(environments, psi, settings, seed, after_update)
        curves.append(curve)
        returns = earned(environments, policy, psi, settings.episodes, seed)
        if best is None or returns.select.mean() > best[0].select.mean():
            best = returns, {k: v.clone() for k, v in policy.state_dict().items()}
    assert best is not None
    return OracleResult(*best, sum(map(len, curves)) * settings.batch, curves)


def _attempt(
    environments: Environments,
    psi: Tensor,
    settings: OracleSettings,
    seed: int,
    after_update: Callable[[float], None],
) -> tuple[GaussianPolicy, list[float]]:
    """The best policy of one attempt, and the mean return of every update's samples."""
    agent = environments.new_agent(derive_generator(seed, "agent"))
    states = Normaliser(environments.obs_dim)
    curve: list[float] = []
    best, best_at, kept = -np.inf, 0, agent.policy.state_dict()
    for update in range(settings.samples // settings.batch):
        curve.append(
            _update(environments, agent, states, psi, settings.batch, derive_seed(seed, update))
        )
        after_update(curve[-1])
        recent = float(np.mean(curve[-settings.window :]))
        if len(curve) >= settings.window and recent > best:
            best, best_at = recent, update
            kept = {k: v.clone() for k, v in agent.policy.state_dict().items()}
        if update - best_at >= settings.patience:
            break
    agent.policy.load_state_dict(kept)
    return agent.policy, curve


def _update(
    environments: Environments, agent: Agent, states: Normaliser, psi: Tensor, batch: int, seed: int
) -> float:
    """One batch of real samples, one policy update and value fit; the mean return of the batch."""
    compute, training = environments.compute, environments.settings
    samples = [environments.real_trajectories(agent.policy, psi, batch, seed, "oracle")]
    targets = compute.advantages_and_returns(samples, [agent.value], training.advantage)
    generator = derive_generator(seed, "value")
    compute.update_agents([agent], samples, targets, training.trpo, [generator])
    states.update(samples[0].obs.flatten(0, 1))
    agent.adopt_normaliser(states)
    return float(samples[0].first_episode_returns().mean())


def earned(
    environments: Environments, policy: Policy, psi: Tensor, episodes: int, seed: int
) -> Returns:
    """What a policy earns on a task, on two independent sets of real episodes."""
    return Returns(
        *(
            environments.real_returns(policy, psi, episodes, derive_seed(seed, "evaluate", kind))
            .double()
            .numpy()
            for kind in ("select", "fresh")
        )
    )
