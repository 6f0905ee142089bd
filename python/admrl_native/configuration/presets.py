"""The presets: tables of what differs from the published values. Change the numbers here."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from ..algorithms.settings import TrainingSettings
from .options import override

# A preset is three layers of option values, the later ones winning: the paper's values for the
# family, the preset's own, the preset's own for the family.
_Table = Mapping[str, Mapping[str, Any]]

# Source: Appendices B and C. The defaults, which the other presets have, were measured to be more
# accurate (docs/task-gradient.md).
PAPER_GRADIENT: Mapping[str, Any] = {
    "gradient_hessian": "per-step",
    "gradient_damping": 0.1,
    "untrusted_gradient": "follow",
}

# Source: Appendix C and the authors' code. Other families: the defaults, which are Ant2D's.
PAPER: _Table = {
    "Hopper2D": {"n_tasks": 10, "n_slbo_first": 10, "step_size": 2.0},
    "Walker2D": {"n_tasks": 10, "n_slbo_first": 10, "step_size": 8.0},
    "Ant2D": {"n_tasks": 20, "n_slbo_first": 20, "step_size": 4.0},
    "Ant3D": {"n_tasks": 20, "n_slbo_first": 20, "step_size": 4.0},
    "Cheetah-Highdim": {"n_tasks": 20, "n_slbo_first": 20, "step_size": 16.0},
}

# Large enough to compare methods (docs/durations.md). Real samples are as many as in the paper and
# model steps as many for each of them, because that is what makes the model good enough (Ant2D
# needs all the 20 stages of the first task); networks and policy updates are fewer.
#
# The methods without a model get the time instead of the samples: some millions.
SMALL: Mapping[str, Any] = {
    "n_tasks": 6,
    "n_zeroshot": 12,
    "n_slbo": 3,
    "n_inner": 6,
    "n_model": 400,
    "n_policy": 20,
    "n_trpo": 8000,
    "n_virtual_envs": 40,
    "n_collect": 10_000,
    "n_validation": 2000,
    "dynamics_hidden": (256, 256),
    "value_normalise_targets": True,
    "entropy_coefficient": 0.0,
    "gradient_virtual_samples": 8000,
    "evaluation_episodes": 50,
    "mt_iterations": 500,
    "mt_tasks_per_iteration": 20,
    "mt_rollouts": 4,
    "maml_iterations": 100,
    "maml_meta_batch": 20,
    "maml_rollouts": 10,
    "maml_hidden": (64, 64),
    "maml_max_kl": 0.05,
    "maml_inner_step_size": 0.5,
    "maml_test_step_size": 0.5,
    "pearl_iterations": 30,
    "pearl_initial_samples": 1000,
    "pearl_gradient_steps": 1000,
    "pearl_batch_size": 64,
    "pearl_encoder_hidden": (64, 64),
    "sac_hidden": (128, 128),
    "sac_learning_rate": 1e-3,
    "sac_target_rate": 0.02,
}
SMALL_BY_FAMILY: _Table = {
    "Hopper2D": {"n_slbo_first": 3},
    "Walker2D": {"n_slbo_first": 10},
}

# Every part of the method runs, on real MuJoCo (docs/durations.md). Five tasks: the first is given,
# the second random, and the gradient at each of the next makes the one after it.
QUICK: Mapping[str, Any] = {
    "n_tasks": 5,
    "n_zeroshot": 8,
    "n_slbo": 2,
    "n_slbo_first": 3,
    "n_inner": 5,
    "n_model": 100,
    "n_policy": 10,
    "n_trpo": 2000,
    "n_virtual_envs": 10,
    "n_collect": 2000,
    "n_validation": 1000,
    "num_envs": 10,
    "dynamics_hidden": (128, 128),
    "gradient_virtual_samples": 2000,
    "gradient_real_samples": 2000,
    "value_normalise_targets": True,
    "entropy_coefficient": 0.0,
    "evaluation_episodes": 10,
    "n_train_tasks": 20,
    "mt_iterations": 20,
    "mt_tasks_per_iteration": 10,
    "mt_rollouts": 4,
    "maml_iterations": 10,
    "maml_meta_batch": 10,
    "maml_rollouts": 4,
    "maml_hidden": (32, 32),
    "maml_inner_step_size": 0.5,
    "maml_test_step_size": 0.5,
    "pearl_iterations": 5,
    "pearl_initial_samples": 400,
    "pearl_gradient_steps": 200,
    "pearl_batch_size": 32,
    "pearl_encoder_hidden": (64, 64),
    "sac_hidden": (64, 64),
    "sac_learning_rate": 1e-3,
    "sac_target_rate": 0.02,
}
QUICK_BY_FAMILY: _Table = {}

_PRESETS: Mapping[str, tuple[Mapping[str, Any], _Table]] = {
    "quick": (QUICK, QUICK_BY_FAMILY),
    "small": (SMALL, SMALL_BY_FAMILY),
    "paper": (PAPER_GRADIENT, {}),
}
PRESETS = tuple(_PRESETS)


@functools.cache
def preset(name: str, family: str) -> TrainingSettings:
    """The settings of a preset for a family.

    Args:
        name: one of `PRESETS`.
        family: the family's name; one that the tables do not know gets the defaults, Ant2D's.
    """
    own, by_family = _PRESETS[name]
    layers = (PAPER.get(family, {}), own, by_family.get(family, {}))
    return override(TrainingSettings(), {k: v for layer in layers for k, v in layer.items()})
