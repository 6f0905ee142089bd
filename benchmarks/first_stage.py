"""A training run at the start of its first stage: what the benchmarks of learning are made with."""

from __future__ import annotations

import dataclasses
import typing

import torch
from torch import Tensor

from admrl_native.algorithms.environments import Environments
from admrl_native.algorithms.settings import TrainingSettings
from admrl_native.configuration.presets import preset
from admrl_native.families.catalogue import make_family
from admrl_native.families.task_space import TaskSpace
from admrl_native.seeding import derive_generator
from admrl_native.training.agent import Agent
from admrl_native.training.compute import Compute
from admrl_native.training.learned_dynamics import LearnedDynamics

_MODEL_STEPS = 200  # enough that virtual episodes look like real ones


@dataclasses.dataclass(frozen=True)
class FirstStage:
    """The first task with a fresh agent, one real collection, and a model fitted to it.

    Attributes:
        settings: those of the preset.
        environments: the real environments.
        psi: the task (K,).
        model: fitted a little.
        agent: untrained, with the model's state normaliser.
    """

    settings: TrainingSettings
    environments: Environments
    psi: Tensor
    model: LearnedDynamics
    agent: Agent

    @classmethod
    def begin(cls, family_name: str, preset_name: str, threads: int) -> typing.Self:
        settings = preset(preset_name, family_name)
        family = make_family(family_name)
        environments = Environments(family, settings, threads, torch.device("cpu"))
        first_u = torch.full((family.task_dim,), settings.task_selection.first_u)
        psi = TaskSpace(family).from_normalised(first_u.double())
        model = environments.new_model(derive_generator(0, "model"))
        agent = environments.new_agent(derive_generator(0, "agent"))
        stage = cls(settings, environments, psi, model, agent)
        model.add("train", stage.collect())
        agent.adopt_normaliser(model.dynamics.states)
        model.fit.fit(model.replays["train"], _MODEL_STEPS, derive_generator(0, "fit"))
        return stage

    def collect(self) -> dict[str, Tensor]:
        """One real collection of a stage."""
        n_collect = self.settings.schedule.n_collect
        return self.environments.collect(self.agent.policy, self.psi, n_collect, 1, "train")

    def start_states(self) -> Tensor:
        """Real reset states (S, D) from which virtual rollouts begin."""
        return self.environments.start_states(0)

    def inner_iteration(
        self,
        seed: int,
        compute: Compute | None = None,
        agent: Agent | None = None,
        model: LearnedDynamics | None = None,
    ) -> None:
        """One inner iteration of SLBO: trains the model and the agent, by default its own."""
        self.environments.virtual_training(
            [agent or self.agent],
            model or self.model,
            self.psi.unsqueeze(0),
            1,
            seed,
            compute=compute,
        )
