"""MAML on its way to a test task: policy-gradient steps from the meta-trained parameters."""

from __future__ import annotations

import torch
from torch import Tensor

from ...meta_gradient.inner_step import InnerStep
from ...networks.conditioned import ConditionedPolicy, Policy
from ...networks.policy import GaussianPolicy
from ...seeding import derive_seed
from ..learner import AfterStep
from ..workshop import Workshop
from .samples import maml_samples


class MamlAdaptation:
    """θ, and after every round of samples θ some steps further.

    Args:
        workshop: of the run.
        policy: π_θ; changed.
        psi: the task (K,).
        told: (K,) what the policy is told of it, or (0,).
        seed: of every random number.
        after_step: called after every round.

    Source: Finn et al. 2017, Eq. 1; Appendix A.2 (step sizes at test time).
    """

    def __init__(
        self,
        workshop: Workshop,
        policy: GaussianPolicy,
        psi: Tensor,
        told: Tensor,
        seed: int,
        after_step: AfterStep,
    ) -> None:
        self._workshop, self._policy = workshop, policy
        self._psi, self._told, self._seed = psi, told, seed
        self._after_step = after_step
        self._steps = 0

    @property
    def policy(self) -> Policy:
        if len(self._told) == 0:
            return self._policy
        return ConditionedPolicy(self._policy, self._told, torch.zeros_like(self._told))

    def learn(self, samples: int) -> None:
        """`test_steps` steps, each on its own part of the samples.

        Raises:
            ValueError: the parts are not whole numbers of episodes.
        """
        settings = self._workshop.settings
        maml = settings.maml
        episodes = maml.test_steps * settings.physics.horizon
        if samples < 1 or samples % episodes != 0:
            raise ValueError(
                f"samples: expected a multiple of test_steps · horizon ({episodes}), got {samples}"
            )
        for _ in range(maml.test_steps):
            _, (of_task,) = maml_samples(
                self._workshop,
                [self._policy],
                self._psi.unsqueeze(0),
                self._told.unsqueeze(0),
                samples // episodes,
                derive_seed(self._seed, "adapt", self._steps),
                "adaptation",
            )
            factor = maml.test_later_factor if self._steps > 0 else 1.0
            step_size = factor * maml.test_step_size
            step = InnerStep(
                self._policy, of_task, step_size=step_size, surrogate="first-order"
            )  # nothing is differentiated through it any more
            self._policy.set_params(step.adapted)
            self._steps += 1
        self._after_step()
