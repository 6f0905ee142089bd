"""The native TRPO update against torch's, in float32 and in float64, from the same samples."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from admrl_native._native import _core
from admrl_native.derivatives.fisher import FisherProducts
from admrl_native.derivatives.settings import TrpoSettings
from admrl_native.networks.policy import GaussianPolicy, gaussian_log_prob
from admrl_native.networks.settings import NetworkSettings
from admrl_native.training.trpo import TrpoResult, trpo_update

# (D, hidden, A, M): the paper's; one layer and nothing but odd sizes; layers wider than a panel;
# no hidden layer, one action; fewer samples than a panel, and a single sample more than panels; so
# many samples that each of the 16 parts goes through them in several blocks, the last one ragged.
SIZES = [
    (27, (32, 32), 8, 1000),
    (5, (7,), 3, 333),
    (60, (40, 33, 17), 21, 700),
    (3, (), 1, 64),
    (11, (32, 32), 3, 2),
    (4, (6,), 2, 129),
    (7, (16,), 2, 5701),
]
SETTINGS = TrpoSettings()


@dataclasses.dataclass
class Case:
    """A policy and samples of it, float32."""

    policy: GaussianPolicy
    obs: torch.Tensor
    actions: torch.Tensor
    advantages: torch.Tensor

    def double(self) -> Case:
        return Case(
            copy.deepcopy(self.policy).double(),
            *(t.double() for t in (self.obs, self.actions, self.advantages)),
        )

    def native(self, settings: TrpoSettings = SETTINGS, **change: Any) -> Any:
        """An update that writes the policy's own parameters."""
        arrays = {
            "layers": [
                (w.detach().numpy(), b.detach().numpy())
                for w, b in self.policy.mean.weights_and_biases()
            ],
            "log_std": self.policy.log_std.detach().numpy(),
            "obs_mean": self.policy.normaliser.mean.numpy(),
            "obs_std": self.policy.normaliser.std.numpy(),
            "obs": self.obs.numpy(),
            "actions": self.actions.numpy(),
            "advantages": self.advantages.numpy(),
        }
        options = dataclasses.asdict(settings)
        options |= {name: change.pop(name) for name in options if name in change}
        return _core.TrpoUpdate(**arrays | change, settings=_core.TrpoSettings(**options))

    def torch(self, settings: TrpoSettings = SETTINGS) -> TrpoResult:
        return trpo_update(self.policy, self.obs, self.actions, self.advantages, settings)


def make_case(size: tuple[int, tuple[int, ...], int, int], seed: int = 0) -> Case:
    """Advantages that depend on states and actions; a policy with structure in every parameter."""
    obs_dim, hidden, act_dim, rows = size
    g = torch.Generator().manual_seed(seed)
    policy = GaussianPolicy(
        obs_dim, act_dim, NetworkSettings(policy_hidden=hidden, policy_output_scale=1.0), g
    )
    obs = 3.0 + 2.0 * torch.randn(rows, obs_dim, generator=g)
    policy.normaliser.update(obs + 0.1)
    with torch.no_grad():
        for _, bias in policy.mean.weights_and_biases():
            bias += 0.1 * torch.randn(bias.shape, generator=g)
        policy.log_std += 0.3 * torch.randn(act_dim, generator=g)
        noise = torch.randn(rows, act_dim, generator=g)
        actions = policy(obs) + policy.log_std.exp() * noise
        advantages = 5.0 + (noise * torch.tanh(obs[:, :1])).sum(1) - 0.3 * (actions**2).sum(1)
    return Case(policy, obs, actions, advantages)


def run(update: Any, threads: int = 1) -> TrpoResult:
    _core.ThreadPool(threads).run([update])
    return result_of(update)


def result_of(update: Any) -> TrpoResult:
    found = update.result
    return TrpoResult(found.kl, found.improvement, found.entropy, found.line_search_steps)


def params(case: Case) -> npt.NDArray[np.float64]:
    return case.policy.get_params().double().numpy()


def distance(x: Any, y: Any) -> float:
    """|x − y| / |y|."""
    return float(np.linalg.norm(np.asarray(x) - np.asarray(y)) / np.linalg.norm(np.asarray(y)))


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_gradient_is_autograds_in_float64(size: Any) -> None:
    case = make_case(size)
    exact = case.double()
    policy, theta = exact.policy, exact.policy.get_params()
    x = policy.normaliser(exact.obs)
    weights = (exact.advantages - exact.advantages.mean()) / exact.advantages.std()
    old = policy.log_prob(exact.obs, exact.actions).detach()

    def surrogate(p: torch.Tensor) -> torch.Tensor:
        mean, log_std = policy.mean_and_log_std(p, x)
        ratio = torch.exp(gaussian_log_prob(exact.actions, mean, log_std) - old)
        return (ratio * weights).mean() + 0.25 * log_std.sum()

    gradient = torch.func.grad(surrogate)(theta)
    update = case.native(dataclasses.replace(SETTINGS, entropy_coefficient=0.25))
    # Sums over samples of numbers of both signs, each rounded to float32 (6e-8) a few times.
    assert distance(update.gradient(), gradient) < 5e-6


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_a_fisher_product_is_torchs_in_float64(size: Any) -> None:
    case = make_case(size)
    exact = case.double()
    fisher = FisherProducts(
        exact.policy, exact.policy.get_params(), exact.policy.normaliser(exact.obs)
    )
    v = torch.randn(
        len(params(case)), generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )
    # As above; all terms of v'Fv are positive.
    assert distance(case.native().fisher_product(v.numpy()), fisher(v)) < 2e-6


@pytest.mark.parametrize("entropy_coefficient", [0.0, 0.05])
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_a_whole_update_is_torchs(size: Any, seed: int, entropy_coefficient: float) -> None:
    settings = dataclasses.replace(SETTINGS, entropy_coefficient=entropy_coefficient)
    native, single = make_case(size, seed), make_case(size, seed)
    exact = native.double()
    before = params(native)
    result = run(native.native(settings))
    in_float32, in_float64 = single.torch(settings), exact.torch(settings)
    assert result.line_search_steps == in_float32.line_search_steps >= 0
    step = params(native) - before
    assert distance(step, params(single) - before) < 1e-4
    # Nearer to float64 than that: torch's float32 sets the scale of what rounding does.
    allowed = 3 * distance(params(single) - before, params(exact) - before) + 1e-5
    assert distance(step, params(exact) - before) < min(allowed, 1e-4)
    np.testing.assert_allclose(
        dataclasses.astuple(result), dataclasses.astuple(in_float64), rtol=1e-4, atol=1e-6
    )


# The further the quadratic model is to reach, the more it underestimates the divergence. Where any
# divergence will do, a step is too long once the surrogate falls.
@pytest.mark.parametrize("kl_tolerance", [1.0, 1e9])
def test_halvings_are_torchs(kl_tolerance: float) -> None:
    steps = []
    for max_kl in (0.01, 5.0, 50.0, 500.0):
        settings = dataclasses.replace(
            SETTINGS, max_kl=max_kl, kl_tolerance=kl_tolerance, line_search_decay=0.7
        )
        native, single = make_case(SIZES[1]), make_case(SIZES[1])
        before = params(native)
        result, reference = run(native.native(settings)), single.torch(settings)
        assert result.line_search_steps == reference.line_search_steps
        assert distance(params(native) - before, params(single) - before) < 1e-4
        steps.append(result.line_search_steps)
    assert len(set(steps)) > 2, steps


def test_no_step_without_a_direction() -> None:
    case = make_case(SIZES[0])
    before = params(case)
    case.advantages.zero_()
    result = run(case.native(dataclasses.replace(SETTINGS, entropy_coefficient=0.0)))
    # in nats: that of torch's own distribution
    std = case.policy.log_std.detach().exp()
    entropy = float(torch.distributions.Normal(0.0, std).entropy().sum())
    assert dataclasses.astuple(result) == (0.0, 0.0, pytest.approx(entropy, rel=1e-6), -1)
    assert np.array_equal(params(case), before)


def test_a_rejected_step_changes_nothing() -> None:
    # One try of a step far out of the quadratic model's validity: its divergence is not the 50
    # that the model says.
    settings = dataclasses.replace(SETTINGS, max_kl=50.0, kl_tolerance=1.0, line_search_steps=1)
    native, single = make_case(SIZES[1], 3), make_case(SIZES[1], 3)
    before = params(native)
    result, reference = run(native.native(settings)), single.torch(settings)
    assert result.line_search_steps == reference.line_search_steps == -1
    assert np.array_equal(params(native), before)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_bits_do_not_depend_on_threads_or_company(size: Any) -> None:
    alone = make_case(size)
    result = run(alone.native())
    for threads in (2, 5):
        other = make_case(size)
        assert run(other.native(), threads) == result
        assert torch.equal(other.policy.get_params(), alone.policy.get_params())
    beside = [make_case(size) for _ in range(3)]
    updates = [make_case(SIZES[1]).native(), *(case.native() for case in beside)]
    _core.ThreadPool(2).run(updates)
    for case, update in zip(beside, updates[1:], strict=True):
        assert result_of(update) == result
        assert torch.equal(case.policy.get_params(), alone.policy.get_params())


def test_an_update_runs_from_the_parameters_as_they_are() -> None:
    twice, again = make_case(SIZES[1]), make_case(SIZES[1])
    update = twice.native()
    first, second = run(update), run(update)
    assert first == run(again.native())
    assert second == run(again.native())
    assert second != first
    assert torch.equal(twice.policy.get_params(), again.policy.get_params())


def test_the_result_is_there_after_a_run() -> None:
    with pytest.raises(RuntimeError, match=r"^TrpoUpdate.result: expected an update that has run"):
        _ = make_case(SIZES[1]).native().result


@pytest.mark.parametrize("name", ["obs", "actions"])
def test_a_nan_is_reported(name: str) -> None:
    case = make_case(SIZES[1])
    before = params(case)
    getattr(case, name)[17, 1] = torch.nan
    update = case.native()
    with pytest.raises(ValueError, match=r"^obs, actions, layers: expected finite values"):
        run(update)
    with pytest.raises(RuntimeError, match=r"^TrpoUpdate.result"):
        _ = update.result
    assert np.array_equal(params(case), before)


def full(shape: Any, value: float = 0.0) -> npt.NDArray[np.float32]:
    return np.full(shape, value, np.float32)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layers": []}, "layers: expected at least one"),
        ({"layers": [full((3, 5))]}, r"layers\[0\]: expected \(weight, bias\)"),
        ({"layers": [(full((7, 5)), full(7)), (full((3, 6)), full(3))]},
         r"layers\[1\]: expected 7 inputs \(the outputs of the layer before\), got 6"),
        ({"layers": [(full((3, 5)), full(2))]},
         r"layers\[0\] bias: expected \(out=3,\) float32, got \(2,\) float32"),
        ({"log_std": full(2)}, r"log_std: expected \(A=3,\) float32, got \(2,\)"),
        ({"log_std": full(3, np.nan)}, "log_std: expected finite values, got nan"),
        ({"obs": full((333, 6))}, r"obs: expected \(M, D=5\) float32, got \(333, 6\)"),
        ({"obs": full((1, 5)), "actions": full((1, 3)), "advantages": full(1)},
         "advantages: expected at least 2 samples, got 1"),
        ({"actions": full((333, 2))}, r"actions: expected \(M=333, A=3\) float32"),
        ({"actions": np.zeros((333, 3))}, r"actions: expected .* float32, got .* float64"),
        ({"advantages": full(332)}, r"advantages: expected \(M=333,\) float32, got \(332,\)"),
        ({"advantages": full(333, np.inf)}, "advantages: expected finite values, got inf"),
        ({"obs_mean": full(5, np.nan)}, "obs_mean: expected finite values, got nan"),
        ({"obs_std": full(5)}, "obs_std: expected positive values, got 0"),
        ({"max_kl": 0.0}, "max_kl: expected a finite number > 0, got 0"),
        ({"cg_iterations": 0}, "cg_iterations: expected at least 1, got 0"),
        ({"fisher_damping": -1.0}, "fisher_damping: expected a finite number >= 0"),
        ({"line_search_steps": 0}, "line_search_steps: expected at least 1, got 0"),
        ({"line_search_decay": 1.5}, r"line_search_decay: expected a number in \(0, 1\]"),
        ({"kl_tolerance": 0.5}, "kl_tolerance: expected a finite number >= 1"),
        ({"entropy_coefficient": np.nan}, "entropy_coefficient: expected a finite number >= 0"),
    ],
)  # fmt: skip
def test_bad_arguments(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match="^" + message):
        make_case(SIZES[1]).native(**change)


def test_read_only_parameters_are_refused() -> None:
    log_std = full(3)
    log_std.flags.writeable = False
    with pytest.raises(ValueError, match=r"^log_std: expected a writeable array"):
        make_case(SIZES[1]).native(log_std=log_std)


@pytest.mark.parametrize("v", [full(3), np.zeros(5)])
def test_a_bad_direction_is_refused(v: Any) -> None:
    with pytest.raises(ValueError, match=r"^v: expected \(P=\d+,\) float64"):
        make_case(SIZES[1]).native().fisher_product(v)
