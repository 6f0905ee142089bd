"""A value function that is linear in features of the state and the time, fitted in closed form.

Source: Duan et al. 2016, Section 5 (the linear feature baseline); the constants are those of rllab.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from ..sampling.trajectories import Trajectories
from .advantage import generalised_advantages
from .settings import AdvantageSettings

_LARGEST_STATE = 10.0  # states are clipped to ± this
_TIME_UNIT = 100.0  # steps


@dataclasses.dataclass(frozen=True)
class LinearBaseline:
    """V(s, t) = wᵀ φ(s, t), φ = [s, s², t/100, (t/100)², (t/100)³, 1], s clipped to ± 10.

    Attributes:
        weights: w (B, F) float64 of B tasks, F = 2 D + 4.
    """

    weights: Tensor

    def values(self, obs: Tensor, steps: Tensor) -> Tensor:
        """V (B, M) float64 of obs (B, M, D) at steps (B, M) of their episodes."""
        return (features(obs, steps) @ self.weights.unsqueeze(-1)).squeeze(-1)


def features(obs: Tensor, steps: Tensor) -> Tensor:
    """φ (…, 2 D + 4) float64 of obs (…, D) and steps (…,) of their episodes."""
    s = obs.double().clamp(-_LARGEST_STATE, _LARGEST_STATE)
    t = (steps.double() / _TIME_UNIT).unsqueeze(-1)
    return torch.cat([s, s**2, t, t**2, t**3, torch.ones_like(t)], -1)


def fit_linear_baseline(
    obs: Tensor, steps: Tensor, targets: Tensor, counts: Tensor, ridge: float
) -> LinearBaseline:
    """argmin_w Σ (wᵀ φ − target)² + ridge ‖w‖² for each of B tasks.

    Args:
        obs: (B, M, D).
        steps: (B, M) of the episode.
        targets: (B, M).
        counts: (B, M) bool, the samples that the sum goes over.
        ridge: > 0; without it the features of a coordinate that never moves have no weights.
    """
    rows = features(obs, steps) * counts.unsqueeze(-1)
    size = rows.shape[-1]
    penalty = ridge**0.5 * torch.eye(size, dtype=rows.dtype, device=rows.device)
    # Of the stacked system rather than of the normal equations, whose condition is the square.
    stacked = torch.cat([rows, penalty.expand(len(rows), -1, -1)], 1)
    right = torch.where(counts, targets.double(), 0.0)
    right = torch.cat([right, right.new_zeros(len(right), size)], 1).unsqueeze(-1)
    q, r = torch.linalg.qr(stacked)
    weights = torch.linalg.solve_triangular(r, q.mT @ right, upper=True)
    return LinearBaseline(weights.squeeze(-1))


@torch.no_grad()
def baseline_advantages(
    trajectories: Trajectories,
    num_tasks: int,
    horizon: int,
    advantage: AdvantageSettings,
    ridge: float,
) -> Tensor:
    """Â (N, T) float32 of B tasks, each with a baseline fitted to its own samples.

    Targets are the discounted returns up to the end of the episode, the horizon being one: V knows
    the time, so that it is 0 there. The fit goes over the episodes that began early enough to have
    come to their end whatever happened; what the last column cuts off, or a simulation that blew
    up, bootstraps from V.

    Args:
        trajectories: N = B · R rows, those of a task one after the other.
        num_tasks: B.
        horizon: of an episode; at most T.
        advantage: γ and λ.
        ridge: of the fit.

    Raises:
        ValueError: no episode of T steps could have come to its end.
    """
    t = trajectories
    num_steps = t.rewards.shape[1]
    if num_steps < horizon:
        raise ValueError(f"trajectories: expected at least {horizon} steps, got {num_steps}")
    t = dataclasses.replace(
        t, dones=t.dones | t.timeouts, timeouts=torch.zeros_like(t.timeouts)
    )  # at the horizon nothing is left to be earned
    zeros = torch.zeros_like(t.rewards)
    _, returns = generalised_advantages(t, zeros, zeros, advantage.replace(gae_lambda=1.0))
    steps = t.steps
    column = torch.arange(num_steps, device=steps.device)
    whole = (column - steps + horizon <= num_steps) & ~_blew_up(t)

    def by_task(x: Tensor) -> Tensor:
        return x.reshape(num_tasks, -1, *x.shape[2:])

    baseline = fit_linear_baseline(
        by_task(t.obs), by_task(steps), by_task(returns), by_task(whole), ridge
    )
    values = baseline.values(by_task(t.obs), by_task(steps)).view_as(zeros)
    next_values = baseline.values(by_task(t.next_obs), by_task(steps + 1)).view_as(zeros)
    return generalised_advantages(t, values.float(), next_values.float(), advantage)[0]


def _blew_up(t: Trajectories) -> Tensor:
    """Whether the episode of a step ended with one that is excluded (N, T) bool."""
    columns = torch.arange(t.rewards.shape[1], device=t.rewards.device)
    ends = torch.where(t.ends, columns, columns[-1])
    next_end = ends.flip(1).cummin(1).values.flip(1)
    return t.excluded.gather(1, next_end)


def standardised(advantages: Tensor) -> Tensor:
    """Each task's advantages (B, M) with mean 0 and standard deviation 1."""
    mean, std = advantages.mean(1, keepdim=True), advantages.std(1, keepdim=True)
    return (advantages - mean) / (std + 1e-8)
