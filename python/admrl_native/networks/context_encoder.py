"""PEARL's inference network: what transitions say about the task, whatever their order."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from .mlp import Mlp, fan_in_uniform
from .normaliser import Normaliser


@dataclasses.dataclass(frozen=True)
class Posterior:
    """q(z|c) = N(mean, diag variance) of B tasks.

    Attributes:
        mean: (B, L).
        variance: (B, L).
    """

    mean: Tensor
    variance: Tensor

    @property
    def std(self) -> Tensor:
        """(B, L)."""
        return self.variance.sqrt()

    def sample(self, generator: torch.Generator) -> Tensor:
        """z (B, L), differentiable in mean and variance."""
        noise = torch.randn(self.mean.shape, generator=generator, device=self.mean.device)
        return self.mean + self.std * noise

    def kl_from_prior(self) -> Tensor:
        """KL(q(z|c) ‖ N(0, I)), shape (B,), nats: ½ Σ (σ² + μ² − 1 − log σ²)."""
        v = self.variance
        return 0.5 * (v + self.mean**2 - 1 - v.log()).sum(-1)


def product_of_gaussians(means: Tensor, variances: Tensor) -> Posterior:
    """The normalised product of M Gaussian factors (B, M, L), for each of B tasks.

    Its precision is the sum of theirs, its mean theirs weighted by precision.

    Source: Rakelly et al. 2019, Section 4.2.
    """
    precisions = 1 / variances
    variance = 1 / precisions.sum(1)
    return Posterior(variance * (precisions * means).sum(1), variance)


class ContextEncoder(nn.Module):
    """q(z|c) ∝ Π_n Ψ(z|c_n), each factor a Gaussian given by a ReLU network of one transition.

    Without any transition it is the prior N(0, I).

    Args:
        input_dim: W, entries of a transition: s, a, r and perhaps s'.
        latent_dim: L.
        hidden: sizes of the hidden layers.
        generator: source of the initial weights (CPU).

    Attributes:
        normaliser: of the transitions.
    """

    def __init__(
        self, input_dim: int, latent_dim: int, hidden: Sequence[int], generator: torch.Generator
    ) -> None:
        super().__init__()
        self.input_dim, self.latent_dim = input_dim, latent_dim
        self.net = Mlp((input_dim, *hidden, 2 * latent_dim), "relu", fan_in_uniform, generator)
        self.normaliser = Normaliser(input_dim)

    def forward(self, context: Tensor) -> Posterior:
        """q(z|c) of contexts (B, M, W); their order changes it by rounding only."""
        if context.shape[1] == 0:
            return self.prior(context.shape[0])
        means, spreads = self.factors(context)
        return product_of_gaussians(means, spreads)

    def factors(self, context: Tensor) -> tuple[Tensor, Tensor]:
        """Means and variances (B, M, L) of the factors."""
        means, spreads = self.net(self.normaliser(context)).chunk(2, dim=-1)
        return means, functional.softplus(spreads).clamp(min=_SMALLEST_VARIANCE)

    def prior(self, num_tasks: int) -> Posterior:
        """N(0, I) for B tasks."""
        mean = self.normaliser.mean.new_zeros(num_tasks, self.latent_dim)
        return Posterior(mean, torch.ones_like(mean))


_SMALLEST_VARIANCE = 1e-7  # of a factor, as the authors of PEARL
