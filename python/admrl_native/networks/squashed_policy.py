"""The squashed Gaussian policy of soft actor-critic: a = tanh(x), x Gaussian given the state."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from .mlp import Mlp, fan_in_uniform
from .normaliser import Normaliser
from .policy import gaussian_log_prob

_OUTPUT_BOUND = 3e-3  # the first actions are close to tanh(ε), whatever the state
_LARGEST_ACTION = 1 - 1e-6  # of float32 actions: atanh stays below 7.3 and has a 6 % error there


class SquashedGaussianPolicy(nn.Module):
    """a = tanh(x), x ~ N(μ(s), diag σ(s)²), actions in (−1, 1); [μ, log σ] = net((s − mean)/std).

    Args:
        obs_dim: D.
        act_dim: A.
        hidden: sizes of the hidden layers, ReLU.
        generator: source of the initial weights (CPU).
        log_std_low: lower bound of log σ, which is clamped.
        log_std_high: its upper bound.

    Raises:
        ValueError: log_std_low is not below log_std_high, or one of them is not finite.

    Source: Haarnoja et al. 2018, Appendix C.
    """

    def __init__(
        self,
        obs_dim: int,
        act_dim: int,
        hidden: Sequence[int],
        generator: torch.Generator,
        *,
        log_std_low: float = -20.0,
        log_std_high: float = 2.0,
    ) -> None:
        super().__init__()
        if not -math.inf < log_std_low < log_std_high < math.inf:
            raise ValueError(
                "log_std_low: expected a finite number below a finite log_std_high, got "
                f"{log_std_low} and {log_std_high}"
            )
        self.log_std_low, self.log_std_high = log_std_low, log_std_high
        self.net = Mlp((obs_dim, *hidden, 2 * act_dim), "relu", fan_in_uniform, generator)
        with torch.no_grad():
            weight, _ = self.net.weights_and_biases()[-1]
            weight.uniform_(-_OUTPUT_BOUND, _OUTPUT_BOUND, generator=generator)
        self.normaliser = Normaliser(obs_dim)

    def forward(self, obs: Tensor) -> Tensor:
        """Action without noise tanh(μ) (…, A) of obs (…, D)."""
        mean, _ = self.mean_and_log_std(obs)
        return torch.tanh(mean)

    def mean_and_log_std(self, obs: Tensor) -> tuple[Tensor, Tensor]:
        """μ and log σ, both (…, A), of x before tanh, given obs (…, D)."""
        mean, log_std = self.net(self.normaliser(obs)).chunk(2, dim=-1)
        return mean, log_std.clamp(self.log_std_low, self.log_std_high)

    def sample(
        self, obs: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Reparametrised actions for obs (…, D).

        Args:
            obs: states.
            generator: of the noise, on the device of obs.

        Returns:
            Actions (…, A), their log π(a|s) (…,), x before tanh, μ and log σ, all (…, A);
            differentiable in the parameters with the noise held.
        """
        mean, log_std = self.mean_and_log_std(obs)
        noise = torch.randn(mean.shape, generator=generator, device=mean.device, dtype=mean.dtype)
        pre_tanh = mean + torch.exp(log_std) * noise
        log_prob = squashed_log_prob(pre_tanh, mean, log_std)
        return torch.tanh(pre_tanh), log_prob, pre_tanh, mean, log_std

    def log_prob(self, obs: Tensor, actions: Tensor) -> Tensor:
        """log π(a|s), shape (…,), of obs (…, D) and actions (…, A) in [−1, 1].

        x = atanh(a) of the action clipped to ±(1 − 1e-6): float32 does not tell saturated actions
        apart. Where x is known, `squashed_log_prob` is exact.
        """
        pre_tanh = torch.atanh(actions.clamp(-_LARGEST_ACTION, _LARGEST_ACTION))
        return squashed_log_prob(pre_tanh, *self.mean_and_log_std(obs))


def squashed_log_prob(pre_tanh: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    """log-density at a = tanh(x) of a squashed Gaussian, summed over the last dimension.

    log N(x; μ, σ²) − log(1 − tanh² x), the last term as 2 (log 2 − x − softplus(−2x)), which no |x|
    makes infinite.

    Source: Haarnoja et al. 2018, Appendix C, Eq. 21.
    """
    log_slope = 2 * (math.log(2) - pre_tanh - functional.softplus(-2 * pre_tanh))
    return gaussian_log_prob(pre_tanh, mean, log_std) - log_slope.sum(-1)
