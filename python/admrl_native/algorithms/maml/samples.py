"""MAML's samples: trajectories of some tasks, and what each step counts in a policy gradient."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ...meta_gradient.weighted import WeightedTrajectories, weighted_by_task
from ...networks.policy import GaussianPolicy
from ...sampling.trajectories import Trajectories
from ...training.linear_baseline import baseline_advantages, standardised
from ..environments import Environments


def maml_samples(
    environments: Environments,
    policies: Sequence[GaussianPolicy],
    psis: Tensor,
    task_input: Tensor,
    rollouts: int,
    seed: int,
    purpose: str,
) -> tuple[Trajectories, list[WeightedTrajectories]]:
    """Real episodes of B tasks, all together and by task with weights Â/M, counted.

    Â has a linear baseline of the task's own samples and is standardised over them; the M samples
    of a task count alike, so that a gradient is a mean over time steps.

    Args:
        environments: of the run.
        policies: one for each task, or one for all.
        psis: tasks (B, K).
        task_input: (B, C) what a policy sees of the task beside the state; C may be 0.
        rollouts: rows of each task, as long as the horizon; an episode that ends early is followed
            by the next one.
        seed: of every random number.
        purpose: what the samples are counted as.

    Source: Finn et al. 2017, Appendix A.2; Duan et al. 2016.
    """
    settings, with_context = environments.settings, task_input.shape[1] > 0
    contexts = task_input.repeat_interleave(rollouts, 0)
    trajectories = environments.many_trajectories(
        policies, psis, rollouts, seed, purpose, contexts=contexts if with_context else None
    )
    advantages = baseline_advantages(
        trajectories,
        len(psis),
        settings.physics.horizon,
        settings.maml.advantage(settings.advantage.gamma),
        settings.maml.baseline_ridge,
    )
    by_task = standardised(advantages.reshape(len(psis), -1))
    weights = (by_task / by_task.shape[1]).view_as(advantages)
    weights = weights.masked_fill(trajectories.excluded, 0.0)
    seen = trajectories.with_context(contexts) if with_context else trajectories
    return seen, weighted_by_task(seen, weights, len(psis))
