"""How the heavy parts of Algorithm 2 are computed: one interface, a native path and plain torch.

Every operation takes B tasks that share one model. What it computes for one of them does not depend
on the others: natively to the bit, in torch up to the rounding of products of another shape.

An error (a network that is not finite, say) may come when some of the agents have been written:
they are not to be used any more.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from ..derivatives.settings import TrpoSettings
from ..networks.dynamics import Dynamics
from ..networks.policy import GaussianPolicy
from ..networks.value import ValueFunction
from ..sampling.replay import Replay
from ..sampling.trajectories import Trajectories
from .agent import Agent
from .dynamics_fit import DynamicsFit
from .settings import AdvantageSettings
from .trpo import TrpoResult

Targets = tuple[Tensor, Tensor]  # advantages (N, T), value targets (N, T)


@dataclasses.dataclass(frozen=True)
class AgentUpdate:
    """What one policy update and value fit did.

    Attributes:
        trpo: the policy's step.
        value_loss: mean loss of the value function over the last epoch of its fit.
    """

    trpo: TrpoResult
    value_loss: float


class VirtualSampler(Protocol):
    """Samples trajectories of B policies for B tasks in one learned model, again and again."""

    def take_model(self) -> None:
        """From now on, uses the model as it is at this moment."""

    def sample(
        self, psis: Tensor, start_states: Tensor, generators: Sequence[torch.Generator]
    ) -> list[Trajectories]:
        """N · T transitions of each policy as it is now (Algorithm 2, line 5).

        Every environment starts at a real reset state; an episode that ends, by the family's own
        rule on the predicted state or at the horizon, is followed by a new one.

        Args:
            psis: tasks (B, K).
            start_states: (S, D) real reset states to draw from.
            generators: one for each task: its random numbers do not depend on the other tasks.

        Returns:
            B trajectories of shape (N, T, …).

        Raises:
            ValueError: arguments that do not fit; natively also a network that is not finite.

        Determinism: the same generator states give the same bits on one device, for the same B.
        """


class Compute(Protocol):
    """The heavy parts of virtual training.

    Attributes:
        path: "native" or "torch".
        precision: of the products of the dynamics model, "fp32" or "bf16".
    """

    path: str
    precision: str

    def describe(self) -> dict[str, str]:
        """path, precision, and where: the kernels or the device."""

    def virtual_sampler(
        self,
        dynamics: Dynamics,
        policies: Sequence[GaussianPolicy],
        *,
        num_envs: int,
        num_steps: int,
        horizon: int,
    ) -> VirtualSampler:
        """A sampler of B policies in the model.

        Args:
            dynamics: T̂_φ.
            policies: B of them, of one shape.
            num_envs: N environments of each task.
            num_steps: T, steps of each environment.
            horizon: steps after which an episode times out.
        """

    def fit_dynamics(
        self, fit: DynamicsFit, replay: Replay, steps: int, generator: torch.Generator
    ) -> float:
        """`steps` gradient steps of the model; returns their mean loss (Algorithm 2, line 3)."""

    def advantages_and_returns(
        self,
        samples: Sequence[Trajectories],
        values: Sequence[ValueFunction],
        settings: AdvantageSettings,
    ) -> list[Targets]:
        """Â (N, T) and the value targets (N, T) of each task."""

    def update_policies(
        self,
        agents: Sequence[Agent],
        samples: Sequence[Trajectories],
        targets: Sequence[Targets],
        settings: TrpoSettings,
    ) -> list[TrpoResult]:
        """A TRPO step of each agent's policy, which is written.

        Args:
            agents: B of them.
            samples: of each agent's policy.
            targets: what `advantages_and_returns` gave for them.
            settings: of the step.
        """

    def fit_values(
        self,
        agents: Sequence[Agent],
        samples: Sequence[Trajectories],
        targets: Sequence[Targets],
        generators: Sequence[torch.Generator],
    ) -> list[float]:
        """A fit of each agent's value function, which is written; its last mean loss."""

    def update_agents(
        self,
        agents: Sequence[Agent],
        samples: Sequence[Trajectories],
        targets: Sequence[Targets],
        settings: TrpoSettings,
        generators: Sequence[torch.Generator],
    ) -> list[AgentUpdate]:
        """`update_policies` and `fit_values` (Algorithm 2, line 6); they may run side by side."""
