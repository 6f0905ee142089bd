"""The eight systems of the paper's experiments, by name: their learners and what they read."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..settings import SettingError
from .settings import MODEL_BASED, TrainingSettings

if TYPE_CHECKING:
    from .learner import Learner

_MODEL = frozenset(
    {
        "schedule", "task_selection", "task_gradient", "physics", "collection", "networks",
        "advantage", "trpo", "value_fit", "dynamics_fit", "compute",
    }
)  # fmt: skip
_EVERY_MODEL_FREE = frozenset({"schedule.n_adapt", "physics", "meta"})


@dataclasses.dataclass(frozen=True)
class Method:
    """One system.

    Attributes:
        title: as the paper writes it.
        learner: "module:class", below `algorithms`; imported when it is needed.
        model_based: it learns a dynamics model.
        reads: groups of `TrainingSettings` that decide what it computes; "group.field" where it
            is one field of a group.
    """

    title: str
    learner: str
    model_based: bool
    reads: frozenset[str]


def _model_based(title: str) -> Method:
    return Method(title, "admrl:MetaTrainer", True, _MODEL)


def _model_free(title: str, learner: str, *reads: str) -> Method:
    return Method(title, learner, False, _EVERY_MODEL_FREE | set(reads))


_ON_POLICY = (
    "mt", "advantage", "trpo", "value_fit", "compute",
    "networks.policy_hidden", "networks.policy_output_scale", "networks.initial_log_std",
    "networks.value_hidden",
)  # fmt: skip
_MAML = (
    "maml", "advantage.gamma", "networks.policy_output_scale", "networks.initial_log_std",
)  # fmt: skip
_PEARL = ("pearl", "sac", "advantage.gamma")

METHODS: Mapping[str, Method] = {
    "admrl": _model_based("AdMRL"),
    "mb-unif": _model_based("MB-Unif"),
    "mb-gauss": _model_based("MB-Gauss"),
    "mt-joint": _model_free("MT-joint", "mt_joint:MtJoint", *_ON_POLICY),
    "maml": _model_free("MAML", "maml:Maml", *_MAML),
    "pearl": _model_free("PEARL", "pearl:Pearl", *_PEARL),
    "maml-mt": _model_free("MAML-MT", "maml:Maml", *_MAML),
    "pearl-mt": _model_free("PEARL-MT", "pearl:Pearl", *_PEARL),
}
assert tuple(METHODS)[:3] == MODEL_BASED


def learner_class(method: str) -> type[Learner]:
    """The class of a method's learner."""
    module, name = METHODS[method].learner.split(":")
    found: type[Learner] = getattr(importlib.import_module(f".{module}", __package__), name)
    return found


def reads(method: str, group: str, field: str) -> bool:
    """Whether a setting decides what a method computes."""
    names = METHODS[method].reads
    return group in names or f"{group}.{field}" in names


def readers(group: str, field: str) -> list[str]:
    """The methods that read a setting."""
    return [method for method in METHODS if reads(method, group, field)]


def num_iterations(method: str, settings: TrainingSettings) -> int:
    """Iterations of a whole run of a model-free method."""
    iterations: int = {
        "mt_joint": settings.mt.iterations,
        "maml": settings.maml.iterations,
        "pearl": settings.pearl.iterations,
    }[METHODS[method].learner.split(":")[0]]
    return iterations


def adaptation_steps(method: str, settings: TrainingSettings) -> tuple[int, int]:
    """Steps that `Learner.adaptations` tells of, and those of one round of `learn`."""
    if METHODS[method].model_based:
        return settings.schedule.n_zeroshot, settings.schedule.n_inner
    return 0, 1


def check_schedule(method: str, settings: TrainingSettings) -> None:
    """Whether the settings of a method fit one another.

    Raises:
        SettingError: naming one that does not.
    """
    group = METHODS[method].learner.split(":")[0]
    if group == "admrl":
        return
    drawn = {
        "mt_joint": {"mt_tasks_per_iteration": settings.mt.tasks_per_iteration},
        "maml": {"maml_meta_batch": settings.maml.meta_batch},
        "pearl": {
            "pearl_meta_batch": settings.pearl.meta_batch,
            "pearl_tasks_per_iteration": settings.pearl.tasks_per_iteration,
        },
    }[group]
    for name, count in drawn.items():
        if count > settings.meta.n_train_tasks:
            raise SettingError(
                name,
                f"expected at most n_train_tasks ({settings.meta.n_train_tasks}), got {count}",
            )
    horizon = settings.physics.horizon
    if group == "pearl":
        for name in ("initial_samples", "prior_samples", "posterior_samples"):
            samples = getattr(settings.pearl, name)
            if samples % horizon:
                raise SettingError(
                    f"pearl_{name}",
                    f"expected a multiple of horizon ({horizon}), got {samples}",
                )
    if settings.schedule.n_adapt % horizon:
        raise SettingError(
            "n_adapt",
            f"expected a multiple of horizon ({horizon}) for {method}, "
            f"got {settings.schedule.n_adapt}",
        )
    if group == "maml" and settings.schedule.n_adapt % (settings.maml.test_steps * horizon):
        raise SettingError(
            "maml_test_steps",
            f"expected n_adapt ({settings.schedule.n_adapt}) to be a multiple of maml_test_steps "
            f"times horizon ({horizon}), got {settings.maml.test_steps}",
        )
