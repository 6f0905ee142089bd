"""One real episode of a stored policy, with the states of the simulator in between."""

from __future__ import annotations

import dataclasses
import pathlib

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file

from ..families.declaration import Family
from ..families.physics import PhysicsSettings
from ..networks.conditioned import Policy
from ..networks.stored_policy import policy_of
from ..sampling.policy_rollout import rollout
from ..sampling.real import RealEnvironment
from ..settings import SettingError


@dataclasses.dataclass(frozen=True)
class Episode:
    """From the reset to its end.

    Attributes:
        states: (T + 1, S) MuJoCo's states (mjSTATE_INTEGRATION).
        step_seconds: simulated seconds of a step.
        total_reward: undiscounted.
        timed_out: it came to the horizon; False: the family's rule ended it.
    """

    states: npt.NDArray[np.float64]
    step_seconds: float
    total_reward: float
    timed_out: bool


def load_policy(path: pathlib.Path) -> Policy:
    """The policy of a file that has its `state_dict()`.

    Raises:
        SettingError: there is no such file, or it is not of a policy.
    """
    try:
        return policy_of(load_file(path))
    except Exception as error:  # safetensors has an error class of its own
        reason = str(error).splitlines()[0]
        raise SettingError("run", f"expected a policy in {path}: {reason}") from None


def play(
    family: Family,
    physics: PhysicsSettings,
    policy: Policy,
    psi: tuple[float, ...],
    seed: int,
) -> Episode:
    """The first episode of a policy on a task ψ (K,).

    Determinism: depends on the seed alone.
    """
    environment = RealEnvironment(family, physics, 1, 1)
    t = rollout(
        environment, policy, physics.horizon, seed=seed, psi=torch.tensor(psi, dtype=torch.float64)
    )
    length = int((t.dones | t.timeouts)[0].int().argmax()) + 1
    # The rollout runs inside the core: its actions, given one by one, lead through its states.
    simulation = environment.simulation
    simulation.reset(seed)
    task = np.array(psi, dtype=np.float64)
    states = [simulation.state()[0]]
    for step in range(length):
        simulation.step(t.actions[:, step].contiguous().numpy(), task)
        states.append(simulation.state()[0])
    return Episode(
        states=np.array(states),
        step_seconds=simulation.timestep,
        total_reward=float(t.rewards[0, :length].double().sum()),
        timed_out=bool(t.timeouts[0, length - 1]),
    )
