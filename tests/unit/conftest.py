"""The fake learner in place of the real one."""

from __future__ import annotations

import importlib.util
import pathlib
import sys
from types import ModuleType
from typing import Any

import pytest

FAKE = pathlib.Path(__file__).with_name("fake_trainer.py")

# As small as a run can be that has every part: three tasks, the second with a gradient.
TINY: dict[str, Any] = {
    "n_tasks": 3,
    "n_zeroshot": 2,
    "n_slbo": 2,
    "n_slbo_first": 2,
    "n_inner": 2,
}


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """`MetaTrainer` is the fake one; the module, to set its INTERRUPTION."""
    spec = importlib.util.spec_from_file_location("fake_trainer", FAKE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "fake_trainer", module)
    spec.loader.exec_module(module)
    monkeypatch.setitem(sys.modules, "admrl_native.algorithms.admrl.learner", module)
    monkeypatch.setattr("os.fsync", lambda _: None)  # no test cuts the power
    return module


@pytest.fixture
def tiny() -> dict[str, Any]:
    """Settings of a tiny run, by option name."""
    return dict(TINY)


@pytest.fixture
def fake_command() -> list[str]:
    """The real command line with the fake learner, as a subprocess."""
    flags = [part for k, v in TINY.items() for part in ("--" + k.replace("_", "-"), str(v))]
    return [sys.executable, str(FAKE), *flags]
