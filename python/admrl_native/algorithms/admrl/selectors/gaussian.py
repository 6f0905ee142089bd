"""MB-Gauss: tasks near the centre of Ψ."""

from __future__ import annotations

import torch

from ....families.task_space import Task
from .selector import Evidence


class Gaussian:
    """u ~ N(0, std²), clipped to the box."""

    def next_task(self, evidence: Evidence, generator: torch.Generator) -> Task:
        noise = torch.randn(len(evidence.current.u), generator=generator, dtype=torch.float64)
        return evidence.space.at((evidence.settings.gaussian_std * noise).clamp(-1, 1))
