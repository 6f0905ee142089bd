"""Whether what the settings ask for fits into this machine's memory, before anything is begun."""

from __future__ import annotations

import itertools
import os
import pathlib

from ..settings import SettingError
from .config import Config

# Bytes for each number of a transition, and for each unit of a network on it, as measured by the
# peaks of trainings on Hopper2D, Ant3D and Cheetah-Highdim: copies for an update included.
_NUMBER, _UNIT = 8, 8
_MAML_UNIT, _GRADIENT_UNIT = 16, 96  # the same, where torch differentiates, once and twice
_KEPT = 20  # for each number of a transition in a replay, which doubles its buffer when it is full
_WEIGHT = 20  # for each weight: itself, its gradient, two moments, and the packed copy
_CGROUP_LIMIT = pathlib.Path("/sys/fs/cgroup/memory.max")


def check_memory(config: Config, *, tasks: int = 1, processes: int = 1, **steps: int) -> None:
    """Whether a run, or what is made from it, can hold its data.

    Args:
        config: of the run.
        tasks: that are learned side by side in one process.
        processes: with as much each.
        **steps: real steps that are held at once besides, by the name of what asks for them.

    Raises:
        SettingError: it takes more than this machine has; names the setting that takes most.
    """
    needed = estimate(config, tasks)
    needed |= {name: number * _row(config) for name, number in steps.items()}
    there = memory()
    total = processes * sum(needed.values())
    if there is None or total <= there:
        return
    name = max(needed, key=lambda n: needed[n])
    who = "" if processes == 1 else f" in {processes} processes"
    raise SettingError(
        name,
        f"expected what fits into the {_in_gigabytes(there)} of memory there are, got settings "
        f"that take about {_in_gigabytes(total)}{who}, most of it for this",
    )


def estimate(config: Config, tasks: int = 1) -> dict[str, int]:
    """Bytes that the settings of a run make it hold at once, by the option that asks for most.

    Args:
        config: of the run.
        tasks: that are learned side by side.
    """
    training, family = config.training, config.family
    obs, act = family.obs_dim, family.act_dim
    row = _row(config)
    kept = _KEPT * (2 * obs + act)
    physics, networks, schedule = training.physics, training.networks, training.schedule
    episodes = training.collection.evaluation_episodes * physics.horizon * row
    if config.model_based:
        units = sum(networks.policy_hidden)
        stages = schedule.n_slbo_first + (schedule.n_tasks - 1) * schedule.n_slbo
        needed = {
            "evaluation_episodes": episodes,
            "n_trpo": tasks * schedule.n_trpo * (row + _UNIT * units),
            "n_collect": stages * schedule.n_collect * kept,
            "n_validation": stages * schedule.n_validation * kept,
            "policy_hidden": tasks * _weights(obs, networks.policy_hidden, act),
            "value_hidden": tasks * _weights(obs, networks.value_hidden, 1),
            "dynamics_hidden": _weights(obs + act, networks.dynamics_hidden, obs),
            "dynamics_batch_size": training.dynamics_fit.batch_size
            * (kept + _UNIT * sum(networks.dynamics_hidden)),
        }
        if config.method == "admrl":
            gradient = training.task_gradient
            of_each = row + _GRADIENT_UNIT * units
            needed["gradient_virtual_samples"] = gradient.virtual_samples * of_each
            needed["gradient_real_samples"] = 2 * gradient.real_samples * of_each
        return needed
    needed = {"evaluation_episodes": episodes}
    if config.method == "mt-joint":
        mt, of_each = training.mt, row + _UNIT * sum(networks.policy_hidden)
        needed["mt_rollouts"] = mt.tasks_per_iteration * mt.rollouts * physics.horizon * of_each
        needed["policy_hidden"] = _weights(obs + family.task_dim, networks.policy_hidden, act)
        needed["value_hidden"] = _weights(obs + family.task_dim, networks.value_hidden, 1)
    elif config.method.startswith("maml"):
        maml = training.maml
        of_each = row + _MAML_UNIT * sum(maml.hidden)
        rows = maml.meta_batch * maml.rollouts * physics.horizon * (1 + maml.inner_steps)
        needed["maml_rollouts"] = rows * of_each
        needed["maml_hidden"] = maml.meta_batch * _weights(obs, maml.hidden, act)
    else:
        pearl, sac = training.pearl, training.sac
        visits = pearl.iterations * pearl.tasks_per_iteration
        samples = visits * (pearl.prior_samples + pearl.posterior_samples)
        batch = pearl.meta_batch * pearl.batch_size
        needed["pearl_prior_samples"] = samples * kept
        needed["pearl_initial_samples"] = training.meta.n_train_tasks * pearl.initial_samples * kept
        needed["pearl_batch_size"] = batch * (row + 5 * _UNIT * sum(sac.hidden))
        needed["sac_hidden"] = 5 * _weights(obs + act + pearl.latent_dim, sac.hidden, act)
        needed["pearl_encoder_hidden"] = _weights(
            2 * obs + act, pearl.encoder_hidden, 2 * pearl.latent_dim
        )
        needed["pearl_context_size"] = (
            pearl.meta_batch * pearl.context_size * (row + _UNIT * sum(pearl.encoder_hidden))
        )
    return needed


def memory() -> int | None:
    """Bytes that this process may have at most: of the machine, or of its control group."""
    try:
        machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # not POSIX
        return None
    try:
        return min(machine, int(_CGROUP_LIMIT.read_text()))
    except (OSError, ValueError):  # no control groups, or no limit: "max"
        return machine


def _row(config: Config) -> int:
    """Bytes of a transition that is learned from or judged by."""
    family = config.family
    return _NUMBER * (2 * family.obs_dim + 2 * family.act_dim + family.task_dim + 8)


def _weights(inputs: int, hidden: tuple[int, ...], outputs: int) -> int:
    sizes = [inputs, *hidden, outputs]
    return _WEIGHT * sum(a * b for a, b in itertools.pairwise(sizes))


def _in_gigabytes(number: int) -> str:
    return f"{number / 1e9:,.1f} GB"
