"""Whether the episodes of a family begin well: known before any work."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .declaration import Family, HealthyRange
from .native import native_simulation
from .physics import PhysicsSettings

_EPISODES = 100


def check_start(family: Family, physics: PhysicsSettings) -> None:
    """Begins some episodes and takes one step with random actions in each.

    Raises:
        ValueError: the model does not fit the family or cannot be simulated, most of the steps blew
            up, or all of them left a healthy range.
        FileNotFoundError: there is no such model.
    """
    simulation = native_simulation(family, physics, _EPISODES, num_threads=1)
    simulation.reset(0)
    rng = np.random.Generator(np.random.Philox(0))
    actions = rng.uniform(-1, 1, (_EPISODES, family.act_dim)).astype(np.float32)
    step = simulation.step(actions, np.array(family.task_low))
    excluded = int(step["excluded"].sum())
    if 2 * excluded > _EPISODES:
        raise ValueError(f"model: {blown_up(family.model, excluded, _EPISODES)}")
    if step["dones"].all():
        raise ValueError(f"healthy: {_never_healthy(family, step['next_obs'])}")


def blown_up(model: str, excluded: int, samples: int) -> str:
    """What was expected and what came where most steps are excluded, and where to look."""
    return (
        f"expected a simulation that holds, but the state blew up in {excluded} of {samples} steps "
        f"of {model}: see its time step, the gear and range of its actuators, its solver, and "
        "whether it can rest where it is reset to"
    )


def _never_healthy(family: Family, states: npt.NDArray[np.float32]) -> str:
    def outside(h: HealthyRange) -> int:
        """How many of the states leave a range."""
        seen = states[:, h.indices]
        low = -np.inf if h.low is None else h.low
        high = np.inf if h.high is None else h.high
        return int(np.logical_or(seen < low, seen > high).any(axis=1).sum())

    worst = max(family.healthy, key=outside)
    seen = states[:, worst.indices]
    return (
        "expected ranges that an episode can begin in, but every episode ended with its first "
        f"step; of low={worst.low}, high={worst.high} for the observation's entries "
        f"{list(worst.indices)}, which began between {seen.min():.4g} and {seen.max():.4g}, "
        f"{outside(worst)} of {len(states)} were outside"
    )
