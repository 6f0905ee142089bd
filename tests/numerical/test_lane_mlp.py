"""The network on many samples at once against torch in float64."""

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

# Widths on both sides of a panel (8, 16 or 32), and the value networks in use.
SIZES = [[1, 1], [3, 2], [18, 64, 64, 1], [35, 64, 64, 1], [9, 33, 17, 15, 7]]
ROWS = [0, 1, 31, 33, 1000]  # less than a panel, one more than one, several pieces


def make_layers(sizes: list[int]) -> Layers:
    g = np.random.default_rng(0)
    return [
        (
            (g.standard_normal((n, m)) / np.sqrt(m)).astype(np.float32),
            (0.1 * g.standard_normal(n)).astype(np.float32),
        )
        for m, n in itertools.pairwise(sizes)
    ]


def make_inputs(rows: int, in_dim: int) -> dict[str, F32]:
    g = np.random.default_rng(1)
    mean = g.standard_normal(in_dim)
    std = np.exp(g.standard_normal(in_dim))
    x = mean + std * g.standard_normal((rows, in_dim))
    return {k: v.astype(np.float32) for k, v in {"mean": mean, "std": std, "x": x}.items()}


def forward(layers: Layers, inputs: dict[str, F32], threads: int = 1) -> F32:
    return _core.mlp_forward_rows(_core.ThreadPool(threads), layers, **inputs)


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_forward_is_torchs(sizes: list[int], rows: int) -> None:
    layers, inputs = make_layers(sizes), make_inputs(rows, sizes[0])
    x, mean, std = (torch.from_numpy(inputs[k]).double() for k in ("x", "mean", "std"))
    y = (x - mean) / std
    for i, (w, b) in enumerate(layers):
        y = torch.nn.functional.linear(y, *(torch.from_numpy(p).double() for p in (w, b)))
        y = torch.tanh(y) if i + 1 < len(layers) else y
    # A few roundings to float32 (6e-8) of numbers of size 1 in each layer.
    np.testing.assert_allclose(forward(layers, inputs), y.numpy(), rtol=0, atol=3e-6)


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_bits_depend_neither_on_threads_nor_on_other_rows(sizes: list[int]) -> None:
    layers, inputs = make_layers(sizes), make_inputs(1000, sizes[0])
    together = forward(layers, inputs)
    assert np.array_equal(forward(layers, inputs, threads=3), together)
    some = {**inputs, "x": inputs["x"][300:317].copy()}
    assert np.array_equal(forward(layers, some), together[300:317])


def test_a_nan_stays_in_its_row() -> None:
    layers, inputs = make_layers(SIZES[2]), make_inputs(100, 18)
    inputs["x"][40, 3] = np.nan
    assert np.flatnonzero(np.isnan(forward(layers, inputs))).tolist() == [40]


def full(*shape: int) -> F32:
    return np.ones(shape, np.float32)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layers": []}, "layers: expected at least one"),
        ({"layers": [full(3, 5)]}, r"layers\[0\]: expected \(weight, bias\)"),
        ({"layers": [(full(7, 5), full(7)), (full(3, 6), full(3))]},
         r"layers\[1\]: expected 7 inputs \(the outputs of the layer before\), got 6"),
        ({"layers": [(full(3, 5), full(2))]}, r"layers\[0\] bias: expected \(out=3,\) float32"),
        ({"mean": full(4)}, r"mean: expected \(in=5,\) float32, got \(4,\)"),
        ({"std": full(6)}, r"std: expected \(in=5,\) float32, got \(6,\)"),
        ({"x": full(8, 4)}, r"x: expected \(M, in=5\) float32, got \(8, 4\)"),
        ({"x": np.ones((8, 5))}, r"x: expected \(M, in=5\) float32, got \(8, 5\) float64"),
    ],
)  # fmt: skip
def test_bad_arguments(change: dict[str, Any], message: str) -> None:
    arguments = {"layers": make_layers([5, 3]), **make_inputs(8, 5), **change}
    with pytest.raises(ValueError, match="^" + message):
        _core.mlp_forward_rows(_core.ThreadPool(1), **arguments)
