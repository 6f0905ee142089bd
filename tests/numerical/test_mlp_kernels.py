"""The native forward pass against torch, on every instruction set that this CPU has."""

from __future__ import annotations

import importlib.metadata
import itertools
import os
import subprocess
import sys

import numpy as np
import numpy.typing as npt
import pytest
import torch

from admrl_native._native import _core

F32 = npt.NDArray[np.float32]

ISAS: list[str] = _core.build_info()["isa_available"]
ACTIVATIONS = {"tanh": torch.tanh, "relu": torch.relu}

# Widths on both sides of every multiple of the vector lengths (4, 8, 16), and the networks in use.
SIZES = [
    [1, 1],
    [3, 2],
    [7, 5, 3],
    [4, 8, 16, 32],
    [35, 32, 32, 8],
    [18, 64, 64, 1],
    [9, 33, 17, 15],
]


def make_layers(sizes: list[int], seed: int = 0) -> list[tuple[F32, F32]]:
    g = np.random.default_rng(seed)
    return [
        (
            (g.standard_normal((n, m)) / np.sqrt(m)).astype(np.float32),
            g.standard_normal(n).astype(np.float32),
        )
        for m, n in itertools.pairwise(sizes)
    ]


def reference(layers: list[tuple[F32, F32]], activation: str, x: F32) -> npt.NDArray[np.float64]:
    """The same network in torch, float64."""
    y = torch.from_numpy(x).double()
    for i, (w, b) in enumerate(layers):
        y = y @ torch.from_numpy(w).double().T + torch.from_numpy(b).double()
        if i + 1 < len(layers):
            y = ACTIVATIONS[activation](y)
    return y.numpy()


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_forward_is_torchs(sizes: list[int], activation: str) -> None:
    x = np.random.default_rng(1).standard_normal((11, sizes[0])).astype(np.float32)
    layers = make_layers(sizes)
    out = _core.mlp_forward(layers, activation, x)
    assert out.dtype == np.float32
    # Sums of at most 64 terms of size 1 in float32 (6e-8 each), through at most three layers.
    np.testing.assert_allclose(out, reference(layers, activation, x), atol=2e-5)


def outputs() -> F32:
    """The outputs of every network of SIZES, in one row."""
    x = {m: np.random.default_rng(2).standard_normal((5, m)).astype(np.float32) for m in range(64)}
    return np.concatenate(
        [
            _core.mlp_forward(make_layers(sizes), activation, x[sizes[0]]).ravel()
            for sizes in SIZES
            for activation in ACTIVATIONS
        ]
    )


@pytest.mark.parametrize("isa", ISAS)
def test_every_instruction_set_agrees(isa: str) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import test_mlp_kernels as t;"
        "sys.stdout.buffer.write(t.outputs().tobytes())"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, os.path.dirname(__file__)],
        env={**os.environ, "ADMRL_ISA": isa},
        capture_output=True,
        check=True,
    )
    found, here = np.frombuffer(run.stdout, np.float32), outputs()
    # Fused or separate rounding of products, 6e-8 each, in sums of at most 64 terms of size 1.
    np.testing.assert_allclose(found, here, atol=2e-5)
    if isa == _core.build_info()["kernels"]:
        assert np.array_equal(found, here)


def build_info_on(isa: str) -> subprocess.CompletedProcess[str]:
    code = "from admrl_native._native import _core; print(_core.build_info()['kernels'])"
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "ADMRL_ISA": isa},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("isa", ISAS)
def test_an_instruction_set_can_be_forced(isa: str) -> None:
    assert build_info_on(isa).stdout.strip() == isa


def test_an_unknown_instruction_set_is_an_error() -> None:
    run = build_info_on("x86-64-v9")
    assert run.returncode != 0
    message = f"ValueError: ADMRL_ISA: expected one of {', '.join(ISAS)}, got 'x86-64-v9'"
    assert run.stderr.strip().splitlines()[-1] == message


def test_nan_and_infinity_pass_through() -> None:
    layers = [(np.eye(3, dtype=np.float32), np.zeros(3, np.float32))] * 2
    x = np.array([[np.nan, 1.0, -1.0]], np.float32)
    for activation in ACTIVATIONS:
        # A NaN reaches every output: 0 · NaN is NaN.
        assert np.isnan(_core.mlp_forward(layers, activation, x)).all()
    one = [(np.ones((1, 1), np.float32), np.zeros(1, np.float32))] * 2
    far = np.array([[np.inf], [-np.inf], [1e30]], np.float32)
    assert _core.mlp_forward(one, "tanh", far).ravel().tolist() == [1.0, -1.0, 1.0]
    assert _core.mlp_forward(one, "relu", far).ravel().tolist() == [np.inf, 0.0, np.float32(1e30)]


def test_samples_do_not_influence_one_another() -> None:
    layers = make_layers([35, 32, 32, 8])
    x = np.random.default_rng(3).standard_normal((6, 35)).astype(np.float32)
    together = _core.mlp_forward(layers, "tanh", x)
    alone = [_core.mlp_forward(layers, "tanh", row[None].copy())[0] for row in x]
    assert np.array_equal(together, np.stack(alone))


def test_the_weights_are_read_where_torch_keeps_them() -> None:
    linear = torch.nn.Linear(4, 3)
    layers = [(linear.weight.detach().numpy(), linear.bias.detach().numpy())]
    x = np.ones((1, 4), np.float32)
    before = _core.mlp_forward(layers, "tanh", x)
    with torch.no_grad():
        linear.bias += 1.0
    after = _core.mlp_forward(layers, "tanh", x)
    np.testing.assert_allclose(after - before, 1.0, atol=1e-6)  # float32 rounding of numbers near 1


def test_build_info() -> None:
    info = _core.build_info()
    assert set(info) == {
        *("version", "kernels", "isa_available", "bf16", "compiler"),
        *("mujoco", "mujoco_headers", "eigen", "cxx_standard"),
    }
    assert info["isa_available"][0] == "generic"
    assert info["kernels"] in info["isa_available"]
    assert info["bf16"] == info["kernels"].endswith("bf16")
    assert info["mujoco_headers"].startswith("4.0.")
    assert info["mujoco"] == importlib.metadata.version("mujoco-core")
    assert info["cxx_standard"] == "C++20"


@pytest.mark.parametrize(
    ("layers", "activation", "x", "message"),
    [
        ([], "tanh", np.zeros((1, 2), np.float32), "layers: expected at least one"),
        (
            make_layers([2, 3]) + make_layers([4, 1]),
            "tanh",
            np.zeros((1, 2), np.float32),
            r"layers\[1\]: expected 3 inputs \(the outputs of the layer before\), got 4",
        ),
        (
            make_layers([2, 3]),
            "tanh",
            np.zeros((1, 3), np.float32),
            r"x: expected \(M, in=2\) float32, got \(1, 3\) float32",
        ),
        (
            [(np.zeros((3, 2), np.float32), np.zeros(2, np.float32))],
            "tanh",
            np.zeros((1, 2), np.float32),
            r"layers\[0\] bias: expected \(out=3,\) float32, got \(2,\) float32",
        ),
        (
            [(np.zeros((3, 2)), np.zeros(3, np.float32))],
            "tanh",
            np.zeros((1, 2), np.float32),
            r"layers\[0\] weight: expected \(out, in\) float32, got \(3, 2\) float64",
        ),
        (
            [(np.zeros((0, 2), np.float32), np.zeros(0, np.float32))],
            "tanh",
            np.zeros((1, 2), np.float32),
            r"layers\[0\]: expected positive sizes, got 2 inputs and 0 outputs",
        ),
        (
            make_layers([2, 3]),
            "gelu",
            np.zeros((1, 2), np.float32),
            "activation: expected one of tanh, relu, got 'gelu'",
        ),
        (
            [(np.zeros((1, 2), np.float32),)],
            "tanh",
            np.zeros((1, 2), np.float32),
            r"layers\[0\]: exp",
        ),
    ],
)
def test_bad_arguments(
    layers: list[tuple[F32, F32]], activation: str, x: F32, message: str
) -> None:
    with pytest.raises(ValueError, match="^" + message):
        _core.mlp_forward(layers, activation, x)
