"""Sums along the episodes of a batch, native (core/update/episode_scan), on torch tensors."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .._native import _core
from ..derivatives.scores import SampleMap
from ..sampling.trajectories import Trajectories
from ..training.advantage import as_array


class EpisodeScans:
    """The scans of the Hessian estimators over the episodes of some trajectories.

    Args:
        trajectories: N rows, T steps; a vector (M,) of per-sample numbers has M = N · T elements,
            row after row.
    """

    def __init__(self, trajectories: Trajectories) -> None:
        self._shape = trajectories.rewards.shape
        self._flags = as_array(trajectories.dones), as_array(trajectories.timeouts)

    def cross_step(self, weights: Tensor, decay: float) -> SampleMap:
        """c ↦ w_t (c_t + C_t) + E_t, of weights w (M,).

        C_t = Σ_{u<t} τ^{t−u} c_u and E_t = Σ_{u>t} τ^{u−t} w_u c_u, τ the decay, both within the
        episode of t.
        """
        w = self._grid(weights)

        def scan(c: Tensor) -> Tensor:
            scanned = _core.cross_step_scan(w, self._grid(c), *self._flags, decay)
            return torch.from_numpy(scanned).flatten().to(c)

        return scan

    def episode_sum(self, weights: Tensor) -> SampleMap:
        """c ↦ w_t Σ_u c_u, u over the episode of t, of weights w (M,) constant along episodes."""
        w = self._grid(weights)

        def scan(c: Tensor) -> Tensor:
            scanned = _core.episode_sum_scan(w, self._grid(c), *self._flags)
            return torch.from_numpy(scanned).flatten().to(c)

        return scan

    def _grid(self, x: Tensor) -> Any:
        return as_array(x.double().reshape(self._shape))


def centred_by_age(trajectories: Trajectories, x: Tensor) -> Tensor:
    """x (N, T, K) less the mean of the other episodes at the same step of theirs, float64.

    A baseline that does not depend on the episode itself: E[Σ_t ∇log π_t x_t] stays as it is,
    episodes of one row counting as independent. Where no other episode came so far: the mean of
    all their samples; 0 where there is no other.
    """
    t = trajectories
    centred = _core.centre_by_age(as_array(x), as_array(t.dones), as_array(t.timeouts))
    return torch.from_numpy(centred).to(x.device)
