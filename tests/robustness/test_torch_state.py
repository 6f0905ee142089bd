"""What a caller has set of torch's process-wide state changes no number and stays."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

import admrl_native as admrl
from model_free import tiny_options
from toy import OPTIONS


@contextlib.contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
        assert torch.get_default_dtype() == dtype
    finally:
        torch.set_default_dtype(before)


@contextlib.contextmanager
def default_device() -> Iterator[None]:
    torch.set_default_device("meta")
    try:
        yield
        assert torch.get_default_device().type == "meta"
    finally:
        torch.set_default_device(None)


STATES: dict[str, Callable[[], Any]] = {
    "float64": lambda: default_dtype(torch.float64),
    "bfloat16": lambda: default_dtype(torch.bfloat16),
    "device": default_device,
    "device of a block": lambda: torch.device("meta"),
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "no gradients": torch.no_grad,
    "inference": torch.inference_mode,
}


def numbers(method: str, out: pathlib.Path) -> list[Any]:
    """Of a training, an adaptation and an evaluation."""
    options = OPTIONS if method == "admrl" else tiny_options(method)
    run = admrl.train(method=method, out=out, threads=1, progress=False, **options)
    policies = [run.adapt([0.5, 1.4]), *run.adapt_zero_shot([[1.0, 1.2]])]
    returns = [run.evaluate(p, [0.5, 1.4], episodes=2).tolist() for p in policies]
    records = [{k: v for k, v in r.items() if k != "wall_seconds"} for r in run.metrics()]
    path = admrl.evaluate_run(
        run, "own", psis=[[0.5, 1.4]], episodes=2, oracle=None, progress=False
    )
    evaluation = path.read_text().split('"seconds"')[0]
    return [records, returns, evaluation]


@pytest.fixture(scope="module", params=["admrl", "mt-joint", "maml", "pearl"])
def plain(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, list[Any]]:
    return request.param, numbers(request.param, tmp_path_factory.mktemp("runs") / "run")


@pytest.mark.parametrize("state", STATES)
def test_a_caller_s_state_changes_nothing(
    state: str, plain: tuple[str, list[Any]], tmp_path: pathlib.Path
) -> None:
    method, expected = plain
    with STATES[state]():
        got = numbers(method, tmp_path / "run")
    assert got == expected
