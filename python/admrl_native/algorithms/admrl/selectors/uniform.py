"""MB-Unif: every task of Ψ is as likely."""

from __future__ import annotations

import torch
from torch import Tensor

from ....families.task_space import Task
from .selector import Evidence


class Uniform:
    """u ~ U(−1, 1)^K."""

    def next_task(self, evidence: Evidence, generator: torch.Generator) -> Task:
        return evidence.space.at(uniform_u(len(evidence.current.u), generator))


def uniform_u(task_dim: int, generator: torch.Generator) -> Tensor:
    """u (K,) ~ U(−1, 1)."""
    return torch.rand(task_dim, generator=generator, dtype=torch.float64) * 2 - 1
