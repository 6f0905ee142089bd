"""The one place that imports the extension module: MuJoCo's library has to be loaded first."""

from __future__ import annotations

import importlib

from ._mujoco import load_mujoco


def _check_interpreter() -> None:
    """Python before 3.12 would wait for ever for its lock.

    Raises:
        ImportError: this is a subinterpreter.
    """
    for name in ("_interpreters", "_xxsubinterpreters"):
        try:
            interpreters = importlib.import_module(name)
        except ImportError:
            continue
        if interpreters.get_current() != interpreters.get_main():
            raise ImportError("admrl_native: expected the main interpreter, got a subinterpreter")
        return


_check_interpreter()
load_mujoco()

from . import _core  # noqa: E402

__all__ = ["_core"]
