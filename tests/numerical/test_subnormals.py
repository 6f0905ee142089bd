"""Dead units leave subnormal weights and moments: native code and torch take them for 0."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from admrl_native._native import _core
from admrl_native.networks.dynamics import Dynamics
from admrl_native.networks.settings import NetworkSettings
from admrl_native.networks.subnormals import flush_subnormals
from admrl_native.sampling.replay import Replay
from admrl_native.training.dynamics_fit import DynamicsFit
from admrl_native.training.sac import SacBatch, SoftActorCritic
from admrl_native.training.sac_settings import SacSettings
from admrl_native.training.settings import DynamicsFitSettings

SMALLEST = torch.finfo(torch.float32).tiny
SUBNORMAL = SMALLEST / 64
UNIT = 3  # the dead one


def half_of_the_smallest() -> float:
    return (torch.tensor(SMALLEST) / 2).item()


def subnormals(tensors: list[Tensor]) -> int:
    """How many entries, told by their bits: comparing them might take them for 0."""
    magnitudes = [t.detach().view(torch.int32) & 0x7FFFFFFF for t in tensors]
    return sum(int(((m > 0) & (m < 0x00800000)).sum()) for m in magnitudes)


def test_flushing_ends_where_it_began():
    assert half_of_the_smallest() > 0
    with flush_subnormals():
        assert half_of_the_smallest() == 0
        with flush_subnormals():
            assert half_of_the_smallest() == 0
        assert half_of_the_smallest() == 0
    assert half_of_the_smallest() > 0
    with pytest.raises(KeyError), flush_subnormals():
        raise KeyError
    assert half_of_the_smallest() > 0


def test_predictions_of_subnormal_weights_are_zero():
    pool = _core.ThreadPool(2)
    weight = torch.full((2, 3), SUBNORMAL).numpy()
    bounds = torch.ones(2).numpy()
    model = _core.VirtualModel(pool, [(weight, torch.zeros(2).numpy())], -bounds, bounds)
    states = torch.zeros(200, 2).numpy()
    assert (model.predict(pool, states, torch.ones(200, 1).numpy()) == 0).all()
    assert half_of_the_smallest() > 0


def make_fit() -> tuple[DynamicsFit, Replay]:
    """A model with a dead unit, and data."""
    g = torch.Generator().manual_seed(0)
    networks = NetworkSettings(dynamics_hidden=(20, 20), dynamics_initial_std=0.2)
    fit = DynamicsFit(Dynamics(4, 2, networks, 100.0, g), DynamicsFitSettings(batch_size=32))
    (_, _), (weight, bias), (last, _) = fit.dynamics.net.weights_and_biases()
    with torch.no_grad():
        bias[UNIT] = -100.0
        weight[UNIT] = SUBNORMAL
        last[:, UNIT] = SUBNORMAL
        for parameter in (weight, last):
            rows = (UNIT, slice(None)) if parameter is weight else (slice(None), UNIT)
            fit.optimiser.state[parameter]["exp_avg"][rows] = SUBNORMAL
            fit.optimiser.state[parameter]["exp_avg_sq"][rows] = SUBNORMAL
    replay = Replay(4, 2, torch.device("cpu"))
    obs, actions = torch.randn(100, 4, generator=g), torch.randn(100, 2, generator=g)
    next_obs = obs + 0.1 * torch.randn(100, 4, generator=g)
    replay.append({"obs": obs, "actions": actions, "next_obs": next_obs})
    fit.dynamics.update_normalisers(obs, next_obs)
    return fit, replay


@pytest.mark.parametrize("way", ["native", "torch"])
def test_a_fit_leaves_no_subnormal_weights_or_moments(way):
    fit, replay = make_fit()
    weights = list(fit.dynamics.net.parameters())
    moments = [fit.optimiser.state[w][k] for w in weights for k in ("exp_avg", "exp_avg_sq")]
    assert subnormals(weights) == 20 + 4
    assert subnormals(moments) == 2 * (20 + 4)
    generator = torch.Generator().manual_seed(1)
    if way == "native":
        fit.fit_native(replay, 3, generator, _core.ThreadPool(2), "fp32")
    else:
        fit.fit(replay, 3, generator)
    moments = [fit.optimiser.state[w][k] for w in weights for k in ("exp_avg", "exp_avg_sq")]
    assert subnormals(weights) == 0
    assert subnormals(moments) == 0
    assert half_of_the_smallest() > 0


def test_a_step_of_soft_actor_critic_leaves_no_subnormal_moments():
    g = torch.Generator().manual_seed(0)
    sac = SoftActorCritic(3, 1, SacSettings(hidden=(8, 8)), 0.9, g, torch.device("cpu"))
    batch = SacBatch(
        *(torch.randn(5, width, generator=g) for width in (3, 1)),
        torch.randn(5, generator=g),
        torch.randn(5, 3, generator=g),
        torch.zeros(5),
    )
    sac.step(batch, g)
    states = sac.optimisers()
    for moments in states.values():
        for name, tensor in moments.items():
            if name.endswith("exp_avg"):
                tensor.flatten()[0] = SUBNORMAL
    with torch.no_grad():  # dead: no gradient but 0 comes to the moments' unit
        for network in (sac.actor, sac.critics):
            for parameter in network.parameters():
                parameter.zero_()
    sac.load(sac.networks(), states)

    def found() -> int:
        return subnormals([t for m in sac.optimisers().values() for t in m.values()])

    assert found() > 0
    sac.step(batch, g)
    assert found() == 0
