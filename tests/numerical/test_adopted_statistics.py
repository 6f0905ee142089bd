"""Statistics of the inputs move; what was learned behind them stays the same function."""

from __future__ import annotations

import copy

import pytest
import torch

from admrl_native.networks.mlp import Mlp, normalised_columns
from admrl_native.networks.normaliser import Normaliser
from admrl_native.networks.policy import GaussianPolicy
from admrl_native.networks.settings import NetworkSettings
from admrl_native.training.agent import Agent
from admrl_native.training.sac import SoftActorCritic
from admrl_native.training.sac_settings import SacSettings
from admrl_native.training.settings import ValueFitSettings
from model_free import make_learner
from toy import Memory, make_trainer

D, A = 5, 2


def statistics(seed: int, scale: float, dim: int = D) -> Normaliser:
    """Of rows of which entry 2 never moves."""
    normaliser = Normaliser(dim)
    generator = torch.Generator().manual_seed(seed)
    rows = scale * torch.randn(200, dim, generator=generator) + seed
    rows[:, 2] = 3.0
    normaliser.update(rows)
    return normaliser


def rows(seed: int = 9, dim: int = D) -> torch.Tensor:
    """Where entry 2 is what it always was."""
    x = 2 * torch.randn(50, dim, generator=torch.Generator().manual_seed(seed))
    x[:, 2] = 3.0
    return x


def test_the_closed_form_in_float64() -> None:
    net = Mlp((D + A, 8, 1), "tanh", normalised_columns(), torch.Generator()).double()
    normaliser = Normaliser(D)
    normaliser.adopt(statistics(1, 0.5))
    x, actions = rows().double(), torch.randn(50, A).double()

    def value() -> torch.Tensor:
        z = (x - normaliser.mean.double()) / normaliser.std.double()
        return net(torch.cat([z, actions], 1)).detach()

    before = value()
    normaliser.adopt(statistics(2, 3.0), net.weights_and_biases()[0])
    assert torch.equal(normaliser.mean, statistics(2, 3.0).mean)
    # float64, but for the statistics' own rounding to float32: an entry that never moved is
    # 1e-7 from its mean in units of 1e-4
    torch.testing.assert_close(value(), before, rtol=0, atol=1e-12)


def test_an_entry_that_begins_to_move_keeps_its_weights() -> None:
    """At a std of 1e-4 their effect on a movement would be ten thousand times what was meant."""
    net = Mlp((D, 4), "tanh", normalised_columns(), torch.Generator())
    normaliser = Normaliser(D)
    normaliser.adopt(statistics(1, 0.5))
    weight = net.weights_and_biases()[0][0].detach().clone()
    moving = Normaliser(D)
    moving.update(torch.randn(100, D, generator=torch.Generator().manual_seed(3)))
    normaliser.adopt(moving, net.weights_and_biases()[0])
    after = net.weights_and_biases()[0][0].detach()
    assert torch.equal(after[:, 2], weight[:, 2])
    assert not torch.equal(after[:, 0], weight[:, 0])


def test_first_statistics_are_those_that_weights_were_drawn_for() -> None:
    net = Mlp((D, 4), "tanh", normalised_columns(), torch.Generator())
    before = [p.detach().clone() for p in net.parameters()]
    Normaliser(D).adopt(statistics(1, 0.5), net.weights_and_biases()[0])
    assert all(map(torch.equal, before, net.parameters()))


def test_an_agents_policy_and_value_function_stay() -> None:
    agent = Agent(
        D, A, NetworkSettings(), ValueFitSettings(), torch.Generator(), torch.device("cpu")
    )
    agent.adopt_normaliser(statistics(1, 0.5))
    x, (policy, value) = rows(), (agent.policy, agent.value)
    before = [policy(x).detach(), value(x).detach()]
    agent.adopt_normaliser(statistics(2, 3.0))
    for old, new in zip(before, (policy(x), value(x)), strict=True):
        torch.testing.assert_close(new.detach(), old, rtol=1e-4, atol=1e-5)  # float32 weights


def test_sac_stays() -> None:
    settings = SacSettings(hidden=(16, 16))
    sac = SoftActorCritic(
        D, A, settings, 0.99, torch.Generator().manual_seed(0), torch.device("cpu")
    )
    sac.adopt_normaliser(statistics(1, 0.5))
    x, actions = rows(), torch.zeros(50, A)

    def functions() -> list[torch.Tensor]:
        with torch.no_grad():
            return [sac.actor(x), sac.critics(x, actions), sac.targets(x, actions)]

    before = functions()
    sac.adopt_normaliser(statistics(2, 3.0))
    for old, new in zip(before, functions(), strict=True):
        torch.testing.assert_close(new, old, rtol=1e-4, atol=1e-5)  # float32 weights


@pytest.fixture
def moves(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How far each adoption moves the mean action of a policy that has its own statistics."""
    found: list[float] = []
    adopt = GaussianPolicy.adopt_normaliser

    def watched(self: GaussianPolicy, states: Normaliser) -> None:
        own = copy.deepcopy(self.normaliser)
        noise = torch.randn(64, len(own.mean), generator=torch.Generator().manual_seed(0))
        x = own.mean + own.std * noise
        before = self(x).detach()
        adopt(self, states)
        if own.count > 0 or (own.std != 1).any():
            found.append(float((self(x).detach() - before).abs().max()))

    monkeypatch.setattr(GaussianPolicy, "adopt_normaliser", watched)
    return found


def test_training_and_adaptation_keep_their_policies(moves: list[float]) -> None:
    trainer = make_trainer(Memory(), method="mb-unif")
    trainer.train()
    psi = torch.tensor([0.5, 1.4], dtype=torch.float64)
    trainer.adapt(psi, real_samples=80, seed=0)
    # the second stage of the first task, a stage of each later one, two rounds
    assert len(moves) == 1 + 2 + 2
    assert max(moves) < 1e-4  # float32, actions of size 1


@pytest.mark.parametrize("method", ["mt-joint", "maml"])
def test_iterations_keep_their_policies(method: str, moves: list[float]) -> None:
    make_learner(Memory(), method).train()
    assert len(moves) >= 1
    assert max(moves) < 1e-4
