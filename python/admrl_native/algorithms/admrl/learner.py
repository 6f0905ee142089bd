"""AdMRL and the two baselines that differ from it by the choice of tasks: Algorithm 1."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ...seeding import derive_generator, derive_seed
from ...task_gradient.gradient import TaskGradient
from ...training.agent import Agent
from ...training.learned_dynamics import LearnedDynamics
from ..learner import Adaptation, AfterStep, Learner, State
from ..setup import Setup
from .adaptation import ModelAdaptation, zero_shot
from .sampled_gradient import estimate_task_gradient
from .selectors.selector import Evidence, Selector


@dataclasses.dataclass
class TaskProgress:
    """Where the work on the current training task stands.

    Attributes:
        agent: π_θ and V of this task.
        slbo_stages: SLBO stages completed.
        zero_shot: the agent at the end of zero-shot adaptation (θ̂), if there was one.
        zero_shot_model: the model at that moment: H and M belong to it.
        returns: real returns so far: "random", "zero_shot", and "slbo", one per stage.
    """

    agent: Agent
    slbo_stages: int = 0
    zero_shot: Agent | None = None
    zero_shot_model: LearnedDynamics | None = None
    returns: dict[str, Any] = dataclasses.field(default_factory=dict)


class MetaTrainer(Learner):
    """Meta-training of one dynamics model for a family of tasks.

    Args:
        setup: family, settings, seed, observer.
        selector: chooses the tasks after the first one.

    Determinism: the same arguments give the same bits on one machine, whatever `threads` is, and
    whether or not the run was interrupted and resumed at a checkpoint.
    """

    def __init__(self, setup: Setup, selector: Selector) -> None:
        super().__init__(setup)
        self.selector = selector
        # Line 1: initialise φ and ψ, D ← ∅.
        self.model = self.environments.new_model(derive_generator(self.seed, "model"))
        space = self.task_space
        if setup.first_psi is None:
            first_u = self.settings.task_selection.first_u
            u = torch.full((self.family.task_dim,), first_u, dtype=torch.float64)
        else:
            u = space.to_normalised(space.validate(setup.first_psi))
        self.current = space.at(u)
        self.task = 0
        self.progress: TaskProgress | None = None

    @property
    def psi(self) -> Tensor:
        """The current task ψ (K,), float64."""
        return self.current.psi

    def train(self) -> None:
        """Runs to the end from wherever the run is (Algorithm 1)."""
        self.observer.begin(self.environments.compute.describe())
        while self.task < self.settings.schedule.n_tasks:  # line 2
            progress = self.progress or self._begin_task()  # line 3
            if self.task > 0 and progress.zero_shot is None:
                self._zero_shot(progress)  # line 4
            while progress.slbo_stages < self._num_slbo_stages():  # line 5
                self._slbo_stage(progress)  # lines 6, 7
            self._choose_next_task(progress)  # lines 8 to 12
        self.observer.record("end", {"tasks": self.task, **self.environments.sample_counts()})

    def adaptations(
        self, psis: Tensor, *, seed: int, after_step: AfterStep = lambda: None
    ) -> list[ModelAdaptation]:
        def after_iteration(_iteration: int, _figures: Any) -> None:
            after_step()

        model, agents = zero_shot(self.environments, self.model, psis, seed, after_iteration)
        return [
            ModelAdaptation(
                self.environments, model, agent, psi, seed, after_iteration, shares_model=True
            )
            for agent, psi in zip(agents, psis, strict=True)
        ]

    def zero_shot_state(self, adaptations: Mapping[int, Adaptation]) -> State:
        state: dict[str, Any] = {"networks": {}, "optimisers": {}}
        for task, adaptation in adaptations.items():
            assert isinstance(adaptation, ModelAdaptation)
            for kind in state:  # one model, the same for all
                state[kind] |= getattr(adaptation.model, kind)()
            _store(state, f"task{task:03d}", adaptation.agent)
        return state

    def from_zero_shot(
        self,
        state: State,
        task: int,
        psi: Tensor,
        *,
        seed: int,
        after_step: AfterStep = lambda: None,
    ) -> ModelAdaptation:
        model = self.model.copy(with_data=True)
        model.load(state["networks"], state["optimisers"])
        agent = self._stored_agent(state, f"task{task:03d}")
        return ModelAdaptation(
            self.environments, model, agent, psi, seed, lambda _iteration, _figures: after_step()
        )

    # Algorithm 1, line by line

    def _begin_task(self) -> TaskProgress:
        """Line 3: a policy initialised randomly; what it earns is the baseline of the task."""
        agent = self.environments.new_agent(derive_generator(self.seed, self.task, "agent"))
        agent.adopt_normaliser(self.model.dynamics.states)
        self.observer.phase("random-policy", task=self.task, steps=1)
        returns = self._real_returns(agent, "random-policy")
        self.observer.record(
            "random-policy",
            {
                "task": self.task,
                "psi": self.psi.tolist(),
                "return_mean": returns.mean().item(),
                "return_std": returns.std().item(),
            },
        )
        self.progress = TaskProgress(agent, returns={"random": returns.mean().item(), "slbo": []})
        return self.progress

    def _zero_shot(self, progress: TaskProgress) -> None:
        """Line 4: θ̂ from the model alone."""
        n = self.settings.schedule.n_zeroshot
        self.observer.phase("zero-shot", task=self.task, steps=n)
        last = self._virtual_training(progress, "zero-shot", n)
        progress.zero_shot = self.environments.copy_agent(progress.agent)
        progress.zero_shot_model = self.model.copy(with_data=False)
        returns = self._real_returns(progress.agent, "zero-shot")
        progress.returns["zero_shot"] = returns.mean().item()
        self.observer.record(
            "zero-shot",
            {
                "task": self.task,
                "psi": self.psi.tolist(),
                "real_return": returns.mean().item(),
                "real_return_std": returns.std().item(),
                "virtual_return": last.get("virtual_return"),
                **self.environments.sample_counts(),
            },
        )
        self._checkpoint()

    def _slbo_stage(self, progress: TaskProgress) -> None:
        """Lines 6 and 7: collect real samples, then virtual training on all of them."""
        stage, schedule = progress.slbo_stages, self.settings.schedule
        name = f"slbo {stage + 1}/{self._num_slbo_stages()}"
        self.observer.phase(name, task=self.task, steps=schedule.n_inner)
        for purpose, count in (
            ("train", schedule.n_collect),
            ("validation", schedule.n_validation),
        ):
            transitions = self.environments.collect(
                progress.agent.policy,
                self.psi,
                count,
                derive_seed(self.seed, self.task, stage, "collect", purpose),
                purpose,
            )
            self.model.add(purpose, transitions)
            self.observer.store(purpose, transitions)
        progress.agent.adopt_normaliser(self.model.dynamics.states)
        last = self._virtual_training(progress, f"slbo-{stage}", schedule.n_inner)
        returns = self._real_returns(progress.agent, f"slbo-{stage}")
        progress.returns["slbo"].append(returns.mean().item())
        progress.slbo_stages += 1
        self.observer.record(
            "slbo-stage",
            {
                "task": self.task,
                "stage": stage,
                "psi": self.psi.tolist(),
                "real_return": returns.mean().item(),
                "real_return_std": returns.std().item(),
                "virtual_return": last["virtual_return"],
                "train_loss": last["model_loss"],
                "validation_loss": self.model.fit.validation_loss(self.model.replays["validation"]),
                **self.environments.sample_counts(),
            },
        )
        self._checkpoint()

    def _choose_next_task(self, progress: TaskProgress) -> None:
        """Lines 8 to 12: the next ψ, if there is to be one; then the task is closed."""
        place = {"task": self.task, "psi": self.psi.tolist(), "u": self.current.u.tolist()}

        def record(event: str, values: Mapping[str, Any]) -> None:
            self.observer.record(event, {**place, **values})

        next_task = self.current
        if self.task + 1 < self.settings.schedule.n_tasks:
            evidence = Evidence(
                self.task,
                self.current,
                progress.returns,
                self.task_space,
                self.settings.task_selection,
                lambda: self._task_gradient(progress),
                self.environments.sample_counts,
                record,
            )
            generator = derive_generator(self.seed, self.task, "next-task")
            next_task = self.selector.next_task(evidence, generator)
        record("task", {"returns": progress.returns, **self.environments.sample_counts()})
        self.current, self.task, self.progress = next_task, self.task + 1, None
        self._checkpoint()

    def _task_gradient(self, progress: TaskProgress) -> TaskGradient:
        """Lines 9 to 11: Eq. 2 from fresh real and virtual samples."""
        assert progress.zero_shot is not None
        assert progress.zero_shot_model is not None
        self.observer.phase("task-gradient", task=self.task, steps=1)
        gradient = estimate_task_gradient(
            self.environments,
            self.psi,
            progress.zero_shot,
            progress.agent,
            {"zero-shot": progress.zero_shot_model, "latest": self.model},
            seed=self.seed,
            path=(self.task, "task-gradient"),
        )
        self.observer.step({"gradient_norm": gradient.total.norm().item()})
        return gradient

    # Parts of the lines

    def _num_slbo_stages(self) -> int:
        schedule = self.settings.schedule
        return schedule.n_slbo_first if self.task == 0 else schedule.n_slbo

    def _virtual_training(
        self, progress: TaskProgress, phase: str, iterations: int
    ) -> dict[str, float]:
        """Algorithm 2; returns the figures of the last iteration."""
        last: dict[str, float] = {}

        def after_iteration(iteration: int, of_tasks: list[dict[str, float]]) -> None:
            (figures,) = of_tasks
            last.update(figures)
            self.observer.step(figures)
            self.observer.record(
                "virtual-iteration",
                {"task": self.task, "phase": phase, "iteration": iteration, **figures},
            )

        self.environments.virtual_training(
            [progress.agent],
            self.model,
            self.psi.unsqueeze(0),
            iterations,
            derive_seed(self.seed, self.task, phase),
            after_iteration,
        )
        return last

    def _real_returns(self, agent: Agent, name: str) -> Tensor:
        """Undiscounted real returns (episodes,) of the policy on the current task."""
        return self.environments.real_returns(
            agent.policy,
            self.psi,
            self.settings.collection.evaluation_episodes,
            derive_seed(self.seed, self.task, "evaluate", name),
        )

    # Checkpoints

    def _checkpoint(self) -> None:
        self.observer.checkpoint(self.state())

    def state(self) -> dict[str, Any]:
        """Everything needed to go on, but the real transitions; see `Observer.checkpoint`."""
        state: dict[str, Any] = {
            "networks": self.model.networks(),
            "optimisers": self.model.optimisers(),
        }
        counters: dict[str, Any] = {
            "task": self.task,
            "u": self.current.u.tolist(),
            "samples": self.environments.sample_counts(),
            "progress": None,
        }
        progress = self.progress
        if progress is not None:
            _store(state, "agent", progress.agent)
            if progress.zero_shot is not None and progress.zero_shot_model is not None:
                _store(state, "zero_shot", progress.zero_shot)
                dynamics = progress.zero_shot_model.networks()["dynamics"]
                state["networks"]["zero_shot.dynamics"] = dynamics
            counters["progress"] = {
                "slbo_stages": progress.slbo_stages,
                "has_zero_shot": progress.zero_shot is not None,
                "returns": progress.returns,
            }
        return {**state, "counters": counters}

    def load(
        self, state: Mapping[str, Any], transitions: Mapping[str, Mapping[str, Tensor]]
    ) -> None:
        """Goes back to a checkpoint.

        Args:
            state: what `Observer.checkpoint` was given.
            transitions: the stored real transitions by purpose, in the order they came.
        """
        counters = state["counters"]
        for purpose, stored in transitions.items():
            self.model.replays[purpose].append(stored)
        self.model.load(state["networks"], state["optimisers"])
        self.task = counters["task"]
        self.current = self.task_space.at(torch.tensor(counters["u"], dtype=torch.float64))
        self.environments.set_sample_counts(counters["samples"])
        self.progress = None
        if (known := counters["progress"]) is not None:
            agent = self._stored_agent(state, "agent")
            progress = TaskProgress(agent, known["slbo_stages"], returns=dict(known["returns"]))
            if known["has_zero_shot"]:
                progress.zero_shot = self._stored_agent(state, "zero_shot")
                progress.zero_shot_model = self.model.copy(with_data=False)
                dynamics = state["networks"]["zero_shot.dynamics"]
                progress.zero_shot_model.dynamics.load_state_dict(dynamics)
            self.progress = progress

    def _stored_agent(self, state: State, name: str) -> Agent:
        """The inverse of `_store`."""
        agent = self.environments.new_agent(torch.Generator())
        parts = [
            {k.removeprefix(f"{name}."): v for k, v in state[kind].items() if k.startswith(name)}
            for kind in ("networks", "optimisers")
        ]
        agent.load(*parts)
        return agent


def _store(state: dict[str, Any], name: str, agent: Agent) -> None:
    """Puts an agent into a state, its parts under names that begin with this one."""
    for kind in ("networks", "optimisers"):
        parts = getattr(agent, kind)()
        state[kind] |= {f"{name}.{part}": tensors for part, tensors in parts.items()}
