"""A Gaussian policy that is linear in the state, with a fixed standard deviation."""

from __future__ import annotations

import dataclasses
import math

from torch import Tensor


def split_theta(theta: Tensor, state_dim: int) -> tuple[Tensor, Tensor]:
    """W (A, d) and b (A,), views of θ (P,) = [W row by row, b]."""
    act_dim = theta.numel() // (state_dim + 1)
    return theta[: act_dim * state_dim].view(act_dim, state_dim), theta[act_dim * state_dim :]


@dataclasses.dataclass(frozen=True)
class LinearGaussianPolicy:
    """π_θ(a|s) = N(W s + b, σ² I), for whatever uses a GaussianPolicy through its θ alone.

    Attributes:
        theta: [W row by row, b] (P,) float64, P = A d + A.
        state_dim: d. Observations are [s, t/T], D = d + 1; the policy does not look at the time.
        noise_std: σ, not part of θ.
    """

    theta: Tensor
    state_dim: int
    noise_std: float

    def get_params(self) -> Tensor:
        """θ (P,) float64, a copy."""
        return self.theta.clone()

    def normaliser(self, obs: Tensor) -> Tensor:
        """The obs themselves: nothing is normalised."""
        return obs

    def mean_and_log_std(self, params: Tensor, normalised_obs: Tensor) -> tuple[Tensor, Tensor]:
        """Mean (M, A) and log σ (A,) as a pure function of θ (P,), of obs (M, D) of θ's dtype."""
        weight, bias = split_theta(params, self.state_dim)
        mean = normalised_obs[..., : self.state_dim] @ weight.T + bias
        return mean, params.new_full(bias.shape, math.log(self.noise_std))
