"""Real rollouts of any policy: its arrays, and the contexts of its environments."""

from __future__ import annotations

from torch import Tensor

from ..networks.conditioned import BasePolicy, ConditionedPolicy, Policy, unconditioned
from ..networks.policy import GaussianPolicy
from ..seeding import derive_generator
from .real import PolicyArrays, RealEnvironment, SquashedPolicyArrays
from .trajectories import Trajectories


def arrays_of(policy: BasePolicy) -> PolicyArrays | SquashedPolicyArrays:
    """The numbers of a policy as the native core takes them."""
    if isinstance(policy, GaussianPolicy):
        return PolicyArrays.of(policy)
    return SquashedPolicyArrays.of(policy)


def rollout(
    environment: RealEnvironment,
    policy: Policy,
    num_steps: int,
    *,
    seed: int,
    psi: Tensor,
    ou_theta: float = 0.0,
    ou_sigma: float = 0.0,
) -> Trajectories:
    """`RealEnvironment.rollout` of one policy; each environment keeps one context of its own.

    Args:
        environment: N of them.
        policy: acts at random, or by its mean if it is made so.
        num_steps: T.
        seed: of the reset states, the contexts and the actions.
        psi: the task (K,), or one for each environment (N, K).
        ou_theta: see `RealEnvironment.rollout`.
        ou_sigma: too.
    """
    contexts, deterministic = None, False
    if isinstance(policy, ConditionedPolicy):
        contexts = policy.contexts(environment.num_envs, derive_generator(seed, "contexts"))
        deterministic = policy.deterministic
    return environment.rollout(
        arrays_of(unconditioned(policy)),
        num_steps,
        seed=seed,
        psi=psi,
        contexts=contexts,
        ou_theta=ou_theta,
        ou_sigma=ou_sigma,
        deterministic=deterministic,
    )
