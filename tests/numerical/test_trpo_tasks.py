"""TRPO of several policies at once against `trpo_update` of each."""

import pytest
import torch

from admrl_native.krylov import solve_symmetric
from admrl_native.networks.policy import GaussianPolicy
from admrl_native.networks.settings import NetworkSettings
from admrl_native.training.conjugate_gradient import conjugate_gradients
from admrl_native.training.settings import TrpoSettings
from admrl_native.training.trpo import _side_by_side, trpo_update, trpo_updates
from devices import DEVICES

B, M, OBS_DIM, ACT_DIM = 4, 300, 5, 2

# Batched products add in another order, and conjugate gradients enlarge the rounding: float64
# (1e-16) with a damping of 1e-4, where the last of ten iterates loses up to eight digits, float32
# (6e-8) with the default damping.
TOLERANCES = {torch.float64: 1e-8, torch.float32: 1e-4}

# Steps so long that KL divergence and surrogate are far from quadratic. In float32 they would be
# known to three digits.
LONG = {"max_kl": 3.0, "kl_tolerance": 1.0, "fisher_damping": 1e-4, "entropy_coefficient": 0.0}


def problem(dtype, device="cpu", odd=False):
    """B policies with normalisers of their own, and samples of them.

    Odd: the last task has no advantages, and the one before a few very large ones.
    """
    g = torch.Generator().manual_seed(0)
    networks = NetworkSettings(policy_hidden=(8, 7))
    policies, obs, actions = [], [], []
    for _ in range(B):
        policy = GaussianPolicy(OBS_DIM, ACT_DIM, networks, g)
        states = torch.randn(M, OBS_DIM, generator=g) * (1 + torch.arange(OBS_DIM)) + 2
        policy.normaliser.update(states + 0.1)
        with torch.no_grad():
            policy.log_std += 0.3 * torch.randn(ACT_DIM, generator=g)
            noise = policy.log_std.exp() * torch.randn(M, ACT_DIM, generator=g)
            actions.append(policy(states) + noise)
        obs.append(states)
        policies.append(policy.to(device, dtype))
    samples = [torch.stack(x).to(device, dtype) for x in (obs, actions)]
    advantages = torch.randn(B, M, generator=g).to(samples[1]) + samples[1][..., 0].tanh()
    if odd:
        advantages[-1] = 0
        advantages[-2] = advantages[-2].exp().pow(4)
    return policies, samples[0], samples[1], advantages


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    ("settings", "dtype"),
    [
        (TrpoSettings(), torch.float64),
        (TrpoSettings(), torch.float32),
        (TrpoSettings(cg_iterations=2), torch.float32),
        (TrpoSettings(**LONG), torch.float64),
        (TrpoSettings(**LONG, line_search_steps=1), torch.float64),
    ],
    ids=["float64", "float32", "short", "halvings", "refused"],
)
def test_side_by_side_is_one_after_the_other(settings, dtype, device):
    singles, *samples = problem(dtype, device, odd=True)
    together = problem(dtype, device, odd=True)[0]
    before = [policy.get_params() for policy in singles]
    expected = [
        trpo_update(policy, *sample, settings)
        for policy, *sample in zip(singles, *samples, strict=True)
    ]
    results = _side_by_side(together, *samples, settings)
    tolerance = TOLERANCES[dtype]
    for b, (one, other) in enumerate(zip(results, expected, strict=True)):
        assert one.line_search_steps == other.line_search_steps
        theta, reference = together[b].get_params(), singles[b].get_params()
        step = torch.linalg.vector_norm(reference - before[b])
        assert torch.linalg.vector_norm(theta - reference) <= tolerance * step
        for name in ("kl", "improvement", "entropy"):
            assert getattr(one, name) == pytest.approx(
                getattr(other, name), rel=tolerance, abs=0.1 * tolerance
            )


def test_the_cases_above_differ_in_their_line_searches():
    def steps(settings):
        results = _side_by_side(*problem(torch.float64, odd=True), settings)
        return [r.line_search_steps for r in results]

    assert steps(TrpoSettings()) == [0, 0, 0, 0]  # the last follows the entropy
    assert steps(TrpoSettings(**LONG)) == [0, 1, 0, -1]  # the last has no direction
    assert steps(TrpoSettings(**LONG, line_search_steps=1)) == [0, -1, 0, -1]


def test_a_policy_without_a_step_is_left_as_it_is():
    policies, *samples = problem(torch.float32, odd=True)
    before = [policy.get_params() for policy in policies]
    results = _side_by_side(policies, *samples, TrpoSettings(entropy_coefficient=0.0))
    assert [r.line_search_steps for r in results] == [0, 0, 0, -1]
    assert torch.equal(policies[-1].get_params(), before[-1])
    assert results[-1].kl == results[-1].improvement == 0.0
    assert not torch.equal(policies[0].get_params(), before[0])


@pytest.mark.parametrize("update", [trpo_updates, _side_by_side])
def test_samples_that_are_not_finite_are_refused(update):
    policies, obs, actions, advantages = problem(torch.float32)
    before = policies[1].get_params()
    advantages[1, 7] = float("nan")
    with pytest.raises(ValueError, match="finite"):
        update(policies, obs, actions, advantages, TrpoSettings())
    assert torch.equal(policies[1].get_params(), before)


@pytest.mark.parametrize("device", DEVICES)
def test_a_task_s_update_does_not_depend_on_its_neighbours(device):
    policies, *samples = problem(torch.float32, device)
    trpo_updates(policies, *samples, TrpoSettings())
    for b in range(B):
        alone, *_ = problem(torch.float32, device)
        trpo_updates(alone[b : b + 1], *(x[b : b + 1] for x in samples), TrpoSettings())
        # as above
        torch.testing.assert_close(
            alone[b].get_params(), policies[b].get_params(), rtol=1e-4, atol=1e-5
        )


def systems():
    """Five matrices: spread, nearly singular, one eigenvalue, spread again with b = 0, negative."""
    g = torch.Generator().manual_seed(1)
    q, _ = torch.linalg.qr(torch.randn(5, 12, 12, generator=g, dtype=torch.float64))
    spread = torch.logspace(0, 3, 12, dtype=torch.float64)
    nearly = torch.logspace(-6, 3, 12, dtype=torch.float64)
    eigenvalues = torch.stack([spread, nearly, torch.full_like(spread, 2.0), spread, -spread])
    b = torch.randn(5, 12, generator=g, dtype=torch.float64)
    b[3] = 0
    return q @ torch.diag_embed(eigenvalues) @ q.mT, b


@pytest.mark.parametrize("iterations", [1, 2, 3, 5, 8, 40])
def test_conjugate_gradients_are_those_of_the_native_solver(iterations):
    h, b = (x[:4] for x in systems())
    x = conjugate_gradients(
        lambda v: (h @ v.unsqueeze(2)).squeeze(2), b, iterations=iterations, tolerance=1e-10
    )
    for matrix, right, ours in zip(h, b, x, strict=True):
        reference = solve_symmetric(
            lambda v, matrix=matrix: matrix @ v,
            right,
            method="cg",
            damping=0.0,
            max_iterations=iterations,
            tolerance=1e-10,
        ).solution
        # float64: 1e-16, enlarged by a condition of 1e9 and from iterate to iterate
        torch.testing.assert_close(ours, reference, rtol=1e-5, atol=1e-6)


def test_a_solved_or_indefinite_system_stands_still():
    h, b = systems()
    one, many = (
        conjugate_gradients(
            lambda v: (h @ v.unsqueeze(2)).squeeze(2), b, iterations=n, tolerance=1e-10
        )
        for n in (1, 100)
    )
    assert torch.equal(one[2], many[2])  # one eigenvalue: solved at once
    torch.testing.assert_close(one[2], b[2] / 2)
    assert not torch.equal(one[0], many[0])
    assert (many[3] == 0).all()
    assert (many[4] == 0).all()
    assert torch.isfinite(many).all()
