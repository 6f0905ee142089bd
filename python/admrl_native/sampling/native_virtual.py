"""Rollouts in the learned model on the CPU: one native call for any number of tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .._native import _core
from ..networks.dynamics import Dynamics
from ..networks.policy import GaussianPolicy
from .draws import draw
from .folding import FoldedDynamics
from .real import PolicyArrays
from .trajectories import Trajectories


class NativeVirtualSampler:
    """Implements `VirtualSampler` by `core/rollout/virtual_rollout`; twin: `TorchVirtualSampler`.

    Args:
        pool: threads that share the work.
        family: reward and termination.
        dynamics: T̂_φ, on the CPU.
        policies: B policies.
        precision: of the model's products, "fp32" or "bf16".
        num_envs: N environments of each task.
        num_steps: T, steps of each environment.
        horizon: steps after which an episode times out.
    """

    def __init__(
        self,
        pool: _core.ThreadPool,
        family: _core.FamilySpec,
        dynamics: Dynamics,
        policies: Sequence[GaussianPolicy],
        precision: str,
        *,
        num_envs: int,
        num_steps: int,
        horizon: int,
    ) -> None:
        self._pool, self._family = pool, family
        self._dynamics, self._precision = dynamics, precision
        self._policies = [PolicyArrays.of(p).native() for p in policies]
        self._sizes = (num_steps, num_envs, family.act_dim)
        self._horizon = horizon
        self._model: _core.VirtualModel | None = None  # packed when it is first needed

    def take_model(self) -> None:
        folded = FoldedDynamics.of(self._dynamics)
        self._model = _core.VirtualModel(
            self._pool,
            [(_array(weight), _array(bias)) for weight, bias in folded.layers],
            _array(folded.low),
            _array(folded.high),
            precision=self._precision,
        )

    def sample(
        self, psis: Tensor, start_states: Tensor, generators: Sequence[torch.Generator]
    ) -> list[Trajectories]:
        if self._model is None:
            self.take_model()
        assert self._model is not None
        draws = [draw(self._sizes, len(start_states), generator) for generator in generators]
        samples: dict[str, Any] = _core.virtual_rollouts(
            self._pool,
            self._model,
            self._family,
            self._policies,
            np.ascontiguousarray(psis.numpy(), dtype=np.float64),
            _array(start_states),
            [noise.numpy() for noise, _ in draws],
            [starts.numpy() for _, starts in draws],
            horizon=self._horizon,
        )
        tensors = {name: torch.from_numpy(array) for name, array in samples.items()}
        return [
            Trajectories(**{name: x[b] for name, x in tensors.items()})
            for b in range(len(self._policies))
        ]


def _array(x: Tensor) -> Any:
    return x.detach().contiguous().numpy()
