"""Mean and standard deviation of a robot's states under a random policy."""

from __future__ import annotations

import dataclasses

import numpy as np

from .declaration import Family
from .native import native_simulation
from .physics import PhysicsSettings

# Part of the definition of the family, so the same in every run whatever its seed.
SEED = 0
NUM_EPISODES = 100
EPISODE_STEPS = 200


@dataclasses.dataclass(frozen=True)
class StateNormalisation:
    """μ and σ of every entry of the observation, (D,) each."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


def random_policy_statistics(family: Family) -> StateNormalisation:
    """μ and σ of the states that uniformly random actions reach in the real environment.

    NUM_EPISODES episodes of EPISODE_STEPS steps from SEED with the default physics; an episode that
    ends is followed by the next.

    Source: the authors ship a table of Cheetah-Highdim's statistics made this way.

    Raises:
        ValueError: an entry of the observation never changes.

    Determinism: the same numbers for the same model, whatever the number of threads.
    """
    physics = PhysicsSettings(horizon=EPISODE_STEPS)
    simulation = native_simulation(family, physics, NUM_EPISODES, num_threads=1)
    simulation.reset(SEED)
    rng = np.random.Generator(np.random.Philox(SEED))
    psi = np.zeros(family.task_dim)
    states = np.empty((EPISODE_STEPS, NUM_EPISODES, family.obs_dim))
    for row in states:
        row[:] = simulation.observations()
        actions = rng.uniform(-1, 1, (NUM_EPISODES, family.act_dim)).astype(np.float32)
        step = simulation.step(actions, psi)
        simulation.reset(mask=step["dones"] | step["timeouts"])
    mean, std = states.mean((0, 1)), states.std((0, 1))
    if not (std > 0).all():
        raise ValueError(f"state normalisation: {family.name}: an observation never changes")
    return StateNormalisation(tuple(mean.tolist()), tuple(std.tolist()))
