"""The native dynamics fit against the same arithmetic in torch, and against `DynamicsFit`."""

from __future__ import annotations

import copy
import os
import signal
import subprocess
import sys
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from admrl_native._native import _core
from admrl_native.networks.dynamics import Dynamics
from admrl_native.networks.settings import NetworkSettings
from admrl_native.sampling.replay import Replay
from admrl_native.training.dynamics_fit import DynamicsFit
from admrl_native.training.settings import DynamicsFitSettings

F32 = npt.NDArray[np.float32]
Layers = list[tuple[F32, F32]]

# D, A, hidden widths, batch: nothing is a multiple of a register but in the last one.
SIZES = [
    (3, 2, (8,), 20),
    (1, 1, (), 5),
    (5, 3, (130, 33), 37),
    (11, 3, (7, 65, 31, 12), 1),
    (17, 6, (100, 90), 300),
    (30, 2, (64, 64), 64),
    (17, 6, (230, 210), 300),  # several pieces of every product, the last ones ragged
]
OPEN, ACTIVE = 1e6, 0.01  # max_grad_norm: never reached, always reached


bf16 = pytest.mark.skipif(
    not str(_core.build_info()["kernels"]).endswith("bf16"),
    reason="needs bfloat16 instructions: build_info()['kernels'] names none",
)


class Case:
    """A model, a replay and the rows of some steps, for both sides."""

    def __init__(
        self,
        size: tuple[int, int, tuple[int, ...], int],
        steps: int,
        max_grad_norm: float = OPEN,
        seed: int = 0,
    ) -> None:
        obs_dim, act_dim, hidden, batch = size
        g = torch.Generator().manual_seed(seed)
        networks = NetworkSettings(dynamics_hidden=hidden, dynamics_initial_std=0.2)
        self.dynamics = Dynamics(obs_dim, act_dim, networks, 100.0, g)
        with torch.no_grad():
            for _, bias in self.dynamics.net.weights_and_biases():
                bias.normal_(std=0.1, generator=g)
        self.settings = DynamicsFitSettings(
            weight_decay=1e-2, max_grad_norm=max_grad_norm, batch_size=batch
        )
        obs = torch.randn(400, obs_dim, generator=g) * 3 + 1
        actions = torch.randn(400, act_dim, generator=g)  # a third are clipped
        next_obs = obs + 0.1 * torch.randn(400, obs_dim, generator=g) + 0.05 * obs.sin()
        self.replay = Replay(obs_dim, act_dim, torch.device("cpu"))
        self.replay.append({"obs": obs, "actions": actions, "next_obs": next_obs})
        self.dynamics.update_normalisers(obs, next_obs)
        self.rows = torch.cat([obs, actions, next_obs], dim=1).numpy()
        self.seed = seed + 1
        index = torch.Generator().manual_seed(self.seed)
        # What Replay.sample draws, step after step.
        self.order = torch.stack(
            [torch.randint(400, (batch,), generator=index) for _ in range(steps)]
        ).numpy()
        self.layers: Layers = [
            (w.detach().numpy().copy(), b.detach().numpy().copy())
            for w, b in self.dynamics.net.weights_and_biases()
        ]
        self.first, self.second = zeros_like(self.layers), zeros_like(self.layers)
        self.start = flat(self.layers)

    def native(self, threads: int = 1, steps_done: int = 0, **change: Any) -> float:
        states, differences = self.dynamics.states, self.dynamics.differences
        arguments: dict[str, Any] = {
            "pool": _core.ThreadPool(threads),
            "layers": self.layers,
            "first": self.first,
            "second": self.second,
            "steps_done": steps_done,
            "rows": self.rows,
            "order": self.order,
            "obs_mean": states.mean.numpy(),
            "obs_std": states.std.numpy(),
            "difference_mean": differences.mean.numpy(),
            "difference_std": differences.std.numpy(),
        }
        options: dict[str, Any] = {
            "weight_decay": self.settings.weight_decay,
            "max_grad_norm": self.settings.max_grad_norm,
            "precision": change.pop("precision", "fp32"),
        }
        adam: dict[str, Any] = {"learning_rate": self.settings.learning_rate}
        for group, names in ((options, tuple(options)), (adam, ("learning_rate", "beta1", "eps"))):
            group |= {name: change.pop(name) for name in names if name in change}
        settings = _core.DynamicsFitSettings(adam=_core.AdamSettings(**adam), **options)
        return float(_core.fit_dynamics(**(arguments | change), settings=settings))

    def torch64(self, precision: str = "fp32", **options: Any) -> tuple[float, DynamicsFit]:
        """The same fit in float64, from float64 copies of all that it reads."""
        dynamics = copy.deepcopy(self.dynamics).double()
        fit = DynamicsFit(dynamics, self.settings)
        weights = list(dynamics.net.parameters())
        fit.optimiser = torch.optim.Adam(weights, lr=self.settings.learning_rate, **options)
        rows = torch.from_numpy(self.rows).double()
        sizes = [dynamics.states.mean.shape[0], rows.shape[1], dynamics.states.mean.shape[0]]
        sizes[1] -= 2 * sizes[0]
        losses = []
        for index in torch.from_numpy(self.order):
            loss = dynamics.loss(*torch.split(rows[index], sizes, dim=1), precision)
            fit.optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            with torch.no_grad():
                for w in weights:
                    assert w.grad is not None
                    w.grad += self.settings.weight_decay * w
            nn.utils.clip_grad_norm_(weights, self.settings.max_grad_norm)
            fit.optimiser.step()
            losses.append(loss.item())
        return float(np.mean(losses)), fit

    def torch32(self) -> tuple[float, DynamicsFit]:
        """What `DynamicsFit.fit` does with the same rows."""
        fit = DynamicsFit(copy.deepcopy(self.dynamics), self.settings)
        generator = torch.Generator().manual_seed(self.seed)
        return fit.fit(self.replay, len(self.order), generator), fit


def zeros_like(layers: Layers) -> Layers:
    return [(np.zeros_like(w), np.zeros_like(b)) for w, b in layers]


def flat(layers: Layers) -> F32:
    return np.concatenate([a.ravel() for pair in layers for a in pair])


def weights_of(fit: DynamicsFit) -> npt.NDArray[Any]:
    parameters: list[Tensor] = list(fit.dynamics.net.parameters())
    return np.concatenate([p.detach().numpy().ravel() for p in parameters])


def moments_of(fit: DynamicsFit, key: str) -> npt.NDArray[Any]:
    state = fit.optimiser.state
    return np.concatenate([state[p][key].numpy().ravel() for p in fit.dynamics.net.parameters()])


@pytest.mark.parametrize("max_grad_norm", [OPEN, ACTIVE])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_gradient_is_autograds(size: Any, max_grad_norm: float) -> None:
    # With beta1 = 0 the first moment is the gradient itself, decayed and clipped.
    case = Case(size, steps=1, max_grad_norm=max_grad_norm)
    loss = case.native(beta1=0.0)
    expected, reference = case.torch64(betas=(0.0, 0.999))
    assert loss == pytest.approx(expected, rel=1e-6)  # float32
    gradient = moments_of(reference, "exp_avg")
    norm = np.linalg.norm(gradient)
    assert (norm == pytest.approx(ACTIVE, rel=1e-3)) == (max_grad_norm == ACTIVE)
    # Sums of at most 300 numbers rounded to float32 (6e-8) at every step, in three layers.
    np.testing.assert_allclose(flat(case.first), gradient, rtol=1e-5, atol=2e-6 * norm)
    np.testing.assert_allclose(
        flat(case.second), moments_of(reference, "exp_avg_sq"), rtol=2e-5, atol=4e-9 * norm**2
    )


@pytest.mark.parametrize("max_grad_norm", [OPEN, 0.5])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_many_steps_are_torchs(size: Any, max_grad_norm: float) -> None:
    case = Case(size, steps=20, max_grad_norm=max_grad_norm)
    loss = case.native(threads=2)
    expected, reference = case.torch64()
    single_loss, single = case.torch32()
    assert loss == pytest.approx(expected, rel=1e-5)
    assert loss == pytest.approx(single_loss, rel=1e-5)
    # Adam's first steps are of full size in the sign of a gradient, however small: float32 rounding
    # of a gradient near zero moves a parameter. torch's own float32 fit sets the scale of that.
    moved = np.linalg.norm(weights_of(reference) - case.start)
    distance = np.linalg.norm(flat(case.layers) - weights_of(reference))
    allowed = np.linalg.norm(weights_of(single) - weights_of(reference))
    # On top, 20 roundings of every parameter to float32.
    assert distance < 5 * allowed + 20 * 6e-8 * np.linalg.norm(weights_of(reference))
    assert distance < 2e-3 * moved
    first = moments_of(reference, "exp_avg")
    np.testing.assert_allclose(flat(case.first), first, atol=1e-4 * np.linalg.norm(first))


def test_an_error_of_zero_has_no_gradient() -> None:
    case = Case((3, 2, (8,), 4), steps=1)
    for weight, bias in case.layers:
        weight[:], bias[:] = 0.0, 0.0
    case.dynamics.net.load_state_dict(
        {k: torch.zeros_like(v) for k, v in case.dynamics.net.state_dict().items()}
    )
    # (s + mean) - s would round: s = 0.
    case.rows[:2, :3], case.rows[:2, 5:] = 0.0, case.dynamics.differences.mean.numpy()
    case.order = np.array([[0, 1, 2, 3]])
    loss = case.native(beta1=0.0)
    expected, reference = case.torch64(betas=(0.0, 0.999))
    assert loss == pytest.approx(expected, rel=1e-6)
    np.testing.assert_allclose(flat(case.first), moments_of(reference, "exp_avg"), atol=1e-6)
    assert np.isfinite(flat(case.layers)).all()

    case = Case((3, 2, (8,), 4), steps=1)  # no error at all: nothing moves
    case.rows[:, :] = 0.0
    for weight, bias in case.layers:
        weight[:], bias[:] = 0.0, 0.0
    zero = np.zeros(3, np.float32)
    assert case.native(difference_mean=zero) == 0.0
    assert not flat(case.layers).any()
    assert not flat(case.first).any()


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_threads_change_no_bit(size: Any) -> None:
    cases = [Case(size, steps=5) for _ in range(3)]
    losses = [c.native(threads=n) for c, n in zip(cases, (1, 2, 5), strict=True)]
    assert losses[0] == losses[1] == losses[2]
    for case in cases[1:]:
        for name in ("layers", "first", "second"):
            assert np.array_equal(flat(getattr(case, name)), flat(getattr(cases[0], name)))


@pytest.mark.parametrize("precision", ["fp32", pytest.param("bf16", marks=bf16)])
def test_two_calls_continue_one_fit(precision: str) -> None:
    whole, parts = Case(SIZES[2], steps=7), Case(SIZES[2], steps=7)
    whole.native(precision=precision)
    parts.native(precision=precision, order=parts.order[:3])
    parts.native(precision=precision, order=parts.order[3:], steps_done=3)
    for name in ("layers", "first", "second"):
        assert np.array_equal(flat(getattr(whole, name)), flat(getattr(parts, name)))


@bf16
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_bf16_gradient_is_that_of_rounded_operands(size: Any) -> None:
    case, single = Case(size, steps=1), Case(size, steps=1)
    loss = case.native(beta1=0.0, precision="bf16")
    single.native(beta1=0.0)
    expected, reference = case.torch64("bf16", betas=(0.0, 0.999))
    assert loss == pytest.approx(expected, rel=1e-4)
    gradient = moments_of(reference, "exp_avg")
    error = np.linalg.norm(flat(case.first) - gradient) / np.linalg.norm(gradient)
    rounding = np.linalg.norm(flat(single.first) - gradient) / np.linalg.norm(gradient)
    # Where float32 falls on the other side of a tie, an operand differs by a unit of bfloat16
    # (2^-8): few do. Rounding to bfloat16 itself shows in every one.
    assert error < 2e-4
    assert rounding < 5e-2
    if len(case.layers) > 1:
        assert rounding > 4 * error


@bf16
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_many_bf16_steps_stay_near_float32(size: Any) -> None:
    case, single = (Case(size, steps=20, max_grad_norm=0.5) for _ in range(2))
    # Errors of 2^-9 in every operand, of either sign.
    assert case.native(threads=2, precision="bf16") == pytest.approx(single.native(), rel=3e-3)
    moved = np.linalg.norm(flat(single.layers) - single.start)
    assert np.linalg.norm(flat(case.layers) - flat(single.layers)) < 0.15 * moved


@bf16
def test_threads_change_no_bit_in_bf16() -> None:
    for size in SIZES:
        cases = [Case(size, steps=5) for _ in range(3)]
        for case, threads in zip(cases, (1, 2, 5), strict=True):
            case.native(threads=threads, precision="bf16")
        for case in cases[1:]:
            assert np.array_equal(flat(case.layers), flat(cases[0].layers))
            assert np.array_equal(flat(case.second), flat(cases[0].second))


def test_bf16_is_refused_where_the_cpu_has_none() -> None:
    program = """
from test_native_dynamics_fit import *
case = Case((3, 2, (8,), 4), steps=1)
try:
    case.native(precision="bf16")
except ValueError as error:
    print(error)
assert np.array_equal(flat(case.layers), case.start)
"""
    path = os.pathsep.join([os.path.dirname(__file__), *sys.path])
    out = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "ADMRL_ISA": "generic", "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert out.stdout == (
        "precision: this CPU has no bfloat16 instructions (kernels: generic); use fp32\n"
    )


def test_other_data_give_other_bits() -> None:
    one, other = Case(SIZES[2], steps=2), Case(SIZES[2], steps=2)
    other.order = other.order[::-1].copy()
    one.native()
    other.native()
    assert not np.array_equal(flat(one.layers), flat(other.layers))


def test_a_nan_is_not_hidden() -> None:
    case = Case(SIZES[2], steps=1)
    case.rows[case.order[0, 3], 0] = np.nan
    assert np.isnan(case.native())
    assert np.isnan(flat(case.layers)).all()  # as in torch: the norm is not a number


def test_ctrl_c_stops_between_steps() -> None:
    case = Case((3, 2, (64, 64), 16), steps=1)
    case.order = np.zeros((100_000, 16), np.int64)  # seconds
    previous = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        with pytest.raises(KeyboardInterrupt):
            case.native()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    assert not np.array_equal(flat(case.layers), case.start)
    assert np.isfinite(flat(case.layers)).all()


def layers_of(*sizes: tuple[int, int]) -> Layers:
    return [(np.zeros((o, i), np.float32), np.zeros(o, np.float32)) for o, i in sizes]


def moments(layers: Layers) -> dict[str, Any]:
    return {"layers": layers, "first": zeros_like(layers), "second": zeros_like(layers)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (moments([]), "layers: expected at least one"),
        (moments(layers_of((8, 5), (3, 7))), r"layers\[1\]: expected 8 inputs .* got 7"),
        (
            moments(layers_of((8, 3), (3, 8))) | {"rows": np.zeros((9, 6), np.float32)},
            r"layers: expected more inputs \(D \+ A\) than outputs \(D\), got 3 and 3",
        ),
        ({"first": []}, "first, second: expected one pair of moments for each of the 2 layers"),
        ({"rows": np.zeros((9, 7), np.float32)}, r"rows: expected \(R, 2D\+A=8\) .*, got \(9, 7\)"),
        ({"rows": np.zeros((0, 8), np.float32)}, r"rows: expected a positive multiple of 2D\+A=8"),
        ({"rows": np.zeros((9, 8))}, r"rows: expected .* float32, got \(9, 8\) float64"),
        ({"order": np.zeros((2, 4), np.int32)}, r"order: expected \(steps, batch\) int64, .*32"),
        ({"order": np.zeros((0, 4), np.int64)}, "order: expected a positive multiple of batch=4"),
        ({"order": np.zeros((4, 0), np.int64)}, "batch: expected at least 1, got 0"),
        ({"order": np.full((1, 4), 400)}, r"order: expected rows in \[0, 400\), got 400"),
        ({"order": np.full((1, 4), -1)}, r"order: expected rows in \[0, 400\), got -1"),
        ({"obs_mean": np.zeros(2, np.float32)}, r"obs_mean: expected \(D=3,\) float32, got \(2,\)"),
        ({"obs_std": np.zeros(3, np.float32)}, "obs_std: expected positive values, got 0"),
        (
            {"difference_std": np.full(3, np.nan, np.float32)},
            "difference_std: expected positive values, got nan",
        ),
        ({"precision": "fp16"}, "precision: expected 'fp32' or 'bf16', got 'fp16'"),
        ({"steps_done": -1}, "steps_done: expected at least 0, got -1"),
        ({"learning_rate": np.nan}, "learning_rate: expected a finite number >= 0, got nan"),
        ({"weight_decay": -1.0}, "weight_decay: expected a finite number >= 0, got -1"),
        ({"max_grad_norm": 0.0}, "max_grad_norm: expected a positive number, got 0"),
        ({"max_grad_norm": np.nan}, "max_grad_norm: expected a positive number, got nan"),
        ({"beta1": 1.0}, r"beta1: expected a number in \[0, 1\), got 1"),
        ({"eps": -1.0}, "eps: expected a finite number >= 0, got -1"),
    ],
)  # fmt: skip
def test_bad_arguments(change: dict[str, Any], message: str) -> None:
    case = Case((3, 2, (8,), 4), steps=2)
    with pytest.raises(ValueError, match="^" + message):
        case.native(**change)
    assert np.array_equal(flat(case.layers), case.start)
    assert not flat(case.first).any()


def test_read_only_arrays_are_refused() -> None:
    case = Case((3, 2, (8,), 4), steps=2)
    case.second[0][1].flags.writeable = False
    with pytest.raises(ValueError, match=r"^second\[0\] bias: expected a writeable array"):
        case.native()
