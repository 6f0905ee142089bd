"""The weights of the scores: what turns Σ_t w_t ∇log π_t and its like into Eqs. 3, 4, 6 and 7.

Every weight contains γ^t, the expectation over episodes (`episode_weights`) and 1/horizon: the unit
is a mean over the time steps of a full episode.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..sampling.trajectories import Trajectories
from ..training.advantage import episode_weights, expected_reward_grad_advantages
from ..training.settings import AdvantageSettings
from .samples import ValuedTrajectories
from .scans import centred_by_age


class TooFewEpisodesError(ValueError):
    """There are not enough whole episodes for an estimator that needs them."""


def advantage_weights(
    valued: ValuedTrajectories, horizon: int, advantage: AdvantageSettings
) -> Tensor:
    """w_t = γ^t Â_t (M,) float64: of g (Eq. 4) and H (Eq. 7)."""
    t = valued.trajectories
    centred = centred_by_age(t, valued.advantages.unsqueeze(-1)).squeeze(-1)
    return (episode_weights(t, advantage) / horizon * centred).flatten()


def mixed_weights(trajectories: Trajectories, horizon: int, advantage: AdvantageSettings) -> Tensor:
    """γ^t ∂Â_t/∂ψ (M, K) float64: of M (Eq. 6)."""
    expected = expected_reward_grad_advantages(trajectories, advantage)
    return centred_by_age(trajectories, expected).flatten(0, 1) / horizon


def return_weights(valued: ValuedTrajectories, horizon: int) -> Tensor:
    """R − b (M,) float64, the same on every step of an episode: of H as Eq. 7 prints it.

    R is the episode's discounted return and b the mean return of the other episodes. Only episodes
    that began early enough to have come to their end whatever happened count; the others would
    be chosen by their length. Their weight is 0.

    Raises:
        TooFewEpisodesError: fewer than two episodes count.
    """
    t = valued.trajectories
    n, steps = t.rewards.shape
    column = torch.arange(steps, device=t.rewards.device).expand(n, steps)
    start = column - t.steps  # of the episode that a step is in
    counts = (start == column) & (column + horizon <= steps)
    episodes = int(counts.sum())
    if episodes < 2:
        raise TooFewEpisodesError(
            f"hessian trajectory: expected at least 2 episodes that begin {horizon} steps or more "
            f"before the last of {steps} columns, got {episodes}"
        )
    returns = valued.returns.double()
    mean = returns[counts].mean()
    # R_i − mean of the others = n/(n − 1) (R_i − mean of all)
    weights = torch.where(counts, returns - mean, 0.0) / (episodes - 1) / horizon
    return weights.gather(1, start).flatten()


def mean_reward_gradient(t: Trajectories, horizon: int, advantage: AdvantageSettings) -> Tensor:
    """∂η*/∂ψ = E[Σ_t γ^t ∂r_t/∂ψ] (Eq. 3), (K,) float64 on the CPU."""
    weights = episode_weights(t, advantage).unsqueeze(-1) / horizon
    return (weights * t.reward_grads.double()).sum((0, 1)).cpu()
