"""MAML and MAML-MT, as `Method`s."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...families.declaration import Family
from ...settings import SettingError
from ..memory import network_bytes, row_bytes
from ..method import Method
from ..model_free import model_free
from ..settings import TrainingSettings
from ..setup import Setup

if TYPE_CHECKING:
    from ..learner import Learner

_SETTINGS = (
    "maml", "advantage.gamma", "networks.policy_output_scale", "networks.initial_log_std",
)  # fmt: skip
_UNIT = 16  # bytes for each unit of the policy on a sample, where torch differentiates


def _maml(name: str, title: str, *, task_conditioned: bool) -> Method:
    def learner(setup: Setup) -> Learner:
        from .learner import Maml

        return Maml(setup, task_conditioned=task_conditioned)

    return model_free(
        name,
        title,
        learner,
        _SETTINGS,
        iterations=lambda s: s.maml.iterations,
        drawn=lambda s: {"maml_meta_batch": s.maml.meta_batch},
        memory=_memory,
        check=_check,
    )


def _check(settings: TrainingSettings) -> None:
    maml, n_adapt, horizon = settings.maml, settings.schedule.n_adapt, settings.physics.horizon
    if n_adapt % horizon == 0 and n_adapt % (maml.test_steps * horizon):
        raise SettingError(
            "maml_test_steps",
            f"expected n_adapt ({n_adapt}) to be a multiple of maml_test_steps "
            f"times horizon ({horizon}), got {maml.test_steps}",
        )


def _memory(settings: TrainingSettings, family: Family) -> dict[str, int]:
    maml = settings.maml
    of_each = row_bytes(family) + _UNIT * sum(maml.hidden)
    rows = maml.meta_batch * maml.rollouts * settings.physics.horizon * (1 + maml.inner_steps)
    weights = network_bytes(family.obs_dim, maml.hidden, family.act_dim)
    return {"maml_rollouts": rows * of_each, "maml_hidden": maml.meta_batch * weights}


MAML = _maml("maml", "MAML", task_conditioned=False)
MAML_MT = _maml("maml-mt", "MAML-MT", task_conditioned=True)
