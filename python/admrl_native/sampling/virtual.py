"""Rollouts of policies in the learned dynamics model T̂_φ."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..families.torch_family import TorchFamily
from ..networks.dynamics import Dynamics
from ..networks.policy import GaussianPolicy, gaussian_log_prob
from ..networks.subnormals import flush_subnormals
from .draws import draw
from .folding import FoldedDynamics, FoldedPolicies
from .trajectories import Trajectories


class TorchVirtualSampler:
    """Rolls out B policies for B tasks in one model, again and again.

    The plain implementation of `VirtualSampler`; its native twin is `NativeVirtualSampler`. The
    model's products run on the states of all tasks together, the policies' side by side.

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
        self._num_envs, self._num_steps = num_envs, num_steps
        self.take_model()

    @torch.no_grad()
    def take_model(self) -> None:
        """See `VirtualSampler.take_model`."""
        self._dynamics = FoldedDynamics.of(self._networks[0]).clone()

    @torch.no_grad()
    @flush_subnormals()
    def sample(
        self, psis: Tensor, start_states: Tensor, generators: Sequence[torch.Generator]
    ) -> list[Trajectories]:
        """See `VirtualSampler.sample`; the trajectories are on the model's device.

        Raises:
            ValueError: not one task and one generator for each policy.

        Determinism: the same generator states give the same bits on one device for the same B; with
        another B the products may round differently.
        """
        _, policies = self._networks
        tasks = len(policies)
        if psis.ndim != 2 or psis.shape[0] != tasks or len(generators) != tasks:
            raise ValueError(
                f"psis, generators: expected (B={tasks}, K) and {tasks}, got {tuple(psis.shape)} "
                f"and {len(generators)}"
            )
        folded = FoldedPolicies.of(policies)
        std, act_dim = folded.log_std.exp(), folded.log_std.shape[2]
        # Drawn beforehand: the first states, the states after a reset, and σ ε, (T, B, N, …).
        shape = (self._num_steps, self._num_envs, act_dim)
        drawn = [draw(shape, len(start_states), generator) for generator in generators]
        first = torch.stack([start_states[starts[0]] for _, starts in drawn])
        resets = torch.stack([start_states[starts[1:]] for _, starts in drawn], dim=1)
        deviations = torch.stack([noise * std[b] for b, (noise, _) in enumerate(drawn)], dim=1)

        state, age = first, torch.zeros(first.shape[:2], dtype=torch.int64, device=first.device)
        steps: list[tuple[Tensor, ...]] = []
        for reset, deviation in zip(resets, deviations, strict=True):
            action = folded.means(state).add_(deviation)
            inputs = torch.cat([state, action.clamp(-1, 1)], dim=2)
            next_state = self._dynamics.next_states(inputs.flatten(0, 1), self._precision)
            next_state = next_state.view_as(state)
            age = age + 1
            done = self._family.dones(next_state)
            ended = done | (age >= self._horizon)
            steps.append((state, action, next_state, done, ended & ~done))
            state = torch.where(ended.unsqueeze(2), reset, next_state)
            age = age.masked_fill(ended, 0)

        # (B, N, T, …)
        columns = zip(*steps, strict=True)
        obs, actions, next_obs, dones, timeouts = (torch.stack(c, dim=2) for c in columns)
        family, psi = self._family, psis[:, None, None, :]
        # log π(a|s) depends on a − μ(s) alone.
        of_mean = deviations.movedim(0, 2)
        log_std = folded.log_std.unsqueeze(1)
        fields = {
            "obs": obs,
            "actions": actions,
            "next_obs": next_obs,
            "rewards": family.rewards(next_obs, actions, psi),
            "reward_grads": family.reward_grads(next_obs, actions, psi),
            "base_rewards": family.base_rewards(next_obs, actions),
            "dones": dones,
            "timeouts": timeouts,
            "log_probs": gaussian_log_prob(of_mean, torch.zeros_like(log_std), log_std),
        }
        return [
            Trajectories(**{name: field[b] for name, field in fields.items()}) for b in range(tasks)
        ]
