"""Lines 9 to 11 of Algorithm 1: the task gradient from fresh real and virtual samples."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ...families.task_space import TaskSpace
from ...sampling.trajectories import Trajectories
from ...seeding import derive_seed
from ...task_gradient.gradient import TaskGradient, task_gradient
from ...training.agent import Agent
from ...training.learned_dynamics import LearnedDynamics
from ..environments import Environments


def estimate_task_gradient(
    environments: Environments,
    psi: Tensor,
    hat: Agent,
    star: Agent,
    models: Mapping[str, LearnedDynamics],
    *,
    seed: int,
    path: tuple[int | str, ...],
) -> TaskGradient:
    """dL/dψ (Eq. 2) at a task.

    Args:
        environments: samples, and has the settings.
        psi: the task (K,).
        hat: θ̂, at the end of zero-shot adaptation.
        star: θ*, after SLBO on the task.
        models: "zero-shot", in which θ̂ was made, and "latest": the settings choose that of H and M.
        seed: of the samples.
        path: the names below which each kind of samples derives its seed.
    """
    settings = environments.settings.task_gradient

    def real(agent: Agent, name: str) -> Trajectories:
        return environments.real_trajectories(
            agent.policy,
            psi,
            settings.real_samples,
            derive_seed(seed, *path, name),
            "task_gradient",
        )

    return task_gradient(
        hat.policy,
        hat.value,
        real_star=real(star, "star"),
        real_hat=real(hat, "hat"),
        virtual_hat=environments.virtual_trajectories(
            hat.policy,
            models[settings.model].dynamics,
            psi,
            settings.virtual_samples,
            derive_seed(seed, *path, "virtual"),
        ),
        horizon=environments.settings.physics.horizon,
        settings=settings,
        advantage=environments.settings.advantage,
        scale=TaskSpace(environments.family).gradient_in_u(
            torch.ones(environments.family.task_dim)
        ),
    )
