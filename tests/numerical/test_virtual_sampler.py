"""Virtual rollouts of several tasks at once, native and in torch.

Against float64, against one another, against single ones, and again.
"""

import copy
import dataclasses

import pytest
import torch

from admrl_native._native import _core
from admrl_native.families.catalogue import make_family
from admrl_native.families.native import native_spec
from admrl_native.families.torch_family import TorchFamily
from admrl_native.networks.dynamics import Dynamics
from admrl_native.networks.policy import GaussianPolicy, gaussian_log_prob
from admrl_native.networks.settings import NetworkSettings
from admrl_native.sampling.folding import FoldedDynamics, FoldedPolicies
from admrl_native.sampling.native_virtual import NativeVirtualSampler
from admrl_native.sampling.virtual import TorchVirtualSampler
from devices import WAYS, generators

B, N, T, HORIZON = 3, 5, 14, 6
OBS_DIM, ACT_DIM = 11, 3
PSIS = torch.tensor([[0.5, 1.4], [1.0, 1.1], [-0.5, 1.3]])
SIZES = {"num_envs": N, "num_steps": T, "horizon": HORIZON}


class Parts:
    """A model, B policies with normalisers of their own, a family and start states."""

    def __init__(self, way="torch", hidden=(16, 12)):
        self.way, device = way, "cuda" if way == "cuda" else "cpu"
        g = torch.Generator().manual_seed(0)
        std = 0.4 * (14 / sum(hidden)) ** 0.5
        networks = NetworkSettings(dynamics_hidden=hidden, dynamics_initial_std=std)
        starts = torch.randn(40, OBS_DIM, generator=g) * 0.08
        starts[:, 0] += 1.25
        # Predictions are clipped at 3 standard deviations: some of them are.
        dynamics = Dynamics(OBS_DIM, ACT_DIM, networks, 3.0, g)
        steps = torch.randn(40, OBS_DIM, generator=g) * 0.06
        dynamics.update_normalisers(starts, starts + steps)
        self.policies = []
        for _ in range(B):
            policy = GaussianPolicy(OBS_DIM, ACT_DIM, networks, g)
            with torch.no_grad():
                policy.log_std += 0.3 * torch.randn(ACT_DIM, generator=g)
                policy.mean.weights_and_biases()[-1][0].mul_(50)
            policy.normaliser.update(starts + 0.1 * torch.randn(40, OBS_DIM, generator=g))
            self.policies.append(policy.to(device))
        self.dynamics, self.starts = dynamics.to(device), starts.to(device)
        self.family = TorchFamily(make_family("Hopper2D"), device)
        self.psis, self.device = PSIS.to(device), device

    def sampler(self, tasks=slice(None), threads=1, precision="fp32", **sizes):
        networks, sizes = (self.dynamics, self.policies[tasks]), {**SIZES, **sizes}
        if self.way != "native":
            return TorchVirtualSampler(*networks, self.family, precision=precision, **sizes)
        spec = native_spec(make_family("Hopper2D"))
        return NativeVirtualSampler(_core.ThreadPool(threads), spec, *networks, precision, **sizes)

    def sample(self, sampler, seed=1):
        return sampler.sample(
            self.psis, self.starts, generators(self.device, range(seed, seed + B))
        )


def same(one, other):
    names = [f.name for f in dataclasses.fields(one)]
    return all(torch.equal(getattr(one, name), getattr(other, name)) for name in names)


@pytest.mark.parametrize("hidden", [(16, 12), (70, 45), (150,)])  # of less and more than a panel
@pytest.mark.parametrize("way", WAYS)
def test_every_step_is_that_of_the_modules_in_float64(way, hidden):
    parts = Parts(way, hidden)
    dynamics = copy.deepcopy(parts.dynamics).double()
    reach = 3.0 * dynamics.states.std
    clipped = 0
    for t, policy, psi in zip(
        parts.sample(parts.sampler()), parts.policies, parts.psis, strict=True
    ):
        policy = copy.deepcopy(policy).double()
        obs, actions = t.obs.double(), t.actions.double()
        with torch.no_grad():
            predicted = dynamics(obs.flatten(0, 1), actions.flatten(0, 1)).view_as(obs)
            log_probs = policy.log_prob(obs, actions)
        # One step in float32 (6e-8): sums of at most 16 terms, the largest of them about 20 where
        # a mean is folded into a bias.
        torch.testing.assert_close(t.next_obs.double(), predicted, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(t.log_probs.double(), log_probs, rtol=1e-5, atol=2e-5)
        clipped += ((predicted - dynamics.states.mean).abs() >= reach).sum().item()
        assert (t.actions.abs() > 1).any()
        assert torch.equal(t.dones, parts.family.dones(t.next_obs))
        # The core computes rewards in float64 and rounds them, torch in float32: 6e-8 of 10.
        family, step = parts.family, (t.next_obs, t.actions)
        close = {"rtol": 1e-6, "atol": 1e-6}
        torch.testing.assert_close(t.rewards, family.rewards(*step, psi), **close)
        torch.testing.assert_close(t.reward_grads, family.reward_grads(*step, psi), **close)
        torch.testing.assert_close(t.base_rewards, family.base_rewards(*step), **close)
    assert clipped > 0


@pytest.mark.parametrize("way", WAYS)
def test_episodes_follow_one_another(way):
    parts = Parts(way)
    dones, timeouts = 0, 0
    for t in parts.sample(parts.sampler()):
        age = torch.zeros(N, dtype=torch.int64, device=parts.device)
        for step in range(T):
            begins = age == 0
            is_start = (t.obs[:, step, None] == parts.starts).all(-1).any(-1)
            assert is_start[begins].all()
            if step > 0:
                assert torch.equal(t.obs[~begins, step], t.next_obs[~begins, step - 1])
            age += 1
            assert torch.equal(t.timeouts[:, step], (age == HORIZON) & ~t.dones[:, step])
            age[t.dones[:, step] | t.timeouts[:, step]] = 0
        dones, timeouts = dones + t.dones.sum().item(), timeouts + t.timeouts.sum().item()
    assert dones > 0
    assert timeouts > 0


@pytest.mark.parametrize("way", WAYS)
def test_random_numbers_are_drawn_in_the_documented_order(way):
    parts = Parts(way)
    for b, t in enumerate(parts.sample(parts.sampler())):
        generator = torch.Generator(parts.device).manual_seed(1 + b)
        noise = torch.randn((T, N, ACT_DIM), generator=generator, device=parts.device)
        starts = torch.randint(40, (T + 1, N), generator=generator, device=parts.device)
        log_std = parts.policies[b].log_std.detach()
        expected = gaussian_log_prob(noise * log_std.exp(), torch.zeros_like(log_std), log_std)
        torch.testing.assert_close(t.log_probs, expected.T)  # the same sums of three float32
        assert torch.equal(t.obs[:, 0], parts.starts[starts[0]])
        for step in range(1, T):
            ended = t.dones[:, step - 1] | t.timeouts[:, step - 1]
            assert torch.equal(t.obs[ended, step], parts.starts[starts[step]][ended])


@pytest.mark.parametrize("way", WAYS)
def test_tasks_at_once_are_the_tasks_one_by_one(way):
    parts = Parts(way)
    together = parts.sample(parts.sampler())
    for b, t in enumerate(together):
        (alone,) = parts.sampler(slice(b, b + 1)).sample(
            parts.psis[b : b + 1], parts.starts, generators(parts.device, range(1 + b, 2 + b))
        )
        if way == "native":
            assert same(t, alone)
            continue
        assert torch.equal(t.log_probs, alone.log_probs)
        assert torch.equal(t.obs[:, 0], alone.obs[:, 0])
        for f in dataclasses.fields(t):
            # float32: products of other shapes add in another order (1e-7 of numbers up to 10),
            # and an episode passes that on over at most 6 steps.
            torch.testing.assert_close(
                getattr(t, f.name), getattr(alone, f.name), rtol=1e-4, atol=1e-4
            )


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("num_steps", [T, 1])
def test_a_sampler_keeps_nothing_of_a_call(way, num_steps):
    parts = Parts(way)
    sampler = parts.sampler(num_steps=num_steps)
    first = parts.sample(sampler)
    kept = copy.deepcopy(first)
    others = parts.sample(sampler, seed=7)
    again, fresh = parts.sample(sampler), parts.sample(parts.sampler(num_steps=num_steps))
    for b in range(B):
        assert same(first[b], kept[b])
        assert same(first[b], again[b])
        assert same(first[b], fresh[b])
        assert not torch.equal(first[b].next_obs, others[b].next_obs)


@pytest.mark.parametrize("way", WAYS)
def test_a_sampler_uses_the_networks_as_they_are_now(way):
    parts = Parts(way)
    sampler = parts.sampler()
    before = parts.sample(sampler)
    with torch.no_grad():
        parts.policies[1].mean.weights_and_biases()[0][0].mul_(0.5)
        parts.policies[2].log_std += 0.1
        for p in parts.dynamics.net.parameters():
            p.mul_(1.1)
        parts.dynamics.update_normalisers(parts.starts + 0.1, parts.starts + 0.2)
    old_model = parts.sample(sampler)[0]  # of the policy that did not change
    assert same(old_model, before[0])
    sampler.take_model()
    after, fresh = parts.sample(sampler), parts.sample(parts.sampler())
    for b in range(B):
        assert not torch.equal(before[b].next_obs, after[b].next_obs)
        assert same(after[b], fresh[b])


def test_folded_layers_are_the_modules_in_float64():
    parts = Parts()
    dynamics, policies = parts.dynamics.double(), [p.double() for p in parts.policies]
    obs = parts.starts.double()
    actions = 2 * torch.randn(40, ACT_DIM, generator=torch.Generator().manual_seed(3)).double()
    inputs = torch.cat([obs, actions.clamp(-1, 1)], dim=1)
    # float64 on both sides
    close = {"rtol": 1e-11, "atol": 1e-12}
    with torch.no_grad():
        folded = FoldedDynamics.of(dynamics)
        for model in (folded, folded.clone()):
            torch.testing.assert_close(model.next_states(inputs), dynamics(obs, actions), **close)
        means = FoldedPolicies.of(policies).means(obs.expand(B, -1, -1))
        for mean, policy in zip(means, policies, strict=True):
            torch.testing.assert_close(mean, policy(obs), **close)
    ours = {t.data_ptr() for layer in folded.clone().layers for t in layer}
    assert not ours & {t.data_ptr() for t in dynamics.net.parameters()}


def test_one_task_and_one_generator_for_each_policy():
    parts = Parts()
    sampler = parts.sampler()
    with pytest.raises(ValueError, match=r"^psis, generators: expected \(B=3, K\) and 3, got \(1,"):
        sampler.sample(parts.psis[:1], parts.starts, generators("cpu", range(B)))
    with pytest.raises(ValueError, match=r"and 2$"):
        sampler.sample(parts.psis, parts.starts, generators("cpu", range(2)))


def test_native_is_torch_from_the_same_random_numbers():
    ways = [Parts(way) for way in ("native", "torch")]
    for native, plain in zip(*(p.sample(p.sampler()) for p in ways), strict=True):
        for f in dataclasses.fields(native):
            # float32 sums in another order (1e-7 of numbers up to 10), over at most 6 steps.
            torch.testing.assert_close(
                getattr(native, f.name), getattr(plain, f.name), rtol=1e-4, atol=1e-4
            )


@pytest.mark.skipif(not _core.build_info()["bf16"], reason="no bfloat16 instructions here")
@pytest.mark.parametrize("hidden", [(16, 12), (70, 45), (33, 64, 7)])
def test_native_bf16_is_torch_on_rounded_operands(hidden):
    ways = [Parts(way, hidden) for way in ("native", "torch")]
    exact = ways[1].sample(ways[1].sampler())
    steps = [p.sample(p.sampler(precision="bf16")) for p in ways]
    for native, plain, single in zip(*steps, exact, strict=True):
        first = native.next_obs[:, 0], plain.next_obs[:, 0], single.next_obs[:, 0]
        # A sum that falls on the other side of a tie moves one operand by 2^-8 of itself; rounding
        # moves them all.
        assert (first[0] - first[1]).norm() < 0.05 * (first[0] - first[2]).norm()
        assert (first[0] - first[2]).norm() < 2e-2 * (first[2] - single.obs[:, 0]).norm()


def test_threads_change_no_bit():
    parts = Parts("native")
    one = parts.sample(parts.sampler())
    for threads in (2, 5):
        many = parts.sample(parts.sampler(threads=threads))
        assert all(same(a, b) for a, b in zip(one, many, strict=True))


def test_a_model_that_is_not_finite_is_refused():
    parts = Parts("native")
    with torch.no_grad():
        parts.dynamics.net.weights_and_biases()[1][1][0] = float("nan")
    with pytest.raises(ValueError, match=r"model: layers\[1\] bias: expected finite values"):
        parts.sampler().take_model()


def test_what_does_not_fit_is_refused():
    parts = Parts("native")
    sampler = parts.sampler()
    with pytest.raises(ValueError, match=r"psis: expected \(B=3, K=2\) float64, got \(2, 2\)"):
        sampler.sample(parts.psis[:2], parts.starts, generators("cpu", range(B)))
    with pytest.raises(ValueError, match=r"start_states: expected \(S, D=11\) float32"):
        sampler.sample(parts.psis, parts.starts[:, :5], generators("cpu", range(B)))


@pytest.mark.parametrize("rows", [1, 13, 40])
def test_a_prediction_is_the_model_s_in_float64(rows):
    parts = Parts("native", (70, 45))
    folded = FoldedDynamics.of(parts.dynamics)
    arrays = [(w.contiguous().numpy(), b.numpy()) for w, b in folded.layers]
    pool = _core.ThreadPool(2)
    model = _core.VirtualModel(pool, arrays, folded.low.numpy(), folded.high.numpy())
    actions = 2 * torch.randn(rows, ACT_DIM, generator=torch.Generator().manual_seed(3))
    states = parts.starts[:rows].contiguous()
    predicted = torch.from_numpy(model.predict(pool, states.numpy(), actions.numpy()))
    with torch.no_grad():
        expected = copy.deepcopy(parts.dynamics).double()(states.double(), actions.double())
    torch.testing.assert_close(predicted.double(), expected, rtol=1e-5, atol=1e-5)  # float32


def test_bounds_that_are_not_finite_are_refused():
    folded = FoldedDynamics.of(Parts().dynamics)
    arrays = [(w.contiguous().numpy(), b.numpy()) for w, b in folded.layers]
    pool, low = _core.ThreadPool(1), torch.full_like(folded.low, float("nan")).numpy()
    with pytest.raises(ValueError, match="model: low: expected finite values"):
        _core.VirtualModel(pool, arrays, low, folded.high.numpy())
