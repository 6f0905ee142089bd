"""Generalised advantage estimation, and the same recursion on the reward gradients.

The recursions are native (core/update/advantage); these functions choose what goes in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .._native import _core
from ..sampling.trajectories import Trajectories
from .settings import AdvantageSettings

Value = Callable[[Tensor], Tensor]  # V (…,) of obs (…, D); `networks.value.ValueFunction` is one


@torch.no_grad()
def advantages_and_returns(
    trajectories: Trajectories, value: Value, settings: AdvantageSettings
) -> tuple[Tensor, Tensor]:
    """Â (N, T) and the value targets Â + V (N, T), float32, on the trajectories' device.

    Source: Schulman et al. 2016. A terminal step does not bootstrap; a timeout and the last step of
    the batch bootstrap from their own next state.
    """
    t = trajectories
    return generalised_advantages(t, value(t.obs), value(t.next_obs), settings)


@torch.no_grad()
def generalised_advantages(
    trajectories: Trajectories, values: Tensor, next_values: Tensor, settings: AdvantageSettings
) -> tuple[Tensor, Tensor]:
    """As `advantages_and_returns`, from the values (N, T) of the states and of the next ones.

    What is excluded teaches nothing: its episode is cut off before it, its own Â is the mean of the
    others and its value target V.
    """
    t = trajectories
    advantages, returns = _core.advantages(
        as_array(t.rewards),
        as_array(values),
        as_array(next_values),
        as_array(t.dones),
        as_array(t.timeouts | t.cut_off),
        settings.gamma,
        settings.gae_lambda,
    )
    device = t.rewards.device
    found = torch.from_numpy(advantages).to(device), torch.from_numpy(returns).to(device)
    if t.excluded.any():
        found[0][t.excluded] = found[0][~t.excluded].mean().nan_to_num()
        found[1][t.excluded] = values.to(found[1])[t.excluded]
    return found


def expected_reward_grad_advantages(
    trajectories: Trajectories, settings: AdvantageSettings
) -> Tensor:
    """w (N, T, K) with Σ w_t x_t ≈ E[Σ_t γ^t ∂Â_t/∂ψ x_t], whatever the batch cuts off.

    GAE is linear in the rewards and V is held fixed: γ^t ∂Â_t/∂ψ = Σ_{l≥t} λ^{l−t} γ^l ∂r_l/∂ψ. A
    product of the steps t and l is seen in every episode that began early enough for its step l,
    so that it is l whose `episode_weights` count: w_t = Σ_{l≥t} λ^{l−t} γ^l/n_l ∂r_l/∂ψ. With those
    of t, what the steps beyond the last column add would be missing.

    Source: Eq. 6.
    """
    t = trajectories
    weighted = episode_weights(t, settings).unsqueeze(-1) * t.reward_grads.double()
    result = _core.reward_grad_advantages(
        as_array(weighted.float()),
        as_array(t.dones),
        as_array(t.timeouts),
        1.0,
        settings.gae_lambda,
    )
    return torch.from_numpy(result).to(t.rewards.device)


def episode_weights(trajectories: Trajectories, settings: AdvantageSettings) -> Tensor:
    """w (N, T) float64 with Σ w x ≈ E[Σ_t γ^t x_t] over episodes, however many the batch cuts off.

    w = γ^t / n_t, t the step within the episode, n_t the number of episodes that began early enough
    for their step t to lie in the batch.

    Source: Eqs. 3, 4, 6, 7 (the expectation over trajectories).
    """
    t = trajectories
    weights = _core.episode_weights(as_array(t.dones), as_array(t.timeouts), settings.gamma)
    return torch.from_numpy(weights).to(t.rewards.device)


def as_array(x: Tensor) -> Any:
    """A tensor as the native core takes it: a contiguous numpy array on the CPU."""
    return x.detach().cpu().contiguous().numpy()
