"""The one place that imports the extension module: MuJoCo's library has to be loaded first."""

from __future__ import annotations

from ._mujoco import load_mujoco

load_mujoco()

from . import _core  # noqa: E402

__all__ = ["_core"]
