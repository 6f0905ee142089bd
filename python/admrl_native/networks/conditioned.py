"""A policy of the state and a context: the task, or a latent variable that stands for it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .normaliser import Normaliser
from .policy import GaussianPolicy
from .squashed_policy import SquashedGaussianPolicy

BasePolicy = GaussianPolicy | SquashedGaussianPolicy


class ConditionedPolicy(nn.Module):
    """π(a|s, c) with one context for an episode, c ~ N(context_mean, diag context_std²).

    Multi-task policies have c = u, the task in [−1, 1]^K; PEARL c = z; both, c = [u, z].

    Args:
        policy: of [s, c] (D + C), kept as it is, not copied.
        context_mean: (C,).
        context_std: (C,), not negative; 0: the number is the same in every episode.
        deterministic: acts by its mean action.

    Raises:
        ValueError: the contexts are not two vectors of one length.
    """

    context_mean: Tensor
    context_std: Tensor
    acts_by_mean: Tensor

    def __init__(
        self,
        policy: BasePolicy,
        context_mean: Tensor,
        context_std: Tensor,
        *,
        deterministic: bool = False,
    ) -> None:
        super().__init__()
        if context_mean.ndim != 1 or context_mean.shape != context_std.shape:
            raise ValueError(
                "context_mean, context_std: expected (C,) and (C,), got "
                f"{tuple(context_mean.shape)} and {tuple(context_std.shape)}"
            )
        self.policy = policy
        device = policy.normaliser.mean.device
        self.register_buffer("context_mean", context_mean.detach().float().to(device))
        self.register_buffer("context_std", context_std.detach().float().to(device))
        # A buffer, so that a stored policy acts as it was meant to.
        self.register_buffer("acts_by_mean", torch.tensor(deterministic, device=device))

    @property
    def deterministic(self) -> bool:
        """Whether it acts by its mean action."""
        return bool(self.acts_by_mean)

    @property
    def normaliser(self) -> Normaliser:
        """Of [s, c] (D + C)."""
        return self.policy.normaliser

    def contexts(self, n: int, generator: torch.Generator) -> Tensor:
        """Contexts (n, C) of n episodes; the generator is on the CPU."""
        noise = torch.randn((n, self.context_mean.numel()), generator=generator)
        return self.context_mean + self.context_std * noise.to(self.context_mean)

    def forward(self, obs: Tensor) -> Tensor:
        """Mean action (…, A) of obs (…, D), at the mean context."""
        context = self.context_mean.expand(*obs.shape[:-1], -1)
        action: Tensor = self.policy(torch.cat([obs, context], dim=-1))
        return action


Policy = BasePolicy | ConditionedPolicy


def unconditioned(policy: Policy) -> BasePolicy:
    """The network that acts: of [s, c] where there is a context."""
    return policy.policy if isinstance(policy, ConditionedPolicy) else policy
