"""Running mean and standard deviation of vectors."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

_SMALLEST_STD = 1e-4  # a coordinate that never moves must not blow up what is divided by its std


class Normaliser(nn.Module):
    """Mean and standard deviation of all rows seen so far; (0, 1) before the first.

    Attributes:
        mean: (D,) float32.
        std: (D,) float32, at least 1e-4.
    """

    count: Tensor
    mean64: Tensor
    sum_of_squares: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))
        self.register_buffer("mean64", torch.zeros(dim, dtype=torch.float64))
        self.register_buffer("sum_of_squares", torch.zeros(dim, dtype=torch.float64))
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("std", torch.ones(dim))

    @torch.no_grad()
    def update(self, rows: Tensor) -> None:
        """Adds rows (M, D) by the parallel update of mean and squared deviations.

        Source: Chan, Golub, LeVeque 1979.
        """
        rows = rows.detach().to(self.mean64)
        n = rows.shape[0]
        if n == 0:
            return
        mean = rows.mean(0)
        total = self.count + n
        shift = mean - self.mean64
        self.sum_of_squares += ((rows - mean) ** 2).sum(0) + shift**2 * (self.count * n / total)
        self.mean64 += shift * (n / total)
        self.count.copy_(total)
        self.mean.copy_(self.mean64)
        self.std.copy_((self.sum_of_squares / total).sqrt().clamp(min=_SMALLEST_STD))

    @torch.no_grad()
    def adopt(self, statistics: Normaliser, *first_layers: tuple[Tensor, Tensor]) -> None:
        """Takes on other statistics; the networks behind it stay the same functions.

        W' = W diag(std'/std), b' = b + W (mean' − mean)/std, in float64. An entry that never moved
        (std at its least) keeps its weights: the function stays what it was where that entry is its
        mean, which is all that was seen of it. Statistics that are taken on for the first time,
        instead of (0, 1), are what the weights were drawn for: these stay.

        Args:
            statistics: of the same D entries.
            first_layers: (weight (out, D or more), bias (out,)) that the output goes into, with
                other inputs behind it.
        """
        fresh = bool((self.mean == 0).all() and (self.std == 1).all())
        d = self.mean.numel()
        mean, std = self.mean.double(), self.std.double()
        new_mean, new_std = statistics.mean.to(mean), statistics.std.to(mean)
        moved = self.std > _SMALLEST_STD
        factor = torch.where(moved, new_std / std, 1.0)
        shift = (new_mean - mean) / torch.where(moved, std, new_std)
        for weight, bias in () if fresh else first_layers:
            w = weight[:, :d].double()
            bias.add_((w @ shift).to(bias))
            weight[:, :d] = (w * factor).to(weight)
        self.load_state_dict(statistics.state_dict())

    def forward(self, rows: Tensor) -> Tensor:
        """(rows − mean) / std."""
        return (rows - self.mean) / self.std


def side_by_side(parts: Sequence[Normaliser]) -> Normaliser:
    """Of vectors made of several parts: the mean and std that each part's normaliser has now.

    On the device of the first; not to be updated: it does not know how many rows there were.
    """
    joined = Normaliser(sum(part.mean.numel() for part in parts)).to(parts[0].mean.device)
    for name in ("mean64", "mean", "std"):
        getattr(joined, name).copy_(torch.cat([getattr(part, name) for part in parts]))
    return joined
