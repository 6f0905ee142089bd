"""MAML and MAML-MT: parameters from which one policy-gradient step adapts to a task.

Source: Finn et al. 2017, Algorithm 3; Appendix C. docs/maml.md says what differs.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from ...meta_gradient.adapted_task import AdaptedTask
from ...meta_gradient.inner_step import InnerStep
from ...meta_gradient.outer_step import outer_step
from ...meta_gradient.weighted import WeightedTrajectories
from ...networks.policy import GaussianPolicy, gaussian_entropy
from ...seeding import derive_generator, derive_seed
from ..iterative import IterativeLearner
from ..learner import AfterStep
from ..setup import Setup
from .adaptation import MamlAdaptation
from .samples import maml_samples


class Maml(IterativeLearner):
    """One policy θ, which every adaptation begins with.

    Attributes:
        policy: π_θ; of [s, u] in MAML-MT.
    """

    def __init__(self, setup: Setup, *, task_conditioned: bool) -> None:
        super().__init__(setup, task_conditioned=task_conditioned)
        maml, environments = self.settings.maml, self.environments
        self.policy = GaussianPolicy(
            environments.obs_dim + (self.family.task_dim if self.task_conditioned else 0),
            environments.act_dim,
            self.settings.networks.replace(policy_hidden=maml.hidden),
            derive_generator(self.seed, "policy"),
        ).to(environments.device)

    @property
    def num_iterations(self) -> int:
        return self.settings.maml.iterations

    def iterate(self) -> dict[str, Any]:
        """Adapts to some of the training tasks, then moves θ so that the adapted ones do better."""
        maml, i = self.settings.maml, self.iteration
        chosen = self.draw_tasks(maml.meta_batch)
        psis = self.train_psi[chosen]
        task_input = self.task_inputs(psis)
        policies, steps = [self.policy], [list[InnerStep]() for _ in psis]
        returns, states = [], []
        for k in range(maml.inner_steps + 1):
            adapting = k < maml.inner_steps
            trajectories, samples = maml_samples(
                self.environments,
                policies,
                psis,
                task_input,
                maml.rollouts,
                derive_seed(self.seed, i, k),
                "pre-adaptation" if adapting else "post-adaptation",
            )
            returns.append(trajectories.first_episode_returns().mean().item())
            states.append(trajectories.obs.flatten(0, 1))
            if adapting:
                policies = self._adapt(policies, steps, samples)
        tasks = [AdaptedTask(*task) for task in zip(steps, policies, samples, strict=True)]
        done = outer_step(self.policy, tasks, maml.trust_region())
        # Only now: within an iteration all policies normalise alike.
        statistics = copy.deepcopy(self.policy.normaliser)
        for rows in states:
            statistics.update(rows)
        self.policy.adopt_normaliser(statistics)
        return {
            "real_return": returns[0],
            "adapted_return": returns[-1],
            "kl": done.kl,
            "improvement": done.improvement,
            "line_search_steps": done.line_search_steps,
            "entropy": gaussian_entropy(self.policy.log_std).item(),
        }

    def adaptations(
        self, psis: Tensor, *, seed: int, after_step: AfterStep = lambda: None
    ) -> list[MamlAdaptation]:
        return [
            MamlAdaptation(
                self.environments, psi, task_input, seed, after_step, copy.deepcopy(self.policy)
            )
            for psi, task_input in zip(psis, self.task_inputs(psis), strict=True)
        ]

    # Parts

    def _adapt(
        self,
        policies: list[GaussianPolicy],
        steps: list[list[InnerStep]],
        samples: list[WeightedTrajectories],
    ) -> list[GaussianPolicy]:
        """The next inner step of every task, added to its steps; where they led."""
        maml, adapted = self.settings.maml, []
        for b, of_task in enumerate(samples):
            policy = policies[b if len(policies) > 1 else 0]
            step = InnerStep(
                policy, of_task, step_size=maml.inner_step_size, surrogate=maml.surrogate
            )
            steps[b].append(step)
            adapted.append(copy.deepcopy(policy))
            adapted[-1].set_params(step.adapted)
        return adapted

    # Checkpoints

    def parts(self) -> dict[str, Any]:
        return {"networks": {"policy": self.policy.state_dict()}, "optimisers": {}}

    def load_parts(
        self, parts: Mapping[str, Any], transitions: Mapping[str, Mapping[str, Tensor]]
    ) -> None:
        self.policy.load_state_dict(parts["networks"]["policy"])
