"""A training run small enough for tests, and an observer that remembers."""

from __future__ import annotations

import copy
from typing import Any

import torch

from admrl_native.algorithms.admrl.learner import MetaTrainer
from admrl_native.algorithms.methods import METHODS
from admrl_native.algorithms.settings import (
    ScheduleSettings,
    TaskSelectionSettings,
    TrainingSettings,
)
from admrl_native.algorithms.setup import Setup
from admrl_native.families.catalogue import make_family
from admrl_native.families.physics import PhysicsSettings
from admrl_native.networks.settings import NetworkSettings
from admrl_native.sampling.settings import CollectionSettings
from admrl_native.task_gradient.settings import TaskGradientSettings
from admrl_native.training.settings import ValueFitSettings

SETTINGS = TrainingSettings(
    schedule=ScheduleSettings(
        n_tasks=3,
        n_zeroshot=1,
        n_slbo=1,
        n_slbo_first=2,
        n_inner=1,
        n_model=5,
        n_policy=2,
        n_trpo=120,
        n_virtual_envs=6,
        n_collect=80,
        n_validation=40,
        n_adapt=40,
    ),
    physics=PhysicsSettings(horizon=20),
    collection=CollectionSettings(num_envs=4, evaluation_episodes=3),
    networks=NetworkSettings(dynamics_hidden=(16, 16), policy_hidden=(8,), value_hidden=(8,)),
    value_fit=ValueFitSettings(normalise_targets=True, epochs=1),
    task_gradient=TaskGradientSettings(virtual_samples=120, real_samples=80, max_iterations=10),
    task_selection=TaskSelectionSettings(untrusted_gradient="follow"),  # so few say next to nothing
)

# As small, by option name: for runs from a command line.
OPTIONS: dict[str, Any] = {
    "n_tasks": 3,
    "n_zeroshot": 1,
    "n_slbo": 1,
    "n_slbo_first": 2,
    "n_inner": 1,
    "n_model": 5,
    "n_policy": 2,
    "n_trpo": 120,
    "n_virtual_envs": 6,
    "n_collect": 80,
    "n_validation": 40,
    "num_envs": 4,
    "horizon": 20,
    "dynamics_hidden": (16, 16),
    "gradient_virtual_samples": 120,
    "gradient_real_samples": 80,
    "untrusted_gradient": "follow",
    "evaluation_episodes": 3,
}


class Memory:
    """An observer that keeps everything; `stop_after` checkpoints it raises KeyboardInterrupt."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.phases: list[tuple[int, str]] = []
        self.records: list[tuple[str, dict[str, Any]]] = []
        self.states: list[dict[str, Any]] = []
        self.transitions: dict[str, list[dict[str, torch.Tensor]]] = {}
        self.stop_after = stop_after

    def begin(self, compute: dict[str, str]) -> None:
        self.compute = compute

    def phase(self, name: str, *, task: int, steps: int) -> None:
        self.phases.append((task, name))

    def step(self, values: dict[str, float]) -> None:
        pass

    def record(self, event: str, values: dict[str, Any]) -> None:
        self.records.append((event, copy.deepcopy(values)))

    def store(self, purpose: str, transitions: dict[str, torch.Tensor]) -> None:
        self.transitions.setdefault(purpose, []).append(transitions)

    def checkpoint(self, state: dict[str, Any]) -> None:
        self.states.append(copy.deepcopy(state))
        if len(self.states) == self.stop_after:
            raise KeyboardInterrupt

    def stored(self) -> dict[str, dict[str, torch.Tensor]]:
        """All transitions by purpose, concatenated in order."""
        return {
            purpose: {key: torch.cat([p[key] for p in parts]) for key in parts[0]}
            for purpose, parts in self.transitions.items()
        }


def make_trainer(
    observer: Memory,
    family: str = "Hopper2D",
    method: str = "admrl",
    seed: int = 0,
    threads: int = 1,
    settings: TrainingSettings = SETTINGS,
) -> MetaTrainer:
    setup = Setup(make_family(family), settings, seed, threads, "cpu", observer)
    learner = METHODS[method].learner(setup)
    assert isinstance(learner, MetaTrainer)
    return learner


def flags(**changes: Any) -> list[str]:
    """`OPTIONS` as a command line has them, with some values changed."""
    words = []
    for name, value in {**OPTIONS, **changes}.items():
        values = value if isinstance(value, tuple) else (value,)
        words += ["--" + name.replace("_", "-"), *map(str, values)]
    return words
