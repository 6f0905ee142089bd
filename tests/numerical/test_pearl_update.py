"""PEARL's gradient step against its plain definition, in double precision."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch

from admrl_native.algorithms.pearl.settings import PearlSettings
from admrl_native.algorithms.pearl.update import PearlUpdate, with_latent
from admrl_native.sampling.task_replay import Transitions
from admrl_native.training.sac import SacBatch
from admrl_native.training.sac_settings import SacSettings

B, M, C, D, A, K = 3, 6, 4, 5, 2, 2
GAMMA = 0.9
PEARL = PearlSettings(latent_dim=3, encoder_hidden=(8,), kl_weight=0.7)
SAC = SacSettings(hidden=(8, 8))


def make(task_dim: int = K, pearl: PearlSettings = PEARL) -> PearlUpdate:
    generator = torch.Generator().manual_seed(0)
    update = PearlUpdate(D, A, task_dim, pearl, SAC, GAMMA, generator, torch.device("cpu"))
    with torch.no_grad():
        for network in (update.sac.actor, update.sac.critics, update.sac.targets, update.encoder):
            for p in network.parameters():
                p += 0.3 * torch.randn(p.shape, generator=generator)
    return update


def transitions(rows: int, seed: int) -> Transitions:
    g = torch.Generator().manual_seed(seed)
    return Transitions(
        torch.randn(B, rows, D, generator=g),
        2 * torch.rand(B, rows, A, generator=g) - 1,
        torch.randn(B, rows, generator=g),
        torch.randn(B, rows, D, generator=g),
        (torch.rand(B, rows, generator=g) < 0.3).float(),
    )


def u_of_tasks(task_dim: int = K) -> torch.Tensor:
    return torch.linspace(-1, 1, B * task_dim).view(B, task_dim)


def plain_loss(update: PearlUpdate, batch: Transitions, context: Transitions, seed: int) -> Any:
    """The loss of critics and encoder, task by task and transition by transition.

    In double precision; the networks are double already.
    """
    generator = torch.Generator().manual_seed(seed)
    eps_z = torch.randn(B, PEARL.latent_dim, generator=generator).double()
    eps_a = torch.randn(B * M, A, generator=generator).double().view(B, M, A)
    sac, encoder, u = update.sac, update.encoder, u_of_tasks().double()
    errors, kl = torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    for task in range(B):
        precision: Any = 0.0
        weighted: Any = 0.0
        for i in range(C):
            row = [context.obs, context.actions, context.rewards.unsqueeze(-1)]
            output = encoder.net(torch.cat([x[task, i] for x in row]).double())
            mean, variance = output[:3], torch.log1p(output[3:].exp())
            precision = precision + 1 / variance
            weighted = weighted + mean / variance
        mean, variance = weighted / precision, 1 / precision
        z = mean + variance.sqrt() * eps_z[task]
        for k in range(3):
            kl = kl + (variance[k] + mean[k] ** 2 - 1 - variance[k].log()) / 2
        for i in range(M):
            state = torch.cat([batch.obs[task, i].double(), u[task], z])
            after = torch.cat([batch.next_obs[task, i].double(), u[task], z.detach()])
            with torch.no_grad():
                m, log_std = sac.actor.net(after).chunk(2)
                x = m + log_std.exp() * eps_a[task, i]
                density = torch.distributions.Normal(m, log_std.exp()).log_prob(x)
                log_prob = (density - (1 - torch.tanh(x) ** 2).log()).sum()
                inputs = torch.cat([after, torch.tanh(x)])
                value = min(net(inputs).item() for net in sac.targets.nets) - log_prob
                target = 5 * batch.rewards[task, i].double()
                target += GAMMA * (1 - batch.dones[task, i]) * value
            inputs = torch.cat([state, batch.actions[task, i].double()])
            for net in sac.critics.nets:
                errors = errors + (net(inputs)[0] - target) ** 2
    return errors / (B * M) + PEARL.kl_weight * kl


def test_critics_and_encoder_descend_the_plain_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    update, batch, context = make(), transitions(M, 1), transitions(C, 2)
    plain = copy.deepcopy(update)
    for network in (plain.sac.actor, plain.sac.critics, plain.sac.targets, plain.encoder):
        network.double()
    expected = plain_loss(plain, batch, context, seed=3)

    taken: list[torch.Tensor] = []
    step = update.sac.critics_step
    monkeypatch.setattr(
        update.sac, "critics_step", lambda loss, *others: (taken.append(loss), step(loss, *others))
    )
    figures = update.step(batch, context, u_of_tasks(), torch.Generator().manual_seed(3))
    assert taken[0].item() == pytest.approx(expected.item(), rel=1e-5)
    assert all(math.isfinite(x.item()) for x in figures.values())

    networks = [(update.encoder, plain.encoder), (update.sac.critics, plain.sac.critics)]
    for ours, theirs in networks:
        parameters = list(theirs.parameters())
        wanted = torch.autograd.grad(expected, parameters, retain_graph=True)
        for p, gradient in zip(ours.parameters(), wanted, strict=True):
            assert p.grad is not None
            # Gradients of size 1 to 100 from sums of 18 terms in float32.
            torch.testing.assert_close(p.grad.double(), gradient, rtol=2e-4, atol=2e-4)


def test_the_actor_descends_its_loss_at_the_z_of_the_critics() -> None:
    update, batch, context = make(), transitions(M, 1), transitions(C, 2)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        z = update.posterior(context).sample(generator)
    whole = copy.deepcopy(update)
    whole.step(batch, context, u_of_tasks(), torch.Generator().manual_seed(3))

    # The same by parts: the actor's loss sees the critics after their step, and the old z.
    torch.randn(B * M, A, generator=generator)  # of the critics' targets
    update.sac.critics.load_state_dict(whole.sac.critics.state_dict())
    loss, _ = update.sac.actor_loss(with_latent(batch, u_of_tasks(), z).obs, generator)
    wanted = torch.autograd.grad(loss, list(update.sac.actor.parameters()))
    for p, gradient in zip(whole.sac.actor.parameters(), wanted, strict=True):
        assert p.grad is not None
        torch.testing.assert_close(p.grad, gradient)


def test_the_encoder_learns_nothing_from_the_actor(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = make(), make()
    monkeypatch.setattr(other.sac, "actor_step", lambda _obs, _generator: {})
    for update in (one, other):
        update.step(
            transitions(M, 1), transitions(C, 2), u_of_tasks(), torch.Generator().manual_seed(3)
        )
    for p, q in zip(one.encoder.parameters(), other.encoder.parameters(), strict=True):
        assert torch.equal(p, q)
    changes = zip(one.sac.actor.parameters(), other.sac.actor.parameters(), strict=True)
    assert not all(torch.equal(p, q) for p, q in changes)


@pytest.mark.parametrize("task_dim", [0, K])
def test_states_have_task_and_latent_behind_them(task_dim: int) -> None:
    batch, z = transitions(M, 1), torch.randn(B, 3)
    u = u_of_tasks(task_dim)
    flat = with_latent(batch, u, z)
    assert isinstance(flat, SacBatch)
    for task in range(B):
        for i in range(M):
            row = task * M + i
            context = torch.cat([u[task], z[task]])
            assert torch.equal(flat.obs[row], torch.cat([batch.obs[task, i], context]))
            assert torch.equal(flat.next_obs[row], torch.cat([batch.next_obs[task, i], context]))
            assert torch.equal(flat.actions[row], batch.actions[task, i])
            assert flat.rewards[row] == batch.rewards[task, i]
            assert flat.dones[row] == batch.dones[task, i]


def test_the_encoder_tells_tasks_apart_by_their_rewards() -> None:
    # Bandits: the reward of task b is −(a − goal_b)². What z says decides what Q is.
    pearl = PearlSettings(latent_dim=2, encoder_hidden=(32,), kl_weight=0.01)
    sac = SacSettings(hidden=(32, 32), learning_rate=3e-3, reward_scale=1.0, temperature=0.05)
    generator = torch.Generator().manual_seed(0)
    update = PearlUpdate(1, 1, 0, pearl, sac, 0.0, generator, torch.device("cpu"))
    goals = torch.tensor([-0.7, 0.0, 0.7])

    def draw(rows: int) -> Transitions:
        actions = 2 * torch.rand(3, rows, 1, generator=generator) - 1
        obs = torch.zeros(3, rows, 1)
        rewards = -((actions.squeeze(-1) - goals.unsqueeze(1)) ** 2)
        return Transitions(obs, actions, rewards, obs, torch.ones(3, rows))

    for _ in range(800):
        update.step(draw(32), draw(16), torch.empty(3, 0), generator)
    with torch.no_grad():
        z = update.posterior(draw(16)).mean
        actions = update.sac.actor(torch.cat([torch.zeros(3, 1), z], dim=1)).squeeze(1)
    np.testing.assert_allclose(actions, goals, atol=0.15)  # 0.35 tells them apart
