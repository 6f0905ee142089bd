"""The torch interpretation of a family's declaration: batched, any device, differentiable in ψ."""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor

from .declaration import Family


@dataclasses.dataclass(frozen=True)
class _Constants:
    """The declaration's numbers in one dtype; (K,) each, low and high (D,)."""

    coefficients: Tensor
    offset: Tensor
    scale: Tensor
    low: Tensor
    high: Tensor


class TorchFamily:
    """Rewards and termination of transitions, as the native core computes them in float64.

    "Finite" is meant in float32, the precision of the data, whatever dtype is computed in.

    Leading dimensions are free: next_obs (…, D), actions (…, A), ψ (K,) or one per row (…, K). The
    result has the dtype of next_obs and is on the device of the family.
    """

    def __init__(self, family: Family, device: torch.device | str = "cpu") -> None:
        self.family = family
        self.device = torch.device(device)
        self._features = torch.tensor(family.features, device=self.device)
        self._by_dtype: dict[torch.dtype, _Constants] = {}

    def rewards(self, next_obs: Tensor, actions: Tensor, psi: Tensor) -> Tensor:
        """r_ψ(s, a, s') (…,); 0 where s' is not finite."""
        c = self._constants(next_obs.dtype)
        features, finite = self._finite_features(next_obs)
        if self.family.form == "linear":
            task = (c.coefficients * psi * features).sum(-1)
        else:
            task = -(c.coefficients * (features - psi).abs()).sum(-1)
        return torch.where(finite, task.to(next_obs) + self._base(actions), 0.0)

    def reward_grads(self, next_obs: Tensor, actions: Tensor, psi: Tensor) -> Tensor:
        """∂r/∂ψ (…, K), 0 at the kinks of the abs form and where s' is not finite."""
        c = self._constants(next_obs.dtype)
        features, finite = self._finite_features(next_obs)
        inner = features if self.family.form == "linear" else (features - psi).sign().to(next_obs)
        return torch.where(finite.unsqueeze(-1), c.coefficients * inner, 0.0)

    def base_rewards(self, next_obs: Tensor, actions: Tensor) -> Tensor:
        """The part of the reward that does not depend on ψ (…,): control cost and bonus."""
        return torch.where(_finite_rows(next_obs), self._base(actions), 0.0)

    def dones(self, next_obs: Tensor) -> Tensor:
        """Whether s' ends the episode (…,) bool: it is not finite or leaves a healthy range."""
        c = self._constants(next_obs.dtype)
        # Clipping moves what is out of range or infinite, and a not-a-number is unequal to itself.
        return (next_obs.clamp(c.low, c.high) != next_obs).any(-1)

    def _base(self, actions: Tensor) -> Tensor:
        cost = actions.clamp(-1, 1).square().sum(-1)
        return self.family.bonus - self.family.control_cost * cost

    def _finite_features(self, next_obs: Tensor) -> tuple[Tensor, Tensor]:
        # Zeroed before use: a not-a-number would pass through torch.where's gradient.
        c = self._constants(next_obs.dtype)
        finite = _finite_rows(next_obs)
        picked = torch.where(finite.unsqueeze(-1), next_obs[..., self._features], 0.0)
        return (picked - c.offset) / c.scale, finite

    def _constants(self, dtype: torch.dtype) -> _Constants:
        if dtype not in self._by_dtype:
            low, high = self._healthy_bounds(dtype)
            f = self.family

            def tensor(values: tuple[float, ...]) -> Tensor:
                return torch.tensor(values, dtype=dtype, device=self.device)

            self._by_dtype[dtype] = _Constants(
                tensor(f.coefficients), tensor(f.offset), tensor(f.scale), low, high
            )
        return self._by_dtype[dtype]

    def _healthy_bounds(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Smallest and largest healthy number of `dtype` for every entry, (D,) each.

        Rounded inwards, so that comparing in `dtype` and comparing in float64 agree exactly.
        """
        largest = torch.finfo(torch.float32).max
        low, high = [-largest] * self.family.obs_dim, [largest] * self.family.obs_dim
        for h in self.family.healthy:
            for i in h.indices:
                if h.low is not None:
                    bound = h.low if h.closed else math.nextafter(h.low, math.inf)
                    low[i] = max(low[i], -_rounded_down(-bound, dtype))
                if h.high is not None:
                    bound = h.high if h.closed else math.nextafter(h.high, -math.inf)
                    high[i] = min(high[i], _rounded_down(bound, dtype))
        return (
            torch.tensor(low, dtype=dtype, device=self.device),
            torch.tensor(high, dtype=dtype, device=self.device),
        )


def _finite_rows(x: Tensor) -> Tensor:
    """Whether every entry of a row of x (…, D) is finite (…,) bool."""
    # 0 · x is a not-a-number where x is not finite. Four times faster than isfinite and all.
    return (0 * x.float()).sum(-1) == 0


def _rounded_down(value: float, dtype: torch.dtype) -> float:
    """The largest number of `dtype` that is not above `value`."""
    nearest = torch.tensor(value, dtype=dtype)
    if nearest.item() > value:
        nearest = torch.nextafter(nearest, torch.tensor(-math.inf, dtype=dtype))
    return nearest.item()
