"""Value functions that are known exactly."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor


@dataclasses.dataclass(frozen=True)
class QuadraticValue:
    """V_t(s) = sᵀ P_t s + q_tᵀ s + c_t, t = 0 … T, of observations [s, t/T].

    Attributes:
        quadratic: P (T + 1, d, d) float64, symmetric.
        linear: q (T + 1, d) float64.
        constant: c (T + 1,) float64.
    """

    quadratic: Tensor
    linear: Tensor
    constant: Tensor

    def __call__(self, obs: Tensor) -> Tensor:
        """V (…), of obs (…, D); computed in float64, returned in the obs' dtype.

        Raises:
            ValueError: a time outside [0, 1].
        """
        horizon = len(self.constant) - 1
        steps = (obs[..., -1].double() * horizon).round().long()
        if bool(((steps < 0) | (steps > horizon)).any()):
            raise ValueError("obs: expected times t/T in [0, 1] in the last column")
        states = obs[..., :-1].double()
        out = torch.empty_like(steps, dtype=torch.float64)
        for t in range(horizon + 1):
            s = states[steps == t]
            quadratic = ((s @ self.quadratic[t]) * s).sum(-1)
            out[steps == t] = quadratic + s @ self.linear[t] + self.constant[t]
        return out.to(obs.dtype)


def zero_value(obs: Tensor) -> Tensor:
    """V = 0 (…), of obs (…, D): no baseline."""
    return obs.new_zeros(obs.shape[:-1])
