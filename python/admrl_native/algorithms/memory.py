"""What a run holds at once, in bytes: parts of the estimates of the methods.

Measured by the peaks of trainings on Hopper2D, Ant3D and Cheetah-Highdim, copies for an update
included.
"""

from __future__ import annotations

import itertools

from ..families.declaration import Family
from .settings import TrainingSettings

NUMBER, UNIT = 8, 8  # for each number of a transition, and for each unit of a network on it
WEIGHT = 20  # for each weight: itself, its gradient, two moments, and the packed copy


def row_bytes(family: Family) -> int:
    """Of a transition that is learned from or only measured."""
    return NUMBER * (2 * family.obs_dim + 2 * family.act_dim + family.task_dim + 8)


def kept_bytes(family: Family) -> int:
    """Of a transition in a replay, which doubles its buffer when it is full."""
    return 20 * (2 * family.obs_dim + family.act_dim)


def network_bytes(inputs: int, hidden: tuple[int, ...], outputs: int) -> int:
    """Of a network's weights."""
    sizes = [inputs, *hidden, outputs]
    return WEIGHT * sum(a * b for a, b in itertools.pairwise(sizes))


def episodes_bytes(settings: TrainingSettings, family: Family) -> dict[str, int]:
    """Of the episodes that measure a policy."""
    steps = settings.collection.evaluation_episodes * settings.physics.horizon
    return {"evaluation_episodes": steps * row_bytes(family)}
