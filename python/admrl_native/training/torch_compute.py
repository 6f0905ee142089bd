"""Virtual training in plain torch, on any device; the twin of `native_compute`."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ..derivatives.settings import TrpoSettings
from ..families.declaration import Family
from ..families.torch_family import TorchFamily
from ..networks.dynamics import Dynamics
from ..networks.policy import GaussianPolicy
from ..networks.value import ValueFunction
from ..sampling.replay import Replay
from ..sampling.trajectories import Trajectories
from ..sampling.virtual import TorchVirtualSampler
from .advantage import advantages_and_returns
from .agent import Agent
from .compute import AgentUpdate, Targets
from .dynamics_fit import DynamicsFit
from .settings import AdvantageSettings
from .trpo import TrpoResult, trpo_update


class TorchCompute:
    """Implements `Compute` in torch, one task after the other; the model's rollouts side by side.

    Args:
        family: what a task is.
        device: where the networks are.
        precision: "fp32", or "bf16": operands rounded, multiplied in float32.
    """

    path = "torch"

    def __init__(self, family: Family, device: torch.device, precision: str) -> None:
        self.precision = precision
        self._device = device
        self._family = TorchFamily(family, device)

    def describe(self) -> dict[str, str]:
        where = f"torch {torch.__version__} on {self._device.type}"
        return {"path": self.path, "precision": self.precision, "where": where}

    def virtual_sampler(
        self,
        dynamics: Dynamics,
        policies: Sequence[GaussianPolicy],
        *,
        num_envs: int,
        num_steps: int,
        horizon: int,
    ) -> TorchVirtualSampler:
        return TorchVirtualSampler(
            dynamics,
            policies,
            self._family,
            precision=self.precision,
            num_envs=num_envs,
            num_steps=num_steps,
            horizon=horizon,
        )

    def fit_dynamics(
        self, fit: DynamicsFit, replay: Replay, steps: int, generator: torch.Generator
    ) -> float:
        return fit.fit(replay, steps, generator, self.precision)

    def advantages_and_returns(
        self,
        samples: Sequence[Trajectories],
        values: Sequence[ValueFunction],
        settings: AdvantageSettings,
    ) -> list[Targets]:
        return [
            advantages_and_returns(s, value, settings)
            for s, value in zip(samples, values, strict=True)
        ]

    def update_policies(
        self,
        agents: Sequence[Agent],
        samples: Sequence[Trajectories],
        targets: Sequence[Targets],
        settings: TrpoSettings,
    ) -> list[TrpoResult]:
        steps = []
        for agent, s, (advantages, _) in zip(agents, samples, targets, strict=True):
            obs, actions = s.obs.flatten(0, 1), s.actions.flatten(0, 1)
            steps.append(trpo_update(agent.policy, obs, actions, advantages.flatten(), settings))
        return steps

    def fit_values(
        self,
        agents: Sequence[Agent],
        samples: Sequence[Trajectories],
        targets: Sequence[Targets],
        generators: Sequence[torch.Generator],
    ) -> list[float]:
        tasks = zip(agents, samples, targets, generators, strict=True)
        return [
            agent.value_fit.fit(s.obs.flatten(0, 1), returns.flatten(), generator)
            for agent, s, (_, returns), generator in tasks
        ]

    def update_agents(
        self,
        agents: Sequence[Agent],
        samples: Sequence[Trajectories],
        targets: Sequence[Targets],
        settings: TrpoSettings,
        generators: Sequence[torch.Generator],
    ) -> list[AgentUpdate]:
        steps = self.update_policies(agents, samples, targets, settings)
        losses = self.fit_values(agents, samples, targets, generators)
        return [AgentUpdate(*update) for update in zip(steps, losses, strict=True)]
