"""What task_gradient.py takes gradients of: real and virtual samples of one policy on Ant2D."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import torch
from torch import Tensor

from admrl_native.derivatives.scores import score_products
from admrl_native.networks.policy import GaussianPolicy
from admrl_native.sampling.trajectories import Trajectories
from admrl_native.seeding import derive_generator
from admrl_native.task_gradient.gradient import TaskGradient, task_gradient
from admrl_native.task_gradient.health import TermsOf
from admrl_native.task_gradient.hessian import HessianProduct, hessian_product
from admrl_native.task_gradient.samples import GapSamples, ValuedTrajectories
from admrl_native.task_gradient.settings import TaskGradientSettings
from admrl_native.task_gradient.terms import Terms, estimate_terms
from admrl_native.training.agent import Agent
from admrl_native.training.settings import AdvantageSettings
from first_stage import FirstStage


def difference(name: str, got: Tensor, expected: Tensor, tolerance: float) -> float:
    """‖got − expected‖ / ‖expected‖, asserted to be within the tolerance."""
    expected = expected.double()
    apart: float = ((got.double() - expected).norm() / expected.norm()).item()
    assert apart <= tolerance, f"{name}: differs by {apart:.1e}, tolerance {tolerance:.0e}"
    return apart


@dataclasses.dataclass(frozen=True)
class GradientSamples:
    """The arguments of `task_gradient`, and its pieces one by one.

    Attributes:
        agent: θ̂ and its value function.
        star: real trajectories of the agent, in the place of θ*'s: what they cost is the same.
        hat: other real trajectories of the agent.
        virtual: its trajectories in the model.
        horizon: T.
        settings: the defaults, with the preset's numbers of samples.
        advantage: the preset's, with the λ of the task gradient.
    """

    agent: Agent
    star: Trajectories
    hat: Trajectories
    virtual: Trajectories
    horizon: int
    settings: TaskGradientSettings
    advantage: AdvantageSettings

    @classmethod
    def draw(cls, stage: FirstStage, agent: Agent) -> GradientSamples:
        sizes, environments = stage.settings.task_gradient, stage.environments
        # A preset may choose another estimator or damping: the defaults are what is timed here.
        settings = TaskGradientSettings(
            real_samples=sizes.real_samples, virtual_samples=sizes.virtual_samples
        )

        def real(seed: int) -> Trajectories:
            return environments.real_trajectories(
                agent.policy, stage.psi, settings.real_samples, seed, "task_gradient"
            )

        return cls(
            agent,
            real(1),
            real(2),
            environments.virtual_trajectories(
                agent.policy, stage.model.dynamics, stage.psi, settings.virtual_samples, 3
            ),
            stage.settings.physics.horizon,
            settings,
            stage.settings.advantage.replace(gae_lambda=settings.gae_lambda),
        )

    @property
    def policy(self) -> GaussianPolicy:
        """π_θ̂."""
        return self.agent.policy

    def with_task_dim(self, task_dim: int) -> GradientSamples:
        """The same samples as if ψ had so many dimensions; only ∂r/∂ψ (N, T, K) is replaced.

        Its columns are fixed random mixtures of the real ones, with a tenth of random signs.
        """
        generator = derive_generator(0, "task-dim")
        given = self.star.reward_grads.shape[-1]
        mixing = torch.randn(given, task_dim, generator=generator)

        def replaced(t: Trajectories) -> Trajectories:
            mixed = t.reward_grads @ mixing
            signs = torch.randint(2, mixed.shape, generator=generator) * 2.0 - 1
            return dataclasses.replace(t, reward_grads=mixed + 0.1 * signs)

        return dataclasses.replace(
            self,
            star=replaced(self.star),
            hat=replaced(self.hat),
            virtual=replaced(self.virtual),
        )

    def gradient(self, **settings: Any) -> TaskGradient:
        """The whole task gradient, with some settings changed."""
        return task_gradient(
            self.policy,
            self.agent.value,
            self.star,
            self.hat,
            self.virtual,
            horizon=self.horizon,
            settings=self.settings.replace(**settings),
            advantage=self.advantage,
        )

    # Its pieces

    def judge(self) -> GapSamples:
        """With advantages and their derivatives."""
        hat, virtual = (
            ValuedTrajectories.of(t, self.agent.value, self.advantage)
            for t in (self.hat, self.virtual)
        )
        return GapSamples(self.star, hat, virtual)

    @functools.cached_property
    def judged(self) -> GapSamples:
        """The same, computed once."""
        return self.judge()

    @property
    def virtual_flat(self) -> tuple[Tensor, Tensor]:
        """obs (M, D) and actions (M, A) of the virtual samples."""
        return self.virtual.obs.flatten(0, 1), self.virtual.actions.flatten(0, 1)

    def terms_of(self, **settings: Any) -> TermsOf:
        """The estimator of the terms of Eq. 2."""

        def terms(part: GapSamples, dtype: torch.dtype = torch.float64) -> Terms:
            return estimate_terms(
                self.policy,
                part,
                horizon=self.horizon,
                settings=self.settings.replace(**settings),
                advantage=self.advantage,
                dtype=dtype,
            )

        return terms

    def terms(self, **settings: Any) -> Terms:
        """The terms of Eq. 2 from all the samples."""
        return self.terms_of(**settings)(self.judged)

    def product(self, hessian: str, dtype: torch.dtype) -> HessianProduct:
        """x ↦ H x, products with scores in `dtype`."""
        return hessian_product(
            score_products(self.policy, *self.virtual_flat, dtype),
            self.judged.virtual_hat,
            horizon=self.horizon,
            settings=self.settings.replace(hessian=hessian),
            advantage=self.advantage,
        )
