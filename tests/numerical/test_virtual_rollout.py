"""The virtual rollout against a plain loop over the model's and the policy's own functions."""

import pytest
import torch

from admrl_native.families.catalogue import make_family
from admrl_native.families.torch_family import TorchFamily
from admrl_native.networks.dynamics import Dynamics
from admrl_native.networks.policy import GaussianPolicy
from admrl_native.networks.settings import NetworkSettings
from admrl_native.sampling.virtual import virtual_rollout
from admrl_native.seeding import derive_generator

N, T, HORIZON = 6, 30, 12


@pytest.fixture
def parts():
    generator = torch.Generator().manual_seed(0)
    networks = NetworkSettings(dynamics_hidden=(16, 16), dynamics_initial_std=0.3)
    dynamics = Dynamics(11, 3, networks, 100.0, generator)
    starts = torch.randn(40, 11, generator=generator) * 0.05
    starts[:, 0] += 1.25
    dynamics.update_normalisers(starts, starts + 0.03 * torch.randn(40, 11, generator=generator))
    policy = GaussianPolicy(11, 3, networks, generator)
    policy.normaliser.load_state_dict(dynamics.states.state_dict())
    return dynamics, policy, TorchFamily(make_family("Hopper2D"), torch.device("cpu")), starts


def rollout(parts, seed=1):
    dynamics, policy, family, starts = parts
    return virtual_rollout(
        dynamics,
        policy,
        family,
        torch.tensor([0.5, 1.4]),
        starts,
        num_envs=N,
        num_steps=T,
        horizon=HORIZON,
        generator=derive_generator(seed),
    )


def test_every_transition_is_the_model_s(parts):
    dynamics, policy, family, _ = parts
    t = rollout(parts)
    # float32 with the normalisers folded into the weights: the order of operations differs
    close = {"rtol": 1e-4, "atol": 1e-4}
    with torch.no_grad():
        predicted = dynamics(t.obs.flatten(0, 1), t.actions.flatten(0, 1))
        torch.testing.assert_close(t.next_obs.flatten(0, 1), predicted, **close)
        torch.testing.assert_close(t.log_probs, policy.log_prob(t.obs, t.actions), **close)
    assert torch.equal(t.dones, family.dones(t.next_obs))
    assert torch.equal(t.rewards, family.rewards(t.next_obs, t.actions, torch.tensor([0.5, 1.4])))


def test_episodes_end_at_done_or_horizon_and_restart_at_real_states(parts):
    t, starts = rollout(parts), parts[3]
    assert t.dones.any()
    assert t.timeouts.any()
    assert not (t.dones & t.timeouts).any()
    for n in range(N):
        age = 0
        for step in range(T):
            if age == 0:
                assert (starts == t.obs[n, step]).all(1).any()
            else:
                assert torch.equal(t.obs[n, step], t.next_obs[n, step - 1])
            age += 1
            assert t.timeouts[n, step] == (age == HORIZON and not t.dones[n, step])
            if t.dones[n, step] or t.timeouts[n, step]:
                age = 0


def test_same_seed_same_bits_other_seed_others(parts):
    first, second, other = rollout(parts), rollout(parts), rollout(parts, seed=2)
    assert torch.equal(first.next_obs, second.next_obs)
    assert not torch.equal(first.next_obs, other.next_obs)
