"""AdMRL, and the two baselines that differ from it by their selector."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ...families.declaration import Family
from ...settings import SettingError
from ..memory import UNIT, episodes_bytes, kept_bytes, network_bytes, row_bytes
from ..method import Method
from ..settings import TrainingSettings
from ..setup import Setup

if TYPE_CHECKING:
    from ..learner import Learner
    from .selectors.selector import Selector

_SETTINGS = frozenset(
    {
        "schedule", "task_selection", "task_gradient", "physics", "collection", "networks",
        "advantage", "trpo", "value_fit", "dynamics_fit", "compute",
    }
)  # fmt: skip
_GRADIENT_UNIT = 96  # bytes for each unit of the policy on a sample of the task gradient


def model_based(
    name: str,
    title: str,
    selector: Callable[[], Selector],
    *,
    gradients: bool = False,
) -> Method:
    """Algorithm 1 with some way to choose the next task.

    Args:
        name: see `Method`.
        title: see `Method`.
        selector: makes it; imports it only then.
        gradients: it estimates task gradients.
    """

    def learner(setup: Setup) -> Learner:
        from .learner import MetaTrainer

        return MetaTrainer(setup, selector())

    def check(settings: TrainingSettings) -> None:
        _check_shares(settings)
        if gradients:
            check_gradient_samples(settings)

    def memory(settings: TrainingSettings, family: Family, tasks: int) -> dict[str, int]:
        of_gradients = _gradient_memory(settings, family) if gradients else {}
        return _memory(settings, family, tasks) | of_gradients

    return Method(
        name,
        title,
        learner,
        _SETTINGS,
        check,
        memory,
        adaptation_steps=lambda s: (s.schedule.n_zeroshot, s.schedule.n_inner),
        model_based=True,
    )


def _ascent() -> Selector:
    from .selectors.ascent import GradientAscent

    return GradientAscent()


def _uniform() -> Selector:
    from .selectors.uniform import Uniform

    return Uniform()


def _gaussian() -> Selector:
    from .selectors.gaussian import Gaussian

    return Gaussian()


def check_gradient_samples(settings: TrainingSettings) -> None:
    """Whether the samples of a task gradient are enough for its estimator.

    Raises:
        SettingError: naming what is too small.
    """
    gradient, horizon = settings.task_gradient, settings.physics.horizon
    rows = settings.schedule.n_virtual_envs
    real_rows = settings.num_real_envs(gradient.real_samples)
    # auto compares two halves, and each needs what the estimator needs
    fewest = 2 if gradient.damping == "auto" else 1
    if real_rows < fewest:
        raise SettingError(
            "gradient_real_samples",
            f"expected at least {fewest} environments of {horizon} steps for gradient_damping "
            f"auto, got {gradient.real_samples} samples in {real_rows}",
        )
    if gradient.hessian == "trajectory":
        fewest *= 2
        if gradient.virtual_samples // rows < horizon:
            raise SettingError(
                "gradient_virtual_samples",
                f"expected at least {horizon} for each of {rows} n_virtual_envs, a whole episode, "
                f"for gradient_hessian trajectory, got {gradient.virtual_samples}",
            )
    if rows < fewest:
        raise SettingError(
            "n_virtual_envs",
            f"expected at least {fewest} for gradient_hessian {gradient.hessian} and "
            f"gradient_damping {gradient.damping}, got {rows}",
        )


def _check_shares(settings: TrainingSettings) -> None:
    """Whether samples are the same number in every environment."""
    schedule, gradient = settings.schedule, settings.task_gradient
    virtual, real = schedule.n_virtual_envs, settings.collection.num_envs
    for name, count, envs_name, envs in (
        ("n_trpo", schedule.n_trpo, "n_virtual_envs", virtual),
        ("n_collect", schedule.n_collect, "num_envs", real),
        ("n_validation", schedule.n_validation, "num_envs", real),
        ("gradient_virtual_samples", gradient.virtual_samples, "n_virtual_envs", virtual),
        ("gradient_real_samples", gradient.real_samples, "num_envs", real),
        ("n_adapt", schedule.n_adapt, "num_envs", real),
    ):
        if count % envs:
            raise SettingError(name, f"expected a multiple of {envs_name} ({envs}), got {count}")


def _memory(settings: TrainingSettings, family: Family, tasks: int) -> dict[str, int]:
    networks, schedule = settings.networks, settings.schedule
    obs, act = family.obs_dim, family.act_dim
    row, kept = row_bytes(family), kept_bytes(family)
    units = sum(networks.policy_hidden)
    stages = schedule.n_slbo_first + (schedule.n_tasks - 1) * schedule.n_slbo
    return {
        **episodes_bytes(settings, family),
        "n_trpo": tasks * schedule.n_trpo * (row + UNIT * units),
        "n_collect": stages * schedule.n_collect * kept,
        "n_validation": stages * schedule.n_validation * kept,
        "policy_hidden": tasks * network_bytes(obs, networks.policy_hidden, act),
        "value_hidden": tasks * network_bytes(obs, networks.value_hidden, 1),
        "dynamics_hidden": network_bytes(obs + act, networks.dynamics_hidden, obs),
        "dynamics_batch_size": settings.dynamics_fit.batch_size
        * (kept + UNIT * sum(networks.dynamics_hidden)),
    }


def _gradient_memory(settings: TrainingSettings, family: Family) -> dict[str, int]:
    gradient = settings.task_gradient
    of_each = row_bytes(family) + _GRADIENT_UNIT * sum(settings.networks.policy_hidden)
    return {
        "gradient_virtual_samples": gradient.virtual_samples * of_each,
        "gradient_real_samples": 2 * gradient.real_samples * of_each,
    }


ADMRL = model_based("admrl", "AdMRL", _ascent, gradients=True)
MB_UNIF = model_based("mb-unif", "MB-Unif", _uniform)
MB_GAUSS = model_based("mb-gauss", "MB-Gauss", _gaussian)
