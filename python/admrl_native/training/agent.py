"""What is learned for one task: a policy, its value function, their optimiser."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..networks.normaliser import Normaliser
from ..networks.policy import GaussianPolicy
from ..networks.settings import NetworkSettings
from ..networks.value import ValueFunction
from .adam_state import adam_tensors, load_adam_tensors
from .settings import ValueFitSettings
from .value_fit import ValueFit


class Agent:
    """A fresh π_θ and V for one task (Algorithm 1, line 3).

    Args:
        generator: source of the initial weights (CPU).
    """

    def __init__(
        self,
        obs_dim: int,
        act_dim: int,
        networks: NetworkSettings,
        value_fit: ValueFitSettings,
        generator: torch.Generator,
        device: torch.device,
    ) -> None:
        self.policy = GaussianPolicy(obs_dim, act_dim, networks, generator).to(device)
        self.value = ValueFunction(obs_dim, networks, generator).to(device)
        self.value_fit = ValueFit(self.value, value_fit)

    def adopt_normaliser(self, states: Normaliser) -> None:
        """The policy and the value function take on the statistics of the states.

        Both stay the same functions (`Normaliser.adopt`). Adam's moments of V's first layer are
        left as they are: the statistics move little by then, and the moments soon follow.
        """
        self.policy.adopt_normaliser(states)
        self.value.normaliser.adopt(states, self.value.net.weights_and_biases()[0])

    def networks(self) -> dict[str, dict[str, Tensor]]:
        """Parameters and normalisers, by network."""
        return {"policy": self.policy.state_dict(), "value": self.value.state_dict()}

    def optimisers(self) -> dict[str, dict[str, Tensor]]:
        """Adam's moments."""
        return {"value": adam_tensors(self.value_fit.optimiser)}

    def load(self, networks: Mapping[str, Any], optimisers: Mapping[str, Any]) -> None:
        self.policy.load_state_dict(networks["policy"])
        self.value.load_state_dict(networks["value"])
        load_adam_tensors(self.value_fit.optimiser, optimisers["value"])
