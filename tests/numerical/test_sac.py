"""The losses and the step of soft actor-critic against plain formulas in double precision."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch

from admrl_native.networks.squashed_policy import SquashedGaussianPolicy
from admrl_native.training.sac import SacBatch, SoftActorCritic
from admrl_native.training.sac_settings import SacSettings

D, A, M, GAMMA = 5, 2, 7, 0.9
SETTINGS = SacSettings(hidden=(16, 16), reward_scale=3.0, temperature=0.4)


def make(settings: SacSettings = SETTINGS, seed: int = 0) -> SoftActorCritic:
    generator = torch.Generator().manual_seed(seed)
    sac = SoftActorCritic(D, A, settings, GAMMA, generator, torch.device("cpu"))
    with torch.no_grad():  # targets that differ, actions and values that are not all alike
        for network in (sac.actor, sac.critics, sac.targets):
            for p in network.parameters():
                p += 0.3 * torch.randn(p.shape, generator=generator)
    return sac


def make_batch(seed: int = 1) -> SacBatch:
    g = torch.Generator().manual_seed(seed)
    return SacBatch(
        torch.randn(M, D, generator=g),
        2 * torch.rand(M, A, generator=g) - 1,
        torch.randn(M, generator=g),
        torch.randn(M, D, generator=g),
        (torch.rand(M, generator=g) < 0.4).float(),
    )


def noise(seed: int, *shapes: tuple[int, int]) -> list[torch.Tensor]:
    """The standard normal numbers that a step draws, in order."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator).double() for shape in shapes]


def network(layers: Any, x: torch.Tensor) -> torch.Tensor:
    pairs = [(w.double(), b.double()) for w, b in layers.weights_and_biases()]
    for weight, bias in pairs[:-1]:
        x = (weight @ x + bias).clamp(min=0)
    return pairs[-1][0] @ x + pairs[-1][1]


def plain_action(
    actor: SquashedGaussianPolicy, obs: torch.Tensor, eps: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """An action, its log-density by the change of variables, the mean, the log std."""
    mean, log_std = network(actor.net, obs).chunk(2)
    x = mean + log_std.exp() * eps
    action = torch.tanh(x)
    log_prob = sum(
        -0.5 * eps[i] ** 2 - log_std[i] - 0.5 * math.log(2 * math.pi) - (1 - action[i] ** 2).log()
        for i in range(A)
    )
    return action, torch.as_tensor(log_prob), mean, log_std


def plain_values(critics: Any, obs: torch.Tensor, action: torch.Tensor) -> list[torch.Tensor]:
    return [network(net, torch.cat([obs, action]))[0] for net in critics.nets]


def plain_critic_loss(sac: SoftActorCritic, batch: SacBatch, eps: torch.Tensor) -> torch.Tensor:
    total = torch.zeros((), dtype=torch.float64)
    alpha = sac.log_temperature.detach().double().exp()
    for i in range(M):
        action, log_prob, *_ = plain_action(sac.actor, batch.next_obs[i].double(), eps[i])
        after = min(plain_values(sac.targets, batch.next_obs[i].double(), action))
        target = sac.settings.reward_scale * batch.rewards[i].double()
        target += GAMMA * (1 - batch.dones[i].double()) * (after - alpha * log_prob)
        for value in plain_values(sac.critics, batch.obs[i].double(), batch.actions[i].double()):
            total += (value - target.detach()) ** 2
    return total / M


def plain_actor_loss(sac: SoftActorCritic, obs: torch.Tensor, eps: torch.Tensor) -> torch.Tensor:
    total = torch.zeros((), dtype=torch.float64)
    alpha = sac.log_temperature.detach().double().exp()
    for i in range(M):
        action, log_prob, mean, log_std = plain_action(sac.actor, obs[i].double(), eps[i])
        total += alpha * log_prob - min(plain_values(sac.critics, obs[i].double(), action))
        total += sac.settings.mean_regularisation * (mean**2).mean()
        total += sac.settings.std_regularisation * (log_std**2).mean()
    return total / M


def gradients(loss: torch.Tensor, parameters: list[torch.Tensor]) -> torch.Tensor:
    found = torch.autograd.grad(loss, parameters)
    return torch.cat([g.flatten() for g in found]).double()


def test_the_critics_loss() -> None:
    sac, batch = make(), make_batch()
    loss = sac.critic_loss(batch, torch.Generator().manual_seed(5))
    expected = plain_critic_loss(sac, batch, noise(5, (M, A))[0])
    np.testing.assert_allclose(loss.item(), expected.item(), rtol=1e-5)
    parameters = list(sac.critics.parameters())
    # Sums of 7 · 16 products in float32.
    torch.testing.assert_close(
        gradients(loss, parameters), gradients(expected, parameters), rtol=1e-4, atol=1e-4
    )


def test_the_actor_s_loss() -> None:
    sac = make(SETTINGS.replace(mean_regularisation=0.5, std_regularisation=0.7))
    obs = make_batch().obs
    loss, _ = sac.actor_loss(obs, torch.Generator().manual_seed(5))
    expected = plain_actor_loss(sac, obs, noise(5, (M, A))[0])
    np.testing.assert_allclose(loss.item(), expected.item(), rtol=1e-5)
    parameters = list(sac.actor.parameters())
    torch.testing.assert_close(
        gradients(loss, parameters), gradients(expected, parameters), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("temperature", [0.4, "auto"])
def test_a_step_is_adam_on_each_loss_in_turn(temperature: float | str) -> None:
    sac, batch = make(SETTINGS.replace(temperature=temperature)), make_batch()
    plain = copy.deepcopy(sac)
    rate = SETTINGS.learning_rate
    before = copy.deepcopy(sac)
    figures = sac.step(batch, torch.Generator().manual_seed(5))

    eps_next, eps = noise(5, (M, A), (M, A))
    loss = plain_critic_loss(plain, batch, eps_next)
    _sign_step(list(plain.critics.parameters()), loss, rate)
    loss = plain_actor_loss(plain, batch.obs, eps)
    log_probs = [plain_action(plain.actor, batch.obs[i].double(), eps[i])[1] for i in range(M)]
    entropy = -torch.stack(log_probs).mean().item()
    _sign_step(list(plain.actor.parameters()), loss, rate)
    for ours, theirs in ((sac.critics, plain.critics), (sac.actor, plain.actor)):
        for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
            # Adam's first step is the sign of the gradient: only one near zero can differ.
            assert ((p - q).abs() < 1e-6).float().mean() > 0.97
    assert figures["entropy"].item() == pytest.approx(entropy, rel=1e-4)
    tau = SETTINGS.target_rate
    for new, old, value in zip(
        sac.targets.parameters(),
        before.targets.parameters(),
        sac.critics.parameters(),
        strict=True,
    ):
        torch.testing.assert_close(new, (1 - tau) * old + tau * value.detach())
    moved = (sac.log_temperature - before.log_temperature).item()
    if temperature == "auto":
        assert moved == pytest.approx(-rate * np.sign(entropy + A), rel=1e-3)
    else:
        assert moved == 0


def _sign_step(parameters: list[Any], loss: torch.Tensor, rate: float) -> None:
    """Adam's first step."""
    for p, g in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
        p.data -= rate * g / (g.abs() + 1e-8)


def test_the_reward_scale_is_the_inverse_of_a_temperature() -> None:
    # Rewards five times as large at temperature 1 are rewards at temperature 1/5: five times Q.
    large = make(SETTINGS.replace(reward_scale=5.0, temperature=1.0))
    small = make(SETTINGS.replace(reward_scale=1.0, temperature=0.2))
    with torch.no_grad():
        for critics in (small.critics, small.targets):
            for net in critics.nets:
                for p in net.weights_and_biases()[-1]:
                    p /= 5
    batch = make_batch()
    losses = [sac.critic_loss(batch, torch.Generator().manual_seed(0)) for sac in (large, small)]
    assert losses[0].item() == pytest.approx(25 * losses[1].item(), rel=1e-5)


def test_the_temperature_settles_where_the_entropy_is_its_target() -> None:
    settings = SETTINGS.replace(temperature="auto", learning_rate=1e-2, hidden=(16,))
    sac, batch = make(settings), make_batch()
    generator = torch.Generator().manual_seed(0)
    entropies = [sac.step(batch, generator)["entropy"].item() for _ in range(1000)]
    assert np.mean(entropies[-200:]) == pytest.approx(-A, abs=0.3)


def test_state_and_load_go_on_exactly() -> None:
    settings = SETTINGS.replace(temperature="auto")
    sac, other, batch = make(settings), make(settings, seed=9), make_batch()
    sac.step(batch, torch.Generator().manual_seed(0))
    other.load(copy.deepcopy(sac.networks()), sac.optimisers())
    for learner in (sac, other):
        learner.step(batch, torch.Generator().manual_seed(1))
    for name, tensors in sac.networks().items():
        for key, tensor in tensors.items():
            assert torch.equal(tensor, other.networks()[name][key])


def test_critics_may_begin_anywhere() -> None:
    sac = SoftActorCritic(
        D, A, SETTINGS, GAMMA, torch.Generator().manual_seed(0), torch.device("cpu")
    )
    sac.start_values_at(700.0)
    batch = make_batch()
    for critics in (sac.critics, sac.targets):
        values = critics(batch.obs, batch.actions)
        assert values.shape == (2, M)
        assert not torch.equal(values[0], values[1])
        assert ((values - 700).abs() < 0.1).all()
