"""AdMRL: the gap is climbed (Algorithm 1, lines 8 to 12)."""

from __future__ import annotations

import torch
from torch import Tensor

from ....families.task_space import Task
from ....krylov import SolverError
from ....sampling.real import SimulationError
from ....task_gradient.gradient import TaskGradient
from ...settings import TaskSelectionSettings
from .selector import Evidence
from .uniform import Uniform


class GradientAscent:
    """ψ uphill by the task gradient; uniform after the first task, and where there is no guide."""

    def next_task(self, evidence: Evidence, generator: torch.Generator) -> Task:
        drawn = Uniform().next_task(evidence, generator)
        if evidence.task == 0:  # line 8
            return drawn
        settings = evidence.settings
        gradient: TaskGradient | None = None
        try:
            gradient = evidence.task_gradient()  # lines 9 to 11
            gradient_u = evidence.space.gradient_in_u(gradient.total)
            next_task = evidence.space.at(ascent_step(evidence.current.u, gradient_u, settings))
            reason = gradient.no_guide(follow=settings.untrusted_gradient == "follow")
        except (SolverError, SimulationError) as error:
            reason = " ".join(str(error).split())
        if reason is not None:
            next_task = drawn
        next_psi = next_task.psi.tolist()
        if gradient is not None:
            figures = {"gradient_u": gradient_u.tolist(), "next_psi": next_psi}
            counts = evidence.sample_counts()
            evidence.record("task-gradient", {**gradient.metrics(), **figures, **counts})
        if reason is not None:
            evidence.record("uniform-task", {"reason": reason, "next_psi": next_psi})
        return next_task


def ascent_step(u: Tensor, gradient_u: Tensor, settings: TaskSelectionSettings) -> Tensor:
    """Π(u + α dL/du) (Algorithm 1, line 12); u, dL/du and the result are (K,)."""
    return (u + settings.step_size * gradient_u).clamp(-1, 1)
