"""Rollouts of a policy in the learned dynamics model T̂_φ."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..families.torch_family import TorchFamily
from ..networks.dynamics import Dynamics
from ..networks.policy import GaussianPolicy, gaussian_log_prob
from .trajectories import Trajectories


@torch.no_grad()
def virtual_rollout(
    dynamics: Dynamics,
    policy: GaussianPolicy,
    family: TorchFamily,
    psi: Tensor,
    start_states: Tensor,
    *,
    num_envs: int,
    num_steps: int,
    horizon: int,
    generator: torch.Generator,
) -> Trajectories:
    """Samples num_envs · num_steps transitions (Algorithm 2, line 5).

    Every environment starts at a real reset state; an episode that ends, by the family's own rule
    on the predicted state or at the horizon, is followed by a new one.

    Args:
        psi: task (K,).
        start_states: (S, D) real reset states to draw from.
        num_envs: N.
        num_steps: T, steps of each environment.
        generator: on the model's device.

    Returns:
        Trajectories of shape (N, T, …) on the model's device.

    Determinism: the same generator state gives the same bits on one device.
    """
    device = start_states.device
    n, t, obs_dim, act_dim = num_envs, num_steps, start_states.shape[1], policy.log_std.numel()
    noise = torch.randn((t, n, act_dim), generator=generator, device=device)
    starts = torch.randint(start_states.shape[0], (t + 1, n), generator=generator, device=device)
    mean_action = _folded_policy(policy)
    predict = _folded_dynamics(dynamics)
    std = policy.log_std.exp()

    # Step-major while rolling out: each step writes one contiguous block.
    all_obs = torch.empty((t, n, obs_dim), device=device)
    all_next = torch.empty_like(all_obs)
    all_means = torch.empty((t, n, act_dim), device=device)
    all_actions = torch.empty_like(all_means)
    all_dones = torch.empty((t, n), dtype=torch.bool, device=device)
    all_timeouts = torch.empty_like(all_dones)

    state = start_states[starts[0]]
    age = torch.zeros(n, dtype=torch.int64, device=device)
    for step in range(t):
        mean = mean_action(state)
        action = torch.addcmul(mean, std, noise[step])
        next_state = predict(state, action)
        done = family.dones(next_state)
        age += 1
        timeout = (age >= horizon) & ~done
        ended = done | timeout
        all_obs[step], all_next[step] = state, next_state
        all_means[step], all_actions[step] = mean, action
        all_dones[step], all_timeouts[step] = done, timeout
        state = torch.where(ended.unsqueeze(1), start_states[starts[step + 1]], next_state)
        age.masked_fill_(ended, 0)

    def env_major(x: Tensor) -> Tensor:
        return x.transpose(0, 1).contiguous()

    next_obs, actions = env_major(all_next), env_major(all_actions)
    return Trajectories(
        obs=env_major(all_obs),
        actions=actions,
        next_obs=next_obs,
        rewards=family.rewards(next_obs, actions, psi),
        reward_grads=family.reward_grads(next_obs, actions, psi),
        base_rewards=family.base_rewards(next_obs, actions),
        dones=env_major(all_dones),
        timeouts=env_major(all_timeouts),
        log_probs=gaussian_log_prob(actions, env_major(all_means), policy.log_std),
    )


def _folded_policy(policy: GaussianPolicy) -> Callable[[Tensor], Tensor]:
    """The policy's mean with the normaliser folded into the first layer."""
    (first, bias), *rest = policy.mean.weights_and_biases()
    w, b = _fold_normaliser(first, bias, policy.normaliser.mean, policy.normaliser.std)
    layers = [(v.t().contiguous(), c) for v, c in [(w, b), *rest]]

    def mean_action(state: Tensor) -> Tensor:
        x = state
        for v, c in layers[:-1]:
            x = torch.addmm(c, x, v).tanh_()
        return torch.addmm(layers[-1][1], x, layers[-1][0])

    return mean_action


def _folded_dynamics(dynamics: Dynamics) -> Callable[[Tensor, Tensor], Tensor]:
    """The model's step with all normalisations folded into the first and the last layer."""
    obs_dim = dynamics.states.mean.numel()
    first, *hidden, last = dynamics.net.weights_and_biases()
    w_state, b_first = _fold_normaliser(
        first[0][:, :obs_dim], first[1], dynamics.states.mean, dynamics.states.std
    )
    w_state, w_action = w_state.t().contiguous(), first[0][:, obs_dim:].t().contiguous()
    scale, shift = dynamics.differences.std, dynamics.differences.mean
    w_last, b_last = (last[0] * scale.unsqueeze(1)).t(), last[1] * scale + shift
    reach = dynamics.state_clip * dynamics.states.std
    low, high = dynamics.states.mean - reach, dynamics.states.mean + reach

    def predict(state: Tensor, action: Tensor) -> Tensor:
        h = torch.addmm(b_first, state, w_state).addmm_(action.clamp(-1, 1), w_action).relu_()
        for w, b in hidden:
            h = torch.nn.functional.linear(h, w, b).relu_()
        return torch.addmm(b_last, h, w_last).add_(state).clamp_(low, high)

    return predict


def _fold_normaliser(w: Tensor, b: Tensor, mean: Tensor, std: Tensor) -> tuple[Tensor, Tensor]:
    """(w', b') with w' x + b' = w (x − mean)/std + b."""
    scaled = w / std
    return scaled, b - scaled @ mean
