"""The native value fit against torch.optim.Adam on the same minibatches."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from admrl_native._native import _core

F32 = npt.NDArray[np.float32]
Layers = list[tuple[F32, F32]]

SIZES = [[35, 64, 64, 1], [3, 1], [5, 7, 1], [11, 33, 17, 2, 1]]


def make_layers(sizes: list[int], seed: int = 0) -> Layers:
    g = np.random.default_rng(seed)
    return [
        (
            (g.standard_normal((n, m)) / np.sqrt(m)).astype(np.float32),
            (0.1 * g.standard_normal(n)).astype(np.float32),
        )
        for m, n in itertools.pairwise(sizes)
    ]


def zeros_like(layers: Layers) -> Layers:
    return [(np.zeros_like(w), np.zeros_like(b)) for w, b in layers]


def make_data(rows: int, in_dim: int, epochs: int) -> dict[str, Any]:
    g = np.random.default_rng(1)
    return {
        "x": g.standard_normal((rows, in_dim)).astype(np.float32),
        "targets": g.standard_normal(rows).astype(np.float32),
        "order": np.stack([g.permutation(rows) for _ in range(epochs)]),
    }


def flat(layers: Layers) -> F32:
    return np.concatenate([a.ravel() for pair in layers for a in pair])


def make_fit(*arrays: Any, **options: Any) -> _core.ValueFit:
    names = [n for n in ("learning_rate", "beta1", "beta2", "eps") if n in options]
    adam = _core.AdamSettings(**{name: options.pop(name) for name in names})
    return _core.ValueFit(*arrays, **options, adam=adam)


def fit_value(*arrays: Any, **options: Any) -> npt.NDArray[np.float64]:
    fit = make_fit(*arrays, **options)
    _core.ThreadPool(1).run([fit])
    return fit.losses


class TorchFit:
    """The same fit, step by step, in torch, in any precision."""

    def __init__(self, layers: Layers, rate: float, dtype: torch.dtype) -> None:
        self.dtype = dtype
        self.parameters = [
            torch.from_numpy(a.copy()).to(dtype).requires_grad_() for pair in layers for a in pair
        ]
        self.optimiser = torch.optim.Adam(self.parameters, lr=rate)

    def fit(self, x: F32, targets: F32, order: Any, minibatch: int) -> list[float]:
        inputs, wanted = (torch.from_numpy(a).to(self.dtype) for a in (x, targets))
        losses = []
        for epoch in torch.from_numpy(order):
            total = 0.0
            for index in epoch.split(minibatch):
                y = inputs[index]
                for i in range(0, len(self.parameters), 2):
                    y = torch.nn.functional.linear(y, *self.parameters[i : i + 2])
                    y = torch.tanh(y) if i + 2 < len(self.parameters) else y
                loss = 0.5 * (y.squeeze(-1) - wanted[index]).square().mean()
                self.optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                self.optimiser.step()
                total += loss.item() * len(index)
            losses.append(total / len(epoch))
        return losses

    def moments(self, key: str) -> F32:
        state = [self.optimiser.state[p][key].numpy().ravel() for p in self.parameters]
        return np.concatenate(state)

    def flat(self) -> F32:
        return np.concatenate([p.detach().numpy().ravel() for p in self.parameters])


@pytest.mark.parametrize("minibatch", [64, 50, 1000, 7])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_a_fit_is_torchs(sizes: list[int], minibatch: int) -> None:
    layers = make_layers(sizes)
    start, first, second = flat(layers), zeros_like(layers), zeros_like(layers)
    data = make_data(150, sizes[0], epochs=3)
    reference = TorchFit(layers, 1e-3, torch.float64)
    single = TorchFit(layers, 1e-3, torch.float32)
    losses = fit_value(layers, first, second, 0, **data, minibatch=minibatch, learning_rate=1e-3)
    np.testing.assert_allclose(losses, reference.fit(**data, minibatch=minibatch), rtol=1e-4)
    single.fit(**data, minibatch=minibatch)
    # Adam's first steps are of full size in the sign of a gradient, however small: float32 rounding
    # of a gradient near zero moves a parameter. torch's own float32 fit sets the scale of that.
    distance = np.linalg.norm(flat(layers) - reference.flat())
    allowed = 5 * np.linalg.norm(single.flat() - reference.flat()) + 1e-6
    assert distance < allowed
    assert distance < 0.02 * np.linalg.norm(reference.flat() - start)
    # Means of gradients of size 1, each rounded to float32 (6e-8) after sums of 150 terms, on
    # parameters that differ as above.
    np.testing.assert_allclose(flat(first), reference.moments("exp_avg"), atol=2e-4)
    np.testing.assert_allclose(flat(second), reference.moments("exp_avg_sq"), atol=2e-5)


def test_the_gradient_is_autograds() -> None:
    # With beta1 = 0 the first moment is the gradient itself; a rate of 0 leaves the parameters.
    for sizes in SIZES:
        layers = make_layers(sizes)
        before, first, second = flat(layers), zeros_like(layers), zeros_like(layers)
        data = make_data(64, sizes[0], epochs=1)
        fit_value(layers, first, second, 0, **data, minibatch=64, learning_rate=0.0, beta1=0.0)
        reference = TorchFit(layers, 0.0, torch.float64)
        reference.fit(**data, minibatch=64)
        gradient = np.concatenate([p.grad.numpy().ravel() for p in reference.parameters])  # type: ignore[union-attr]
        assert np.array_equal(flat(layers), before)
        # Sums of 64 samples of gradients below 3, rounded to float32 (6e-8) at every step.
        np.testing.assert_allclose(flat(first), gradient, atol=2e-6)


def test_two_calls_continue_one_fit() -> None:
    sizes, data = SIZES[0], make_data(130, 35, epochs=2)
    whole, parts = make_layers(sizes), make_layers(sizes)
    moments = [zeros_like(whole) for _ in range(4)]
    options = {"minibatch": 64, "learning_rate": 1e-3}
    fit_value(whole, moments[0], moments[1], 0, **data, **options)
    for epoch in range(2):
        part = {**data, "order": data["order"][epoch : epoch + 1]}
        # Three steps an epoch: 64 + 64 + 2 samples.
        fit_value(parts, moments[2], moments[3], 3 * epoch, **part, **options)
    assert np.array_equal(flat(whole), flat(parts))
    assert np.array_equal(flat(moments[0]), flat(moments[2]))
    assert np.array_equal(flat(moments[1]), flat(moments[3]))


def test_the_fit_learns() -> None:
    layers = make_layers(SIZES[0])
    data = make_data(2000, 35, epochs=30)
    data["targets"] = np.tanh(data["x"][:, 0]) + 0.5 * data["x"][:, 1]
    losses = fit_value(
        layers, zeros_like(layers), zeros_like(layers), 0, **data, minibatch=64, learning_rate=1e-3
    )
    assert losses[-1] < 0.05 * losses[0]
    assert losses[-1] < 0.01


def test_a_nan_is_not_hidden() -> None:
    layers, data = make_layers(SIZES[0]), make_data(64, 35, epochs=1)
    data["targets"][5] = np.nan
    losses = fit_value(
        layers, zeros_like(layers), zeros_like(layers), 0, **data, minibatch=64, learning_rate=1e-3
    )
    assert np.isnan(losses).all()
    assert np.isnan(flat(layers)).all()


def test_losses_before_the_run() -> None:
    layers, data = make_layers([3, 1]), make_data(8, 3, epochs=1)
    moments = zeros_like(layers), zeros_like(layers)
    fit = make_fit(layers, *moments, 0, **data, minibatch=4, learning_rate=1e-3)
    with pytest.raises(RuntimeError, match="losses: the fit has not run"):
        _ = fit.losses


def bad(**change: Any) -> None:
    layers = change.pop("layers", make_layers([3, 4, 1]))
    arguments = {
        "layers": layers,
        "first": zeros_like(layers),
        "second": zeros_like(layers),
        "steps_done": 0,
        **make_data(8, 3, epochs=2),
        "minibatch": 4,
        "learning_rate": 1e-3,
        **change,
    }
    make_fit(**arguments)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layers": []}, "layers: expected at least one"),
        ({"layers": make_layers([3, 2])}, "layers: expected one output, got 2"),
        ({"layers": make_layers([3, 2]) + make_layers([4, 1])}, r"layers\[1\]: expected 2 inputs"),
        ({"first": []}, "first, second: expected one pair of moments for each of the 2 layers"),
        (
            {"second": zeros_like(make_layers([3, 5, 1]))},
            r"second\[0\] weight: expected \(out=4, in=3\) float32, got \(5, 3\) float32",
        ),
        ({"x": np.zeros((8, 4), np.float32)}, r"x: expected \(M=8, in=3\) float32, got \(8, 4\)"),
        ({"targets": np.zeros(7, np.float32)}, r"targets: expected \(M=8,\) float32, got \(7,\)"),
        ({"order": np.zeros((2, 7), np.int64)}, r"order: expected \(E, M=8\) int64, got \(2, 7\)"),
        ({"order": np.zeros((2, 8), np.int32)}, r"order: expected \(E, M=8\) int64, got .* int32"),
        ({"order": np.zeros((0, 8), np.int64)}, "order: expected a positive multiple of M=8"),
        ({"order": np.full((1, 8), 8)}, r"order: expected samples in \[0, 8\), got 8"),
        ({"order": np.full((1, 8), -1)}, r"order: expected samples in \[0, 8\), got -1"),
        ({"minibatch": 0}, "minibatch: expected at least 1, got 0"),
        ({"steps_done": -1}, "steps_done: expected at least 0, got -1"),
        ({"learning_rate": np.nan}, "learning_rate: expected a finite number >= 0, got nan"),
        ({"beta1": 1.0}, r"beta1: expected a number in \[0, 1\), got 1"),
        ({"beta2": -0.5}, r"beta2: expected a number in \[0, 1\), got -0.5"),
        ({"eps": -1.0}, "eps: expected a finite number >= 0, got -1"),
    ],
)  # fmt: skip
def test_bad_arguments(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match="^" + message):
        bad(**change)


def test_read_only_arrays_are_refused() -> None:
    layers = make_layers([3, 4, 1])
    layers[1][1].flags.writeable = False
    with pytest.raises(ValueError, match=r"^layers\[1\] bias: expected a writeable array"):
        bad(layers=layers)
