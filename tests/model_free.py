"""Training runs of the model-free methods that are small enough for tests."""

from __future__ import annotations

from typing import Any

from admrl_native.algorithms.iterative import IterativeLearner
from admrl_native.algorithms.methods import METHODS
from admrl_native.algorithms.setup import Setup
from admrl_native.configuration.options import options, override
from admrl_native.configuration.presets import preset
from admrl_native.families.catalogue import make_family
from toy import Memory

MODEL_FREE = [name for name, method in METHODS.items() if not method.model_based]

# By option name, for every method: each takes what it reads.
_OPTIONS: dict[str, Any] = {
    "horizon": 20,
    "n_adapt": 40,
    "n_train_tasks": 4,
    "policy_hidden": (8,),
    "value_hidden": (8,),
    "value_epochs": 1,
    "mt_iterations": 3,
    "mt_tasks_per_iteration": 3,
    "mt_rollouts": 2,
    "maml_iterations": 3,
    "maml_meta_batch": 3,
    "maml_rollouts": 2,
    "maml_hidden": (8,),
    "pearl_iterations": 3,
    "pearl_tasks_per_iteration": 2,
    "pearl_prior_samples": 20,
    "pearl_posterior_samples": 40,
    "pearl_initial_samples": 40,
    "pearl_gradient_steps": 2,
    "pearl_meta_batch": 2,
    "pearl_batch_size": 16,
    "pearl_context_size": 8,
    "pearl_encoder_hidden": (8,),
    "sac_hidden": (8,),
}


def tiny_options(method: str) -> dict[str, Any]:
    """The options of a tiny run of a method, by name."""
    return {
        name: value
        for name, value in _OPTIONS.items()
        if METHODS[method].reads(options()[name].group, options()[name].field)
    }


def make_learner(
    observer: Memory,
    method: str,
    family: str = "Hopper2D",
    *,
    seed: int = 0,
    threads: int = 1,
    device: str = "cpu",
    **changes: Any,
) -> IterativeLearner:
    """A tiny learner at its beginning."""
    settings = override(preset("quick", family), {**tiny_options(method), **changes})
    setup = Setup(make_family(family), settings, seed, threads, device, observer)
    learner = METHODS[method].learner(setup)
    assert isinstance(learner, IterativeLearner)
    return learner
