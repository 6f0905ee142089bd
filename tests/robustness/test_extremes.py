"""Settings that are accepted and too large for any numbers: a result, or one line that says why."""

from __future__ import annotations

import pathlib
from typing import Any

import pytest
import safetensors.torch
import torch

from admrl_native import cli
from admrl_native.algorithms.methods import METHODS
from admrl_native.configuration.options import options
from model_free import tiny_options
from toy import OPTIONS

EXTREMES: dict[str, Any] = {
    "value_learning_rate": 1e30,
    "dynamics_learning_rate": 1e30,
    "max_kl": 1e30,
    "initial_log_std": 80.0,
    "entropy_coefficient": 1e30,
    "step_size": 1e300,
    "maml_inner_step_size": 1e30,
    "maml_max_kl": 1e30,
    "sac_learning_rate": 1e30,
    "sac_reward_scale": 1e30,
    "reset_velocity_noise": 1e6,
    "ou_sigma": 1e30,
}


@pytest.mark.parametrize("method", METHODS)
def test_extreme_settings_end_in_one_line(
    method: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny = OPTIONS if METHODS[method].model_based else tiny_options(method)
    ends = []
    for name, value in EXTREMES.items():
        option = options()[name]
        if not METHODS[method].reads(option.group, option.field):
            continue
        words = ["train", "--method", method, "--out", str(tmp_path / name), "--threads", "1"]
        for key, given in {**tiny, name: value}.items():
            values = given if isinstance(given, tuple) else (given,)
            if METHODS[method].reads(options()[key].group, options()[key].field):
                words += ["--" + key.replace("_", "-"), *map(str, values)]
        status = cli.main(words)
        error = capsys.readouterr().err
        assert (status, error.count("\n")) in ((0, 0), (1, 1), (2, 1)), (name, error)
        ends.append(status)
        for file in (tmp_path / name).rglob("*.safetensors"):
            tensors = safetensors.torch.load_file(file)
            assert all(torch.isfinite(t).all() for t in tensors.values()), (name, file)
    assert len(ends) >= 3
