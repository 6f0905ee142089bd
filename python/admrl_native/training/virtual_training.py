"""VirtualTraining: Algorithm 2."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from torch import Tensor

from ..families.torch_family import TorchFamily
from ..networks.dynamics import Dynamics
from ..sampling.replay import Replay
from ..sampling.virtual import virtual_rollout
from ..seeding import derive_generator
from .advantage import advantages_and_returns
from .agent import Agent
from .dynamics_fit import DynamicsFit
from .settings import AdvantageSettings, TrpoSettings
from .trpo import trpo_update

AfterIteration = Callable[[int, dict[str, float]], None]


@dataclasses.dataclass(frozen=True)
class VirtualTrainingBudget:
    """The counts of Algorithm 2, named as in Appendix C.

    Attributes:
        iterations: n, virtual steps.
        n_model: dynamics gradient steps per iteration.
        n_policy: policy updates per iteration.
        n_trpo: virtual samples per policy update.
        num_envs: virtual environments side by side.
        horizon: steps after which a virtual episode times out.
    """

    iterations: int
    n_model: int
    n_policy: int
    n_trpo: int
    num_envs: int
    horizon: int


def virtual_training(
    agent: Agent,
    dynamics: Dynamics,
    dynamics_fit: DynamicsFit,
    family: TorchFamily,
    psi: Tensor,
    replay: Replay,
    start_states: Tensor,
    budget: VirtualTrainingBudget,
    trpo: TrpoSettings,
    advantage: AdvantageSettings,
    *,
    seed: int,
    after_iteration: AfterIteration = lambda _iteration, _figures: None,
) -> int:
    """Trains the model on the data and the policy in the model, in turn; both are changed.

    Args:
        psi: task (K,).
        start_states: real reset states (S, D) from which virtual rollouts begin.
        seed: of every random number used here.
        after_iteration: called with the iteration and its figures: model_loss, virtual_return
            (mean undiscounted return of each environment's first episode in the last batch),
            episode_length, kl, entropy, value_loss.

    Returns:
        The number of virtual samples drawn.
    """
    device = start_states.device
    for iteration in range(budget.iterations):  # line 2
        generator = derive_generator(seed, iteration, device=device)
        model_loss = dynamics_fit.fit(replay, budget.n_model, generator)  # line 3
        for _ in range(budget.n_policy):  # line 4
            samples = virtual_rollout(  # line 5
                dynamics,
                agent.policy,
                family,
                psi,
                start_states,
                num_envs=budget.num_envs,
                num_steps=budget.n_trpo // budget.num_envs,
                horizon=budget.horizon,
                generator=generator,
            )
            advantages, returns = advantages_and_returns(samples, agent.value, advantage)
            obs = samples.obs.flatten(0, 1)
            update = trpo_update(  # line 6
                agent.policy, obs, samples.actions.flatten(0, 1), advantages.flatten(), trpo
            )
            value_loss = agent.value_fit.fit(obs, returns.flatten(), generator)
        after_iteration(
            iteration,
            {
                "model_loss": model_loss,
                "virtual_return": samples.first_episode_returns().mean().item(),
                "episode_length": samples.mean_episode_length(),
                "kl": update.kl,
                "entropy": update.entropy,
                "value_loss": value_loss,
            },
        )
    return budget.iterations * budget.n_policy * budget.n_trpo
