"""MT-joint, as a `Method`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...families.declaration import Family
from ..memory import UNIT, network_bytes, row_bytes
from ..model_free import model_free
from ..settings import TrainingSettings
from ..setup import Setup

if TYPE_CHECKING:
    from ..learner import Learner

_SETTINGS = (
    "mt", "advantage", "trpo", "value_fit", "compute",
    "networks.policy_hidden", "networks.policy_output_scale", "networks.initial_log_std",
    "networks.value_hidden",
)  # fmt: skip


def _learner(setup: Setup) -> Learner:
    from .learner import MtJoint

    return MtJoint(setup)


def _memory(settings: TrainingSettings, family: Family) -> dict[str, int]:
    mt, networks = settings.mt, settings.networks
    obs = family.obs_dim + family.task_dim
    of_each = row_bytes(family) + UNIT * sum(networks.policy_hidden)
    rows = mt.tasks_per_iteration * mt.rollouts * settings.physics.horizon
    return {
        "mt_rollouts": rows * of_each,
        "policy_hidden": network_bytes(obs, networks.policy_hidden, family.act_dim),
        "value_hidden": network_bytes(obs, networks.value_hidden, 1),
    }


MT_JOINT = model_free(
    "mt-joint",
    "MT-joint",
    _learner,
    _SETTINGS,
    iterations=lambda s: s.mt.iterations,
    drawn=lambda s: {"mt_tasks_per_iteration": s.mt.tasks_per_iteration},
    memory=_memory,
)
