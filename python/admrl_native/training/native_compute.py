"""Virtual training on the CPU by the native core; the twin of `torch_compute`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor

from .._native import _core
from ..derivatives.settings import TrpoSettings
from ..families.declaration import Family
from ..families.native import native_spec
from ..networks.dynamics import Dynamics
from ..networks.policy import GaussianPolicy
from ..networks.value import ValueFunction
from ..sampling.native_virtual import NativeVirtualSampler
from ..sampling.replay import Replay
from ..sampling.trajectories import Trajectories
from .advantage import Value, advantages_and_returns, as_array
from .agent import Agent
from .compute import AgentUpdate, Targets
from .dynamics_fit import DynamicsFit
from .settings import AdvantageSettings
from .trpo import TrpoResult


class NativeCompute:
    """Implements `Compute` on a pool of threads.

    Args:
        family: what a task is.
        num_threads: threads of the pool; no result depends on it.
        precision: "fp32" or "bf16".

    Raises:
        ValueError: num_threads is not positive.
    """

    path = "native"

    def __init__(self, family: Family, num_threads: int, precision: str) -> None:
        self.precision = precision
        self._family = native_spec(family)
        self._pool = _core.ThreadPool(num_threads)

    def describe(self) -> dict[str, str]:
        kernels = _core.build_info()["kernels"]
        return {"path": self.path, "precision": self.precision, "where": f"kernels {kernels}"}

    def virtual_sampler(
        self,
        dynamics: Dynamics,
        policies: Sequence[GaussianPolicy],
        *,
        num_envs: int,
        num_steps: int,
        horizon: int,
    ) -> NativeVirtualSampler:
        return NativeVirtualSampler(
            self._pool,
            self._family,
            dynamics,
            policies,
            self.precision,
            num_envs=num_envs,
            num_steps=num_steps,
            horizon=horizon,
        )

    def fit_dynamics(
        self, fit: DynamicsFit, replay: Replay, steps: int, generator: torch.Generator
    ) -> float:
        return fit.fit_native(replay, steps, generator, self._pool, self.precision)

    def advantages_and_returns(
        self,
        samples: Sequence[Trajectories],
        values: Sequence[ValueFunction],
        settings: AdvantageSettings,
    ) -> list[Targets]:
        return [
            advantages_and_returns(s, self._evaluated(value), settings)
            for s, value in zip(samples, values, strict=True)
        ]

    def _evaluated(self, value: ValueFunction) -> Value:
        """The value function as the pool evaluates it."""
        layers = [(as_array(w), as_array(b)) for w, b in value.net.weights_and_biases()]
        mean, std = as_array(value.normaliser.mean), as_array(value.normaliser.std)

        def evaluate(obs: Tensor) -> Tensor:
            rows = as_array(obs.flatten(0, -2))
            y = torch.from_numpy(_core.mlp_forward_rows(self._pool, layers, mean, std, rows))
            return (value.shift + value.scale * y).view(obs.shape[:-1])

        return evaluate

    def update_policies(
        self,
        agents: Sequence[Agent],
        samples: Sequence[Trajectories],
        targets: Sequence[Targets],
        settings: TrpoSettings,
    ) -> list[TrpoResult]:
        steps = _trpo_jobs(agents, samples, targets, settings)
        self._pool.run(steps)
        return [_result(step) for step in steps]

    def fit_values(
        self,
        agents: Sequence[Agent],
        samples: Sequence[Trajectories],
        targets: Sequence[Targets],
        generators: Sequence[torch.Generator],
    ) -> list[float]:
        fits = _value_jobs(agents, samples, targets, generators)
        self._pool.run(fits)
        return [agent.value_fit.finish(fit) for agent, fit in zip(agents, fits, strict=True)]

    def update_agents(
        self,
        agents: Sequence[Agent],
        samples: Sequence[Trajectories],
        targets: Sequence[Targets],
        settings: TrpoSettings,
        generators: Sequence[torch.Generator],
    ) -> list[AgentUpdate]:
        # Both need the samples alone, so they run side by side; the fits take longer and go first.
        steps = _trpo_jobs(agents, samples, targets, settings)
        fits = _value_jobs(agents, samples, targets, generators)
        self._pool.run([*fits, *steps])
        return [
            AgentUpdate(_result(step), agent.value_fit.finish(fit))
            for agent, step, fit in zip(agents, steps, fits, strict=True)
        ]


def _trpo_jobs(
    agents: Sequence[Agent],
    samples: Sequence[Trajectories],
    targets: Sequence[Targets],
    settings: TrpoSettings,
) -> list[_core.TrpoUpdate]:
    jobs = []
    for agent, s, (advantages, _) in zip(agents, samples, targets, strict=True):
        policy = agent.policy
        obs, actions = s.obs.flatten(0, 1), s.actions.flatten(0, 1)
        jobs.append(
            _core.TrpoUpdate(
                # Written: the parameters themselves, never a copy.
                [
                    (w.detach().numpy(), b.detach().numpy())
                    for w, b in policy.mean.weights_and_biases()
                ],
                policy.log_std.detach().numpy(),
                as_array(policy.normaliser.mean),
                as_array(policy.normaliser.std),
                as_array(obs),
                as_array(actions),
                as_array(advantages.flatten()),
                _core.TrpoSettings(**dataclasses.asdict(settings)),
            )
        )
    return jobs


def _result(step: _core.TrpoUpdate) -> TrpoResult:
    found = step.result
    return TrpoResult(found.kl, found.improvement, found.entropy, found.line_search_steps)


def _value_jobs(
    agents: Sequence[Agent],
    samples: Sequence[Trajectories],
    targets: Sequence[Targets],
    generators: Sequence[torch.Generator],
) -> list[_core.ValueFit]:
    tasks = zip(agents, samples, targets, generators, strict=True)
    return [
        agent.value_fit.native_job(s.obs.flatten(0, 1), returns.flatten(), generator)
        for agent, s, (_, returns), generator in tasks
    ]
