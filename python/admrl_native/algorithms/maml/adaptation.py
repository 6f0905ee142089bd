"""MAML on its way to a test task: policy-gradient steps from the meta-trained parameters."""

from __future__ import annotations

import dataclasses

import torch

from ...meta_gradient.inner_step import InnerStep
from ...networks.conditioned import ConditionedPolicy, Policy
from ...networks.policy import GaussianPolicy
from ...seeding import derive_seed
from ..iterative import TaskAdaptation
from .samples import maml_samples


@dataclasses.dataclass
class MamlAdaptation(TaskAdaptation):
    """θ, and after every round of samples θ some steps further.

    Attributes:
        own: π_θ; changed.

    Source: Finn et al. 2017, Eq. 1; Appendix A.2 (step sizes at test time).
    """

    own: GaussianPolicy

    @property
    def policy(self) -> Policy:
        if len(self.task_input) == 0:
            return self.own
        return ConditionedPolicy(self.own, self.task_input, torch.zeros_like(self.task_input))

    def learn_round(self, samples: int) -> None:
        """`test_steps` steps, each on its own part of the samples.

        Raises:
            ValueError: the parts are not whole numbers of episodes.
        """
        settings = self.environments.settings
        maml = settings.maml
        episodes = maml.test_steps * settings.physics.horizon
        if samples < 1 or samples % episodes != 0:
            raise ValueError(
                f"samples: expected a multiple of test_steps · horizon ({episodes}), got {samples}"
            )
        for step in range(self.rounds * maml.test_steps, (self.rounds + 1) * maml.test_steps):
            _, (of_task,) = maml_samples(
                self.environments,
                [self.own],
                self.psi.unsqueeze(0),
                self.task_input.unsqueeze(0),
                samples // episodes,
                derive_seed(self.seed, "adapt", step),
                "adaptation",
            )
            factor = maml.test_later_factor if step > 0 else 1.0
            size = factor * maml.test_step_size
            # first-order: nothing is differentiated through it any more
            inner = InnerStep(self.own, of_task, step_size=size, surrogate="first-order")
            self.own.set_params(inner.adapted)
