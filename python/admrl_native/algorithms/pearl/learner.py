"""PEARL and PEARL-MT: soft actor-critic whose actor and critics see a latent variable of the task.

Source: Rakelly et al. 2019, Algorithm 1; Appendix C. docs/pearl.md says what differs.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ...networks.normaliser import Normaliser, side_by_side
from ...sampling.task_replay import COLUMNS, TaskReplay, sound_transitions
from ...sampling.trajectories import Trajectories
from ...seeding import derive_generator, derive_seed
from ..iterative import IterativeLearner
from ..learner import AfterStep
from ..setup import Setup
from .adaptation import PearlAdaptation
from .update import PearlUpdate


class Pearl(IterativeLearner):
    """Actor, critics and context encoder, and the data of the training tasks.

    Attributes:
        update: the networks and their optimisers.
        replay: every transition so far, by task.
    """

    def __init__(self, setup: Setup, *, task_conditioned: bool) -> None:
        super().__init__(setup, task_conditioned=task_conditioned)
        environments, settings = self.environments, self.settings
        device = environments.device
        self.update = PearlUpdate(
            environments.obs_dim,
            environments.act_dim,
            self.family.task_dim if self.task_conditioned else 0,
            settings.pearl,
            settings.sac,
            settings.advantage.gamma,
            derive_generator(self.seed, "networks"),
            device,
        )
        self.replay = TaskReplay(
            len(self.train_u), environments.obs_dim, environments.act_dim, device
        )
        self._task_inputs = self.task_inputs(self.train_psi)

    @property
    def num_iterations(self) -> int:
        return self.settings.pearl.iterations

    def prepare(self) -> None:
        """Samples of every training task with z from the prior; then all scales are set."""
        pearl = self.settings.pearl
        for tasks in torch.arange(len(self.train_u)).split(pearl.tasks_per_iteration):
            self._collect(tasks, pearl.initial_samples, "initial", int(tasks[0]))
        self._set_scales()

    def iterate(self) -> dict[str, Any]:
        """Samples of some of the training tasks, then gradient steps on the data of all."""
        pearl, i = self.settings.pearl, self.iteration
        tasks = self.draw_tasks(pearl.tasks_per_iteration)
        prior = self._collect(tasks, pearl.prior_samples, "prior", i)
        posterior = self._collect(tasks, pearl.posterior_samples, "posterior", i)
        return {
            "real_return": prior.first_episode_returns().mean().item(),
            "adapted_return": posterior.first_episode_returns().mean().item(),
            **self._learn(),
        }

    def adaptations(
        self, psis: Tensor, *, seed: int, after_step: AfterStep = lambda: None
    ) -> list[PearlAdaptation]:
        """See `Learner.adaptations`; actor and encoder are copied once, and the same for all."""
        actor, encoder = copy.deepcopy(self.update.sac.actor), copy.deepcopy(self.update.encoder)
        return [
            PearlAdaptation(self.environments, psi, task_input, seed, after_step, actor, encoder)
            for psi, task_input in zip(psis, self.task_inputs(psis), strict=True)
        ]

    # Parts of an iteration

    def _collect(self, tasks: Tensor, samples: int, purpose: str, number: int) -> Trajectories:
        """Real samples of each of B tasks (B,), kept and stored; each episode has a z of its own.

        From the posterior, each given transitions drawn from the task's context, or from the prior:
        then the samples become the task's new context.
        """
        pearl, update, device = self.settings.pearl, self.update, self.environments.device
        rollouts = samples // self.settings.physics.horizon
        generator = derive_generator(self.seed, number, purpose, "latent", device=device)
        of_env = tasks.repeat_interleave(rollouts).tolist()
        with torch.no_grad():
            if purpose == "posterior":
                context = self.replay.sample_context(of_env, pearl.context_size, generator)
                belief = update.posterior(context)
            else:
                belief = update.encoder.prior(len(of_env))
            contexts = torch.cat([self._task_inputs[of_env], belief.sample(generator)], dim=-1)
        trajectories = self.environments.many_trajectories(
            [update.sac.actor],
            self.train_psi[tasks],
            rollouts,
            derive_seed(self.seed, number, purpose),
            purpose,
            contexts=contexts,
        )
        stored = []
        for i, task in enumerate(tasks.tolist()):
            rows = trajectories.rows(torch.arange(i * rollouts, (i + 1) * rollouts))
            kept = sound_transitions(rows)
            self.replay.append(task, kept, is_context=purpose != "posterior")
            count = len(kept["rewards"])
            kept |= {
                "task": torch.full((count,), task),
                "iteration": torch.full((count,), -1 if purpose == "initial" else number),
                "is_context": torch.full((count,), purpose != "posterior"),
            }
            stored.append({name: x.cpu() for name, x in kept.items()})
        self.observer.store("train", {k: torch.cat([p[k] for p in stored]) for k in stored[0]})
        return trajectories

    def _learn(self) -> dict[str, float]:
        """Gradient steps, each on a batch of the training tasks; the means of their figures."""
        pearl, device = self.settings.pearl, self.environments.device
        choice = derive_generator(self.seed, self.iteration, "meta-batches")
        generator = derive_generator(self.seed, self.iteration, "gradient-steps", device=device)
        totals: dict[str, Tensor] = {}
        for _ in range(pearl.gradient_steps):
            tasks = torch.randperm(len(self.train_u), generator=choice)[: pearl.meta_batch].tolist()
            figures = self.update.step(
                self.replay.sample(tasks, pearl.batch_size, generator),
                self.replay.sample_context(tasks, pearl.context_size, generator),
                self._task_inputs[tasks],
                generator,
            )
            for name, value in figures.items():
                totals[name] = totals.get(name, 0.0) + value
        return {name: total.item() / pearl.gradient_steps for name, total in totals.items()}

    def _set_scales(self) -> None:
        """Normalisers, and where the critics begin, from the data that there is; then they stay.

        The critics begin at the constant that satisfies their equation on average over the data,
        v = c E[r] + γ (1 − E[done]) v: a family's bonus need not be learned step by step.
        """
        states, rewards = Normaliser(self.environments.obs_dim), Normaliser(1)
        ended, count = 0.0, 0
        for task in range(self.replay.num_tasks):
            data = self.replay.all(task)
            states.update(data.obs[0].cpu())
            rewards.update(data.rewards[0].unsqueeze(1).cpu())
            ended += data.dones.double().sum().item()
            count += data.dones.numel()
        task_input = Normaliser(self._task_inputs.shape[1] + self.settings.pearl.latent_dim)
        transition = [states, Normaliser(self.environments.act_dim), rewards]
        if self.settings.pearl.encoder_next_obs:
            transition.append(states)
        self.update.adopt_normalisers(side_by_side([states, task_input]), side_by_side(transition))
        gamma, scale = self.settings.advantage.gamma, self.settings.sac.reward_scale
        # At γ = 1, and where no episode ends, there is no such constant.
        per_step = 1 - gamma * (1 - ended / count) or 1 / self.settings.physics.horizon
        self.update.sac.start_values_at(scale * rewards.mean.item() / per_step)

    # Checkpoints

    def parts(self) -> dict[str, Any]:
        return {
            "networks": self.update.networks(),
            "optimisers": self.update.optimisers(),
        }

    def load_parts(
        self, parts: Mapping[str, Any], transitions: Mapping[str, Mapping[str, Tensor]]
    ) -> None:
        self.update.load(parts["networks"], parts["optimisers"])
        stored = transitions["train"]
        keys = torch.stack([stored[k].long() for k in ("task", "iteration", "is_context")])
        rollouts, lengths = torch.unique_consecutive(keys, dim=1, return_counts=True)
        pieces = {name: stored[name].split(lengths.tolist()) for name in COLUMNS}
        for i, (task, _, is_context) in enumerate(rollouts.T.tolist()):
            rows = {name: pieces[name][i] for name in COLUMNS}
            self.replay.append(task, rows, is_context=bool(is_context))
