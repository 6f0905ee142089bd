"""What Algorithm 1 works with: real environments, models, agents, and the sample count."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..families.declaration import Family
from ..families.start import blown_up
from ..networks.conditioned import BasePolicy, Policy
from ..networks.dynamics import Dynamics
from ..networks.policy import GaussianPolicy
from ..sampling.policy_rollout import arrays_of, rollout
from ..sampling.real import RealEnvironment
from ..sampling.trajectories import Trajectories
from ..seeding import derive_generator, derive_seed
from ..settings import SettingError
from ..training.agent import Agent
from ..training.choose_compute import choose_compute
from ..training.compute import Compute
from ..training.learned_dynamics import LearnedDynamics
from ..training.virtual_training import AfterIteration, VirtualTrainingBudget, virtual_training
from .settings import TrainingSettings

_NUM_START_STATES = 1000  # real reset states that the virtual rollouts of one phase start from


class Environments:
    """Makes models and agents, samples with them, trains them; counts every sample by purpose.

    Args:
        family: what a task is.
        settings: of the run.
        threads: of the simulation, and of the native pool of virtual training. torch has one
            thread: its results would otherwise depend on their number.
        device: of the networks.

    Attributes:
        compute: what does the virtual training.

    Raises:
        SettingError: a way to compute that this machine has not; see `choose_compute`.
    """

    def __init__(
        self, family: Family, settings: TrainingSettings, threads: int, device: torch.device
    ) -> None:
        torch.set_num_threads(1)
        self.family = family
        self.settings = settings
        self.threads = threads
        self.device = device
        self.compute = choose_compute(settings.compute, family, device, threads)
        self._of_size: dict[int, RealEnvironment] = {}
        environment = self.environment(settings.collection.num_envs)
        self.obs_dim, self.act_dim = environment.obs_dim, environment.act_dim
        self._real_samples: dict[str, int] = {}
        self._excluded: dict[str, int] = {}
        self._virtual_samples = 0
        self._skipped_updates = 0

    def environment(self, num_envs: int) -> RealEnvironment:
        """The real environments, made once for each number of them."""
        if num_envs not in self._of_size:
            self._of_size[num_envs] = RealEnvironment(
                self.family, self.settings.physics, num_envs, self.threads
            )
        return self._of_size[num_envs]

    # Makers

    def new_model(self, generator: torch.Generator) -> LearnedDynamics:
        """A fresh model with no data."""
        return LearnedDynamics(
            self.obs_dim,
            self.act_dim,
            self.settings.networks,
            self.settings.dynamics_fit,
            generator,
            self.device,
        )

    def new_agent(self, generator: torch.Generator, context_dim: int = 0) -> Agent:
        """A fresh policy and value function, of the state and a context of C numbers."""
        return Agent(
            self.obs_dim + context_dim,
            self.act_dim,
            self.settings.networks,
            self.settings.value_fit,
            generator,
            self.device,
        )

    def copy_agent(self, agent: Agent) -> Agent:
        """An independent copy, normalisers and optimiser included."""
        twin = self.new_agent(torch.Generator())
        twin.load(agent.networks(), agent.optimisers())
        return twin

    # Samples

    def sample_counts(self) -> dict[str, object]:
        """Of the whole run: real samples by purpose, how many of them are excluded, virtual ones.

        {"real_samples": {purpose: count}, "excluded": {purpose: count > 0}, "virtual_samples": …,
        "skipped_updates": policy updates in a model whose samples were not finite}
        """
        return {
            "real_samples": dict(self._real_samples),
            "excluded": dict(self._excluded),
            "virtual_samples": self._virtual_samples,
            "skipped_updates": self._skipped_updates,
        }

    @property
    def num_excluded(self) -> int:
        """Real samples excluded so far."""
        return sum(self._excluded.values())

    def set_sample_counts(self, counts: dict[str, object]) -> None:
        """Continues the counts of a checkpoint."""
        self._real_samples = dict(counts["real_samples"])  # type: ignore[call-overload]
        self._excluded = dict(counts.get("excluded", {}))  # type: ignore[call-overload]
        self._virtual_samples = int(counts["virtual_samples"])  # type: ignore[call-overload]
        self._skipped_updates = int(counts.get("skipped_updates", 0))  # type: ignore[call-overload]

    def real_trajectories(
        self,
        policy: Policy,
        psi: Tensor,
        samples: int,
        seed: int,
        purpose: str,
        *,
        exploration: bool = False,
    ) -> Trajectories:
        """Real trajectories of the stochastic policy: `samples` steps in all, counted."""
        collection = self.settings.collection
        num_envs = self.settings.num_real_envs(samples)
        trajectories = rollout(
            self.environment(num_envs),
            policy,
            samples // num_envs,
            seed=seed,
            psi=psi,
            ou_theta=collection.ou_theta,
            ou_sigma=collection.ou_sigma if exploration else 0.0,
        )
        self._count(purpose, trajectories)
        return trajectories.to(self.device)

    def many_trajectories(
        self,
        policies: Sequence[BasePolicy],
        psis: Tensor,
        rollouts: int,
        seed: int,
        purpose: str,
        *,
        contexts: Tensor | None = None,
        deterministic: bool = False,
    ) -> Trajectories:
        """Real trajectories of B tasks side by side, a horizon long, in one native call, counted.

        Args:
            policies: one for each task, or one for all.
            psis: tasks (B, K).
            rollouts: environments of each task.
            seed: of every random number.
            purpose: what the samples are counted as.
            contexts: (B · rollouts, C) what the policies see beside the state.
            deterministic: mean actions.

        Returns:
            Row b · rollouts + r is environment r of task b; the states are without the contexts.
        """
        tasks = len(psis)
        environment = self.environment(tasks * rollouts)
        if len(policies) not in (1, tasks):
            raise ValueError(f"policies: expected 1 or B={tasks}, got {len(policies)}")
        of_env = torch.arange(tasks).repeat_interleave(rollouts) if len(policies) > 1 else None
        horizon = self.settings.physics.horizon
        trajectories = environment.rollout(
            [arrays_of(policy) for policy in policies],
            horizon,
            seed=seed,
            psi=psis.repeat_interleave(rollouts, 0),
            policy_of_env=of_env,
            contexts=contexts,
            deterministic=deterministic,
        )
        self._count(purpose, trajectories)
        return trajectories.to(self.device)

    def collect(
        self, policy: GaussianPolicy, psi: Tensor, samples: int, seed: int, purpose: str
    ) -> dict[str, Tensor]:
        """Real transitions with exploration noise (Algorithm 1, line 6), on the CPU.

        Transitions that are excluded are left out.
        """
        t = self.real_trajectories(policy, psi, samples, seed, purpose, exploration=True)
        rows = {"obs": t.obs, "actions": t.actions, "next_obs": t.next_obs}
        return {name: x[~t.excluded].cpu().contiguous() for name, x in rows.items()}

    def real_returns(self, policy: Policy, psi: Tensor, episodes: int, seed: int) -> Tensor:
        """Undiscounted returns (episodes,) of a policy in the real environment."""
        horizon = self.settings.physics.horizon
        trajectories = rollout(self.environment(episodes), policy, horizon, seed=seed, psi=psi)
        self._count("evaluation", trajectories)
        return trajectories.first_episode_returns()

    def evaluate(
        self, policy: Policy, psi: Tensor, *, episodes: int, seed: int
    ) -> npt.NDArray[np.float32]:
        """`real_returns` as an array, with random numbers of their own."""
        return self.real_returns(policy, psi, episodes, derive_seed(seed, "evaluate")).numpy()

    def virtual_trajectories(
        self, policy: GaussianPolicy, dynamics: Dynamics, psi: Tensor, samples: int, seed: int
    ) -> Trajectories:
        """Trajectories of the policy in the model."""
        num_envs = self.settings.schedule.n_virtual_envs
        if samples % num_envs != 0:
            raise ValueError(f"samples: expected a multiple of {num_envs}, got {samples}")
        self._virtual_samples += samples
        sampler = self.compute.virtual_sampler(
            dynamics,
            [policy],
            num_envs=num_envs,
            num_steps=samples // num_envs,
            horizon=self.settings.physics.horizon,
        )
        generator = derive_generator(seed, device=self.device)
        (trajectories,) = sampler.sample(
            psi.to(self.device).unsqueeze(0), self.start_states(seed), [generator]
        )
        return trajectories

    # Training

    def virtual_training(
        self,
        agents: Sequence[Agent],
        model: LearnedDynamics,
        psis: Tensor,
        iterations: int,
        seed: int,
        after_iteration: AfterIteration = lambda _iteration, _figures: None,
        compute: Compute | None = None,
    ) -> None:
        """Algorithm 2 with the run's settings: B agents for the tasks (B, K) in one model.

        Args:
            agents: B of them; changed.
            model: changed.
            psis: tasks (B, K).
            iterations: of Algorithm 2.
            seed: of every random number.
            after_iteration: see `virtual_training`.
            compute: what does the work; None: the run's.
        """
        schedule = self.settings.schedule
        work = virtual_training(
            compute or self.compute,
            agents,
            psis.to(self.device),
            model.fit,
            model.replays["train"],
            self.start_states(seed),
            VirtualTrainingBudget(
                iterations=iterations,
                n_model=schedule.n_model,
                n_policy=schedule.n_policy,
                n_trpo=schedule.n_trpo,
                num_envs=schedule.n_virtual_envs,
                horizon=self.settings.physics.horizon,
            ),
            self.settings.trpo,
            self.settings.advantage,
            seed=seed,
            after_iteration=after_iteration,
        )
        self._virtual_samples += work.samples
        self._skipped_updates += work.skipped_updates

    def start_states(self, seed: int) -> Tensor:
        """Real reset states (S, D) from which virtual rollouts begin."""
        environment = self.environment(self.settings.collection.num_envs)
        states = environment.reset_states(_NUM_START_STATES, derive_seed(seed, "start-states"))
        return states.to(self.device)

    def _count(self, purpose: str, trajectories: Trajectories) -> None:
        """Counts real samples.

        Raises:
            SettingError: most of them are excluded: there is nothing to learn from, or to judge by.
        """
        samples, excluded = trajectories.num_samples, int(trajectories.excluded.sum())
        self._real_samples[purpose] = self._real_samples.get(purpose, 0) + samples
        if excluded:
            self._excluded[purpose] = self._excluded.get(purpose, 0) + excluded
        if 2 * excluded > samples:
            raise SettingError("", blown_up(self.family.model, excluded, samples))
