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
from ..networks.mlp import Mlp
from ..networks.policy import GaussianPolicy
from ..networks.squashed_policy import SquashedGaussianPolicy
from .trajectories import Trajectories

FloatArray = NDArray[np.float32]
SimulationError = _core.SimulationError


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
            layers=_layers(policy.mean),
            log_std=_array(policy.log_std),
            obs_mean=_array(policy.normaliser.mean),
            obs_std=_array(policy.normaliser.std),
        )

    def native(self) -> _core.PolicyArrays:
        """The native policy over these arrays.

        Raises:
            ValueError: they do not fit each other, or a number is not finite.
        """
        return _core.PolicyArrays(self.layers, self.log_std, self.obs_mean, self.obs_std)


@dataclasses.dataclass(frozen=True)
class SquashedPolicyArrays:
    """The numbers of a squashed Gaussian policy, float32, C order: views as in `PolicyArrays`.

    Attributes:
        layers: (weight (out, in), bias (out,)) of each layer, ReLU between; 2 A outputs.
        obs_mean: (D,) subtracted from the observation.
        obs_std: (D,) what it is divided by.
        log_std_low: log σ is clamped to at least this.
        log_std_high: and to at most this.
    """

    layers: list[tuple[FloatArray, FloatArray]]
    obs_mean: FloatArray
    obs_std: FloatArray
    log_std_low: float
    log_std_high: float

    @classmethod
    def of(cls, policy: SquashedGaussianPolicy) -> typing.Self:
        """The arrays of a policy; views where it is on the CPU."""
        return cls(
            layers=_layers(policy.net),
            obs_mean=_array(policy.normaliser.mean),
            obs_std=_array(policy.normaliser.std),
            log_std_low=policy.log_std_low,
            log_std_high=policy.log_std_high,
        )

    def native(self) -> _core.SquashedPolicyArrays:
        """The native policy over these arrays.

        Raises:
            ValueError: they do not fit each other, or a number is not finite.
        """
        return _core.SquashedPolicyArrays(
            self.layers, self.obs_mean, self.obs_std, self.log_std_low, self.log_std_high
        )


AnyPolicyArrays = PolicyArrays | SquashedPolicyArrays


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
        policies: AnyPolicyArrays | Sequence[AnyPolicyArrays],
        num_steps: int,
        *,
        seed: int,
        psi: Tensor | Sequence[float],
        policy_of_env: Tensor | Sequence[int] | None = None,
        contexts: Tensor | None = None,
        ou_theta: float = 0.0,
        ou_sigma: float = 0.0,
        deterministic: bool = False,
    ) -> Trajectories:
        """Resets every environment with the seed and follows the policies for T steps.

        Args:
            policies: one, or several of one kind; read at the start of the call.
            num_steps: T.
            seed: of the reset states and the actions, in [0, 2⁶⁴).
            psi: (K,) the task, or (N, K) one for each environment; it may lie outside Ψ.
            policy_of_env: (N,) which policy acts in each environment; None: the only one.
            contexts: (N, C): the policy of environment i acts on [s, contexts[i]]; None: on s.
                The observations that are returned are without it.
            ou_theta: mean reversion of the Ornstein–Uhlenbeck noise added to the actions of
                Gaussian policies, per step.
            ou_sigma: its scale; 0: no such noise.
            deterministic: the actions without any noise.

        Raises:
            ValueError: the arguments do not fit, or an action is not finite.
            SimulationError: MuJoCo raised an error in some environments.
            KeyboardInterrupt: Ctrl-C, within about a tenth of a second.

        Determinism: the same bits at any number of threads; the noise of an environment's step
        depends on the seed, on the environment and on the step, not on its policy.
        """
        several = [policies] if isinstance(policies, AnyPolicyArrays) else policies
        arrays = self.simulation.rollout(
            policies=[p.native() for p in several],
            num_steps=num_steps,
            seed=seed,
            psi=np.ascontiguousarray(torch.as_tensor(psi, dtype=torch.float64).cpu().numpy()),
            policy_of_env=None if policy_of_env is None else _indices(policy_of_env),
            contexts=None if contexts is None else _array(contexts),
            ou_theta=ou_theta,
            ou_sigma=ou_sigma,
            deterministic=deterministic,
        )
        return Trajectories(**{name: torch.from_numpy(a) for name, a in arrays.items()})

    def reset_states(self, n: int, seed: int) -> Tensor:
        """n fresh initial observations (n, D) float32, to start virtual rollouts from."""
        return torch.from_numpy(self.simulation.initial_observations(n, seed))


def _layers(network: Mlp) -> list[tuple[FloatArray, FloatArray]]:
    return [(_array(weight), _array(bias)) for weight, bias in network.weights_and_biases()]


def _indices(policy_of_env: Tensor | Sequence[int]) -> NDArray[np.int32]:
    indices = torch.as_tensor(policy_of_env)
    if indices.is_floating_point():
        raise ValueError(f"policy_of_env: expected integers, got {indices.dtype}")
    # What is out of range must stay so in 32 bits.
    low, high = torch.iinfo(torch.int32).min, torch.iinfo(torch.int32).max
    return np.ascontiguousarray(indices.clamp(low, high).cpu().numpy(), dtype=np.int32)


def _array(x: Tensor) -> FloatArray:
    return np.ascontiguousarray(x.detach().cpu().numpy(), dtype=np.float32)
