"""The real environment T*: MuJoCo, with the policy inside the native simulation threads."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .._native import _core
from ..families.declaration import Family
from ..families.native import native_simulation
from ..families.physics import PhysicsSettings
from ..networks.policy import GaussianPolicy
from .trajectories import Trajectories

FloatArray = NDArray[np.float32]


@dataclasses.dataclass(frozen=True)
class PolicyArrays:
    """The numbers of a Gaussian policy, float32, C order: views of torch tensors on the CPU.

    Attributes:
        layers: (weight (out, in), bias (out,)) of each layer; tanh between them.
        log_std: (A,).
        obs_mean: (D,) subtracted from the observation.
        obs_std: (D,) what it is divided by.
    """

    layers: list[tuple[FloatArray, FloatArray]]
    log_std: FloatArray
    obs_mean: FloatArray
    obs_std: FloatArray

    @classmethod
    def of(cls, policy: GaussianPolicy) -> typing.Self:
        """The arrays of a policy; views where it is on the CPU."""
        return cls(
            layers=[
                (_array(layer.weight), _array(layer.bias))
                for layer in policy.mean.layers
                if isinstance(layer, torch.nn.Linear)
            ],
            log_std=_array(policy.log_std),
            obs_mean=_array(policy.normaliser.mean),
            obs_std=_array(policy.normaliser.std),
        )


class RealEnvironment:
    """N environments of a family.

    Raises:
        ValueError: fewer than one environment or thread, or a family that does not fit its model.
        FileNotFoundError: the family's model does not exist.

    Determinism: results depend on the seed of each call alone, not on the number of threads or on
    earlier calls.
    """

    def __init__(
        self, family: Family, physics: PhysicsSettings, num_envs: int, num_threads: int
    ) -> None:
        self.family = family
        self.physics = physics
        self.simulation = native_simulation(family, physics, num_envs, num_threads)

    @property
    def num_envs(self) -> int:
        """N."""
        return self.simulation.num_envs

    @property
    def obs_dim(self) -> int:
        """D."""
        return self.simulation.obs_dim

    @property
    def act_dim(self) -> int:
        """A."""
        return self.simulation.act_dim

    def rollout(
        self,
        policy: PolicyArrays,
        num_steps: int,
        *,
        seed: int,
        psi: Tensor | Sequence[float],
        ou_theta: float = 0.0,
        ou_sigma: float = 0.0,
        deterministic: bool = False,
    ) -> Trajectories:
        """Resets every environment with the seed and follows the policy for T steps.

        Args:
            policy: read at the start of the call.
            num_steps: T.
            seed: of the reset states and the actions, in [0, 2⁶⁴).
            psi: (K,) the task, or (N, K) one for each environment; it may lie outside Ψ.
            ou_theta: mean reversion of the Ornstein–Uhlenbeck noise added to the action, per step.
            ou_sigma: its scale; 0: no such noise.
            deterministic: the mean action, without any noise.

        Raises:
            ValueError: the policy or ψ does not fit, or an action is not finite.
            SimulationError: MuJoCo raised an error in some environments.
            KeyboardInterrupt: Ctrl-C, within about a tenth of a second.

        Determinism: the same bits at any number of threads.
        """
        native = _core.GaussianPolicy(
            policy.layers, policy.log_std, policy.obs_mean, policy.obs_std
        )
        arrays = self.simulation.rollout(
            policy=native,
            num_steps=num_steps,
            seed=seed,
            psi=np.ascontiguousarray(torch.as_tensor(psi, dtype=torch.float64).cpu().numpy()),
            ou_theta=ou_theta,
            ou_sigma=ou_sigma,
            deterministic=deterministic,
        )
        return Trajectories(**{name: torch.from_numpy(a) for name, a in arrays.items()})

    def reset_states(self, n: int, seed: int) -> Tensor:
        """n fresh initial observations (n, D) float32, to start virtual rollouts from."""
        return torch.from_numpy(self.simulation.initial_observations(n, seed))


def _array(x: Tensor) -> FloatArray:
    return np.ascontiguousarray(x.detach().cpu().numpy(), dtype=np.float32)
