"""The box Ψ and its normalised coordinates: ψ = low + (u + 1)/2 · (high − low), u ∈ [−1, 1]^K."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor

from .declaration import Family


@dataclasses.dataclass(frozen=True)
class Task:
    """One task, in both coordinates; made by `TaskSpace`.

    Attributes:
        u: (K,) normalised, float64.
        psi: (K,) in the family's units, float64.
    """

    u: Tensor
    psi: Tensor


class TaskSpace:
    """Converts between ψ and u; everything is float64, on the CPU.

    Attributes:
        low: (K,) lower corner of Ψ.
        high: (K,) upper corner of Ψ.
    """

    def __init__(self, family: Family) -> None:
        self.low = torch.tensor(family.task_low, dtype=torch.float64)
        self.high = torch.tensor(family.task_high, dtype=torch.float64)
        self._names = family.task_names

    def at(self, u: Tensor) -> Task:
        """The task at u (K,)."""
        return Task(u, self.from_normalised(u))

    def from_normalised(self, u: Tensor) -> Tensor:
        """ψ (…, K) of u (…, K)."""
        return self.low + (u.to(self.low) + 1) / 2 * (self.high - self.low)

    def to_normalised(self, psi: Tensor) -> Tensor:
        """u (…, K) of ψ (…, K)."""
        return 2 * (psi.to(self.low) - self.low) / (self.high - self.low) - 1

    def gradient_in_u(self, gradient: Tensor) -> Tensor:
        """dL/du (…, K) of dL/dψ (…, K)."""
        return gradient.to(self.low) * (self.high - self.low) / 2

    def validate(self, psi: Sequence[float] | Tensor, *, inside: bool = True) -> Tensor:
        """ψ as (K,) float64.

        Args:
            psi: the task.
            inside: whether it must lie in Ψ.

        Raises:
            ValueError: another dimension, a value that is not finite, or one outside Ψ.
        """
        task = torch.as_tensor(psi, dtype=torch.float64, device="cpu")
        k = self.low.numel()
        if task.shape != (k,):
            raise ValueError(
                f"psi: expected (K={k},) numbers ({', '.join(self._names)}), "
                f"got {tuple(task.shape)}"
            )
        for name, value, low, high in zip(
            self._names, task.tolist(), self.low.tolist(), self.high.tolist(), strict=True
        ):
            if not (low <= value <= high) and (inside or value - value != 0):
                expected = f"in [{low:g}, {high:g}]" if inside else "finite"
                raise ValueError(f"psi: expected {name} {expected}, got {value:g}")
        return task
