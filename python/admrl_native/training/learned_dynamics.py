"""The shared structure φ and everything it is learned from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..networks.dynamics import Dynamics
from ..networks.settings import NetworkSettings
from ..sampling.replay import Replay
from .adam_state import adam_tensors, load_adam_tensors
from .dynamics_fit import DynamicsFit
from .settings import DynamicsFitSettings


class LearnedDynamics:
    """The model T̂_φ, its optimiser, and the real transitions: shared by all tasks.

    Attributes:
        dynamics: T̂_φ with its normalisers.
        fit: the optimiser of φ.
        replays: "train" (the data D of Algorithm 1) and "validation" (held out).
    """

    def __init__(
        self,
        obs_dim: int,
        act_dim: int,
        networks: NetworkSettings,
        settings: DynamicsFitSettings,
        generator: torch.Generator,
        device: torch.device,
    ) -> None:
        self._arguments = (obs_dim, act_dim, networks, settings)
        self._device = device
        self.dynamics = Dynamics(obs_dim, act_dim, networks, settings.state_clip, generator).to(
            device
        )
        self.fit = DynamicsFit(self.dynamics, settings)
        self.replays = {
            purpose: Replay(obs_dim, act_dim, device) for purpose in ("train", "validation")
        }

    def add(self, purpose: str, transitions: Mapping[str, Tensor]) -> None:
        """Appends obs (M, D), actions (M, A), next_obs (M, D); "train" updates the normalisers."""
        self.replays[purpose].append(transitions)
        if purpose == "train":
            device = self._device
            self.dynamics.update_normalisers(
                transitions["obs"].to(device), transitions["next_obs"].to(device)
            )

    def copy(self, *, with_data: bool) -> LearnedDynamics:
        """An independent copy of the model and its optimiser and, if asked, of the data."""
        twin = LearnedDynamics(*self._arguments, torch.Generator(), self._device)
        twin.load(self.networks(), self.optimisers())
        if with_data:
            for purpose, replay in self.replays.items():
                obs, actions, next_obs = replay.all()
                twin.replays[purpose].append({"obs": obs, "actions": actions, "next_obs": next_obs})
        return twin

    def networks(self) -> dict[str, dict[str, Tensor]]:
        """Parameters and normalisers."""
        return {"dynamics": self.dynamics.state_dict()}

    def optimisers(self) -> dict[str, dict[str, Tensor]]:
        """Adam's moments."""
        return {"dynamics": adam_tensors(self.fit.optimiser)}

    def load(self, networks: Mapping[str, Any], optimisers: Mapping[str, Any]) -> None:
        self.dynamics.load_state_dict(networks["dynamics"])
        load_adam_tensors(self.fit.optimiser, optimisers["dynamics"])
