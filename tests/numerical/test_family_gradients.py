"""Rewards and ∂r/∂ψ: the native core, torch, autograd and finite differences agree."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from admrl_native.families.catalogue import FAMILIES, make_family
from admrl_native.families.declaration import Family
from admrl_native.families.native import native_spec
from admrl_native.families.torch_family import TorchFamily

ROWS = 200


def transitions(family: Family, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """next_obs and actions of plausible size (float32), and a task for each row (float64)."""
    g = torch.Generator().manual_seed(seed)
    next_obs = torch.randn((ROWS, family.obs_dim), generator=g)
    next_obs[:, 0] += 1
    actions = 1.5 * torch.randn((ROWS, family.act_dim), generator=g)
    low, high = (torch.tensor(x, dtype=torch.float64) for x in (family.task_low, family.task_high))
    u = torch.rand((ROWS, family.task_dim), generator=g, dtype=torch.float64)
    return next_obs, actions, low + u * (high - low)


@pytest.mark.parametrize("name", FAMILIES)
def test_native_against_torch(name: str) -> None:
    family = make_family(name)
    next_obs, actions, psi = transitions(family)
    next_obs[3, 1], next_obs[7, -1] = torch.nan, torch.inf
    native = native_spec(family).evaluate(next_obs.numpy(), actions.numpy(), psi.numpy())
    rewards, grads, base, dones = map(torch.from_numpy, native)
    t = TorchFamily(family)
    wide, act = next_obs.double(), actions.double()
    # Both compute in float64; the native result is rounded to float32 (6e-8 relative).
    close = {"rtol": 1.2e-7, "atol": 1e-7}
    torch.testing.assert_close(rewards.double(), t.rewards(wide, act, psi), **close)
    torch.testing.assert_close(grads.double(), t.reward_grads(wide, act, psi), **close)
    torch.testing.assert_close(base.double(), t.base_rewards(wide, act), **close)
    assert torch.equal(dones, t.dones(wide))
    assert torch.equal(dones, t.dones(next_obs))
    assert dones[3]
    assert dones[7]
    assert rewards[3] == rewards[7] == base[3] == base[7] == 0
    assert (grads[[3, 7]] == 0).all()
    if family.healthy:
        assert 2 < dones.sum() < ROWS
    # torch in float32: sums of up to 18 products of order 1 to 100.
    torch.testing.assert_close(
        t.rewards(next_obs, actions, psi.float()), rewards, rtol=2e-6, atol=5e-5
    )
    assert t.rewards(next_obs, actions, psi).dtype == torch.float32
    assert t.reward_grads(next_obs, actions, psi).dtype == torch.float32


@pytest.mark.parametrize("name", FAMILIES)
def test_gradient_against_autograd_and_differences(name: str) -> None:
    family = make_family(name)
    next_obs, actions, psi = transitions(family, seed=1)
    wide, act = next_obs.double(), actions.double()
    t = TorchFamily(family)
    grads = t.reward_grads(wide, act, psi)

    leaf = psi.clone().requires_grad_()
    t.rewards(wide, act, leaf).sum().backward()
    assert leaf.grad is not None
    torch.testing.assert_close(leaf.grad, grads, rtol=0, atol=1e-14)  # the same formula

    h = 1e-3
    features = (
        wide[:, list(family.features)] - torch.tensor(family.offset).double()
    ) / torch.tensor(family.scale).double()
    away = (features - psi).abs() > 2 * h  # from the kinks of the abs form
    assert away.double().mean() > 0.9
    for j in range(family.task_dim):
        step = torch.zeros(family.task_dim, dtype=torch.float64)
        step[j] = h
        slope = (t.rewards(wide, act, psi + step) - t.rewards(wide, act, psi - step)) / (2 * h)
        # Piecewise linear in ψ: only rounding of rewards up to about 1000, divided by h.
        rows = away[:, j]
        torch.testing.assert_close(slope[rows], grads[rows, j], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", FAMILIES)
def test_one_task_is_the_same_task_on_every_row(name: str) -> None:
    family = make_family(name)
    next_obs, actions, psi = transitions(family)
    t = TorchFamily(family)
    one, many = psi[0], psi[:1].expand(ROWS, -1)
    assert torch.equal(t.rewards(next_obs, actions, one), t.rewards(next_obs, actions, many))
    spec = native_spec(family)
    a = spec.evaluate(next_obs.numpy(), actions.numpy(), one.numpy())
    b = spec.evaluate(next_obs.numpy(), actions.numpy(), many.contiguous().numpy())
    for x, y in zip(a, b, strict=True):
        np.testing.assert_array_equal(x, y)
    # Leading dimensions are free.
    shaped = t.rewards(next_obs.view(10, 20, -1), actions.view(10, 20, -1), one)
    assert torch.equal(shaped.flatten(), t.rewards(next_obs, actions, one))


def test_the_kink_has_gradient_zero() -> None:
    family = make_family("Ant2D")
    next_obs = torch.zeros((1, family.obs_dim))
    next_obs[0, 32], next_obs[0, 33] = 0.5, 1.0
    actions = torch.zeros((1, family.act_dim))
    psi = torch.tensor([0.5, 2.0], dtype=torch.float64)
    assert TorchFamily(family).reward_grads(next_obs, actions, psi).tolist() == [[0.0, -1.0]]
    _, grads, _, _ = native_spec(family).evaluate(next_obs.numpy(), actions.numpy(), psi.numpy())
    assert grads.tolist() == [[0.0, -1.0]]


def test_a_state_that_is_not_finite_does_not_spoil_the_gradient() -> None:
    family = make_family("Hopper2D")
    next_obs, actions, psi = transitions(family)
    next_obs[5, 0] = torch.nan
    leaf = psi[0].clone().requires_grad_()
    TorchFamily(family).rewards(next_obs, actions, leaf).sum().backward()
    assert leaf.grad is not None
    assert torch.isfinite(leaf.grad).all()
