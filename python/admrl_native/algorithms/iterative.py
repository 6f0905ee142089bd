"""What the model-free meta-learners have in common: iterations over a fixed set of tasks."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..networks.conditioned import Policy
from ..seeding import derive_generator
from .admrl.selectors.uniform import uniform_u
from .environments import Environments
from .learner import Adaptation, AfterStep, Learner, State
from .setup import Setup


@dataclasses.dataclass
class TaskAdaptation(abc.ABC):
    """A learner without a model on its way to one test task.

    Attributes:
        environments: of the run.
        psi: the task (K,).
        task_input: (K,) u of the task, if the policy sees it, or (0,).
        seed: of every random number.
        after_step: called after every round.
        rounds: how many there were.
    """

    environments: Environments
    psi: Tensor
    task_input: Tensor
    seed: int
    after_step: AfterStep
    rounds: int = dataclasses.field(default=0, init=False)

    @property
    @abc.abstractmethod
    def policy(self) -> Policy:
        """What it acts with now."""

    @abc.abstractmethod
    def learn_round(self, samples: int) -> None:
        """Round number `rounds`: that many real samples of the task, and learning."""

    def learn(self, samples: int) -> None:
        """See `Adaptation.learn`."""
        self.learn_round(samples)
        self.rounds += 1
        self.after_step()


class IterativeLearner(Learner):
    """Draws its training tasks beforehand, u ~ U(−1, 1), and goes over them in iterations.

    Source: Section 5; Appendix C (150 training tasks, uniform in Ψ).

    Attributes:
        train_u: (n_train_tasks, K) the training tasks in normalised coordinates, float64.
        iteration: how many are done.
        task_conditioned: the policy sees the task.
    """

    def __init__(self, setup: Setup, *, task_conditioned: bool) -> None:
        super().__init__(setup)
        self.task_conditioned = task_conditioned
        generator = derive_generator(self.seed, "training-tasks")
        tasks = range(self.settings.meta.n_train_tasks)
        self.train_u = torch.stack([uniform_u(self.family.task_dim, generator) for _ in tasks])
        self.iteration = 0

    @property
    def train_psi(self) -> Tensor:
        """(n_train_tasks, K) the training tasks in the family's units, float64."""
        return self.task_space.from_normalised(self.train_u)

    @property
    @abc.abstractmethod
    def num_iterations(self) -> int:
        """Iterations of a whole run."""

    @abc.abstractmethod
    def iterate(self) -> dict[str, Any]:
        """The next iteration, number `self.iteration`.

        Returns:
            Figures for the metrics, among them "real_return", the mean undiscounted return of its
            samples, and "adapted_return", of those taken after adaptation (None if it has none).
        """

    @abc.abstractmethod
    def parts(self) -> dict[str, Any]:
        """{"networks": …, "optimisers": …} of the method; see `state`."""

    @abc.abstractmethod
    def load_parts(
        self, parts: Mapping[str, Any], transitions: Mapping[str, Mapping[str, Tensor]]
    ) -> None:
        """Goes back to what `parts` gave.

        Args:
            parts: that, and what `state` adds.
            transitions: what was stored until then; see `load`.
        """

    def prepare(self) -> None:
        """Before the first iteration."""

    def compute(self) -> dict[str, str]:
        """How it learns: see `Compute.describe`."""
        return {
            "path": "torch",
            "precision": "fp32",
            "where": f"torch {torch.__version__} on {self.environments.device.type}",
        }

    def train(self) -> None:
        self.observer.begin(self.compute())
        total = self.num_iterations
        if self.iteration == 0:
            self._tell_tasks()
            self.observer.phase("prepare", task=0, steps=1)
            self.prepare()
        while self.iteration < total:
            self.observer.phase(f"iteration {self.iteration + 1}/{total}", task=0, steps=1)
            figures = self.iterate()
            self.observer.step({k: v for k, v in figures.items() if isinstance(v, (int, float))})
            self.observer.record(
                "iteration",
                {"iteration": self.iteration, **figures, **self.environments.sample_counts()},
            )
            self.iteration += 1
            self.observer.checkpoint(self.state())
        self.observer.record(
            "end", {"tasks": len(self.train_u), **self.environments.sample_counts()}
        )

    def state(self) -> dict[str, Any]:
        counters = {"iteration": self.iteration, "samples": self.environments.sample_counts()}
        return {**self.parts(), "counters": counters}

    def load(
        self, state: Mapping[str, Any], transitions: Mapping[str, Mapping[str, Tensor]]
    ) -> None:
        counters = state["counters"]
        self.iteration = counters["iteration"]
        self.environments.set_sample_counts(counters["samples"])
        self.load_parts(state, transitions)

    def _tell_tasks(self) -> None:
        """The training tasks, as the other methods tell theirs."""
        for task, (u, psi) in enumerate(zip(self.train_u, self.train_psi, strict=True)):
            self.observer.record(
                "task",
                {
                    "task": task,
                    "psi": psi.tolist(),
                    "u": u.tolist(),
                    "returns": {},
                    **self.environments.sample_counts(),
                },
            )

    def zero_shot_state(self, adaptations: Mapping[int, Adaptation]) -> State:
        return {"networks": {}, "optimisers": {}}  # they begin with what the learner is

    def from_zero_shot(
        self,
        state: State,
        task: int,
        psi: Tensor,
        *,
        seed: int,
        after_step: AfterStep = lambda: None,
    ) -> Adaptation:
        (adaptation,) = self.adaptations(psi.unsqueeze(0), seed=seed, after_step=after_step)
        return adaptation

    # For the methods

    def draw_tasks(self, count: int) -> Tensor:
        """Indices (count,) of different training tasks, those of the current iteration."""
        generator = derive_generator(self.seed, self.iteration, "tasks")
        return torch.randperm(len(self.train_u), generator=generator)[:count]

    def task_inputs(self, psis: Tensor) -> Tensor:
        """What the policy sees of tasks ψ (…, K), on the device: u (…, K), or nothing (…, 0)."""
        u = self.task_space.to_normalised(psis.cpu()).float().to(self.environments.device)
        return u if self.task_conditioned else u[..., :0]
