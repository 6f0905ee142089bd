"""The public names, and training from Python."""

from __future__ import annotations

import importlib
import pathlib
import subprocess
import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

import admrl_native as admrl
from admrl_native.configuration.config import make_config
from admrl_native.settings import SettingError
from admrl_native.store import folder as folders


def test_importing_the_package_loads_nothing_heavy() -> None:
    heavy = ("torch", "numpy", "mujoco", "gymnasium", "matplotlib", "rich", "yaml", "tensorboard")
    code = (
        "import sys, admrl_native; admrl_native.__version__;"
        f"loaded = [m for m in {heavy} if m in sys.modules]; assert not loaded, loaded;"
        "assert 'admrl_native._core' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_usage_error_is_found_before_torch_is_loaded(tmp_path: pathlib.Path) -> None:
    code = (
        "import sys; from admrl_native.cli import main;"
        "assert main(['train', '--n-tasks', '0']) == 2; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)


def test_every_public_name_is_there() -> None:
    assert set(admrl.__all__) <= set(dir(admrl))
    for name in admrl.__all__:
        assert getattr(admrl, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'fly'"):
        admrl.fly  # noqa: B018


def test_the_command_module_is_the_function_too(
    fake: ModuleType, tiny: dict[str, Any], tmp_path: pathlib.Path
) -> None:
    # Importing a submodule makes it an attribute of the package, in the place of the function.
    module = importlib.import_module("admrl_native.train")
    run = module("Hopper2D", out=tmp_path / "run", progress=False, **tiny)  # type: ignore[operator]
    assert isinstance(run, admrl.Run)


def test_train_adapt_evaluate(
    fake: ModuleType,
    tiny: dict[str, Any],
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = {}

    def evaluate(self: Any, policy: Any, psi: Any, *, episodes: int, seed: int) -> Any:
        asked.update(threads=self.environments.threads, policy=policy, psi=psi, seed=seed)
        return np.zeros(episodes, np.float32)

    monkeypatch.setattr(fake.MetaTrainer, "evaluate", evaluate, raising=False)
    family = admrl.make_family("Ant2D")
    trained = admrl.train(
        family, method="admrl", preset="quick", out=tmp_path / "run", seed=5, **tiny
    )
    assert "task 3/3" in capsys.readouterr().out
    run = admrl.Run.load(tmp_path / "run", threads=1)
    assert run.config.family.declaration() == family.declaration()
    assert run.config.family.model_path().is_relative_to(run.path)  # its own copy
    assert repr(trained).endswith("admrl on Ant2D, quick, seed 5)")
    # Outside Ψ, as the test tasks of Section 5.3.
    policy = run.adapt(psi=[5.0, -5.0], real_samples=2000)
    assert (policy.real_samples, policy.seed) == (2000, 5)
    assert torch.equal(policy.psi, torch.tensor([5.0, -5.0], dtype=torch.float64))
    returns = run.evaluate(policy, psi=[3.0, -3.0], episodes=7, seed=11)
    assert returns.shape == (7,)
    assert asked["policy"] is policy
    assert asked["psi"].tolist() == [3.0, -3.0]
    assert (asked["seed"], asked["threads"]) == (11, 1)


def test_a_run_in_progress_can_be_read_while_it_trains(
    fake: ModuleType, tiny: dict[str, Any], tmp_path: pathlib.Path
) -> None:
    fake.INTERRUPTION.at_call = 40
    with pytest.raises(KeyboardInterrupt):
        admrl.train(out=tmp_path / "run", progress=False, **tiny)
    before = {p: p.read_bytes() for p in (tmp_path / "run").rglob("*") if p.is_file()}
    run = admrl.Run.load(tmp_path / "run")
    assert [m["event"] for m in run.metrics()[:2]] == ["compute", "random-policy"]
    run.adapt([0.0, 1.5])
    assert {p: p.read_bytes() for p in (tmp_path / "run").rglob("*") if p.is_file()} == before


@pytest.mark.parametrize(
    ("psi", "problem"),
    [
        ([0.0], r"psi: expected K=2 numbers \(forward velocity, height\), got 1"),
        ([0.0, float("nan")], "psi: expected a finite height, got nan"),
    ],
)
def test_a_wrong_task_is_named(
    fake: ModuleType, tiny: dict[str, Any], tmp_path: pathlib.Path, psi: list[float], problem: str
) -> None:
    run = admrl.Run(tmp_path, make_config())
    with pytest.raises(SettingError, match=problem):
        run.adapt(psi)


def test_zero_shot_to_many_tasks(
    fake: ModuleType, tiny: dict[str, Any], tmp_path: pathlib.Path
) -> None:
    run = admrl.train(out=tmp_path / "run", progress=False, **tiny)
    policies = run.adapt_zero_shot([[5.0, -5.0], [0.0, 1.5]], seed=4)
    assert [p.psi.tolist() for p in policies] == [[5.0, -5.0], [0.0, 1.5]]
    assert {(p.real_samples, p.seed) for p in policies} == {(0, 4)}
    with pytest.raises(SettingError, match="psis: expected at least one task, got none"):
        run.adapt_zero_shot([])
    with pytest.raises(SettingError, match=r"psi: expected K=2 numbers"):
        run.adapt_zero_shot([[1.0, 1.5], [1.0]])


def test_a_run_that_has_not_begun_cannot_adapt(tmp_path: pathlib.Path) -> None:
    folder = folders.create(tmp_path / "run", make_config())
    with pytest.raises(SettingError, match=r"expected a checkpoint in .* found none yet"):
        admrl.Run.load(folder.path).adapt([0.0, 1.5])
