"""Rollouts of policies in the learned dynamics model T̂_φ."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..families.torch_family import TorchFamily
from ..networks.cuda_graph import captured
from ..networks.dynamics import Dynamics
from ..networks.policy import GaussianPolicy, gaussian_log_prob
from ..networks.subnormals import flush_subnormals
from .draws import draw
from .folding import FoldedDynamics, FoldedPolicies
from .trajectories import Trajectories


class TorchVirtualSampler:
    """Rolls out B policies for B tasks in one model, again and again, in buffers made once.

    The plain implementation of `VirtualSampler`; its native twin is `NativeVirtualSampler`. The
    model's products run on the states of all tasks together, the policies' side by side. On CUDA a
    step is captured in a graph, so a sampler is worth keeping.

    Args:
        dynamics: T̂_φ.
        policies: B policies of one shape, on the model's device.
        family: reward and termination.
        precision: of the model's products, "fp32" or "bf16".
        num_envs: N environments of each task.
        num_steps: T, steps of each environment.
        horizon: steps after which an episode times out.
    """

    @torch.no_grad()
    def __init__(
        self,
        dynamics: Dynamics,
        policies: Sequence[GaussianPolicy],
        family: TorchFamily,
        *,
        precision: str = "fp32",
        num_envs: int,
        num_steps: int,
        horizon: int,
    ) -> None:
        self._networks = (dynamics, policies)
        self._precision = precision
        self._family, self._horizon = family, horizon
        self._dynamics = FoldedDynamics.of(dynamics).clone()
        self._policies = FoldedPolicies.of(policies)
        low, log_std = self._dynamics.low, self._policies.log_std
        device, obs_dim, act_dim = low.device, low.numel(), log_std.shape[2]
        rows, t = (len(policies), num_envs), num_steps

        # What a step reads and changes: [s, clip(a)] and the steps since the reset.
        self._inputs = torch.zeros((*rows, obs_dim + act_dim), device=device)
        self._state, self._clipped = self._inputs.split([obs_dim, act_dim], dim=2)
        self._age = torch.zeros(rows, dtype=torch.int64, device=device)
        self._step = torch.zeros(1, dtype=torch.int64, device=device)
        # Drawn beforehand: the first states, and for each step [the state after a reset, σ ε].
        self._first = torch.zeros_like(self._state)
        self._drawn = torch.zeros((t, *rows, obs_dim + act_dim), device=device)
        self._resets, self._deviations = self._drawn.split([obs_dim, act_dim], dim=3)
        # What a step leaves, step-major, so that it writes one block in each.
        self._next_obs = torch.zeros((t, *rows, obs_dim), device=device)
        self._actions = torch.zeros((t, *rows, act_dim), device=device)
        self._ended = torch.zeros((t, *rows), dtype=torch.bool, device=device)
        self._advance = captured(self._step_all, device, warm_up=min(3, num_steps))

    @torch.no_grad()
    def take_model(self) -> None:
        """See `VirtualSampler.take_model`."""
        dynamics, _ = self._networks
        _overwrite(self._dynamics.tensors(), FoldedDynamics.of(dynamics).tensors())

    @torch.no_grad()
    @flush_subnormals()
    def sample(
        self, psis: Tensor, start_states: Tensor, generators: Sequence[torch.Generator]
    ) -> list[Trajectories]:
        """See `VirtualSampler.sample`; the trajectories are on the model's device, copied.

        Raises:
            ValueError: not one task and one generator for each policy.

        Determinism: the same generator states give the same bits on one device for the same B; with
        another B the products may round differently.
        """
        tasks = self._ended.shape[1]
        if psis.ndim != 2 or psis.shape[0] != tasks or len(generators) != tasks:
            raise ValueError(
                f"psis, generators: expected (B={tasks}, K) and {tasks}, got {tuple(psis.shape)} "
                f"and {len(generators)}"
            )
        self._begin(start_states, generators)
        for _ in range(self._ended.shape[0]):
            self._advance()
        return self._trajectories(psis)

    def _begin(self, start_states: Tensor, generators: Sequence[torch.Generator]) -> None:
        """Takes the policies as they are, draws all random numbers, and resets every episode."""
        _, policies = self._networks
        _overwrite(self._policies.tensors(), FoldedPolicies.of(policies).tensors())
        num_steps, _, num_envs, act_dim = self._deviations.shape
        std = self._policies.log_std.exp()
        for b, generator in enumerate(generators):
            noise, starts = draw((num_steps, num_envs, act_dim), len(start_states), generator)
            self._first[b] = start_states[starts[0]]
            self._resets[:, b] = start_states[starts[1:]]
            torch.mul(noise, std[b], out=self._deviations[:, b])
        self._step.zero_()
        self._age.zero_()
        self._state.copy_(self._first)

    def _step_all(self) -> None:
        """One step of all environments, without waiting for the device."""
        step, state = self._step, self._state
        drawn = self._drawn.index_select(0, step).squeeze(0)
        reset, deviation = drawn.split([state.shape[2], self._clipped.shape[2]], dim=2)
        action = self._policies.means(state).add_(deviation)
        torch.clamp(action, -1, 1, out=self._clipped)
        next_state = self._dynamics.next_states(self._inputs.flatten(0, 1), self._precision)
        next_state = next_state.view_as(state)
        self._age += 1
        ended = self._family.dones(next_state) | (self._age >= self._horizon)
        self._next_obs.index_copy_(0, step, next_state.unsqueeze(0))
        self._actions.index_copy_(0, step, action.unsqueeze(0))
        self._ended.index_copy_(0, step, ended.unsqueeze(0))
        torch.where(ended.unsqueeze(2), reset, next_state, out=state)
        self._age.masked_fill_(ended, 0)
        step += 1

    def _trajectories(self, psis: Tensor) -> list[Trajectories]:
        """The records as each task's trajectories, with what follows from them."""
        followed = torch.where(self._ended.unsqueeze(3), self._resets, self._next_obs)
        obs = torch.cat([self._first.unsqueeze(0), followed[:-1]])
        dones = self._family.dones(self._next_obs)
        timeouts = self._ended & ~dones

        def env_major(x: Tensor) -> Tensor:
            """(B, N, T, …) of (T, B, N, …), a copy."""
            return x.movedim(0, 2).clone(memory_format=torch.contiguous_format)

        family, psi = self._family, psis[:, None, None, :]
        next_obs, actions = env_major(self._next_obs), env_major(self._actions)
        # log π(a|s) depends on a − μ(s) alone.
        deviations, log_std = env_major(self._deviations), self._policies.log_std.unsqueeze(1)
        fields = {
            "obs": env_major(obs),
            "actions": actions,
            "next_obs": next_obs,
            "rewards": family.rewards(next_obs, actions, psi),
            "reward_grads": family.reward_grads(next_obs, actions, psi),
            "base_rewards": family.base_rewards(next_obs, actions),
            "dones": env_major(dones),
            "timeouts": env_major(timeouts),
            "log_probs": gaussian_log_prob(deviations, torch.zeros_like(log_std), log_std),
        }
        return [
            Trajectories(**{name: field[b] for name, field in fields.items()})
            for b in range(psis.shape[0])
        ]


def _overwrite(tensors: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    for tensor, value in zip(tensors, values, strict=True):
        tensor.copy_(value)
