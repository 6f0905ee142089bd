"""What ends a command in one line, beside a setting that cannot be taken."""

from __future__ import annotations

import sys

from .settings import SettingError

_MEMORY = "expected enough memory, got no more; ask for less at once"


class NumericalError(ArithmeticError):
    """Numbers that nothing can go on with: a run that diverged, a simulation that failed."""


def reason(error: Exception) -> str:
    """Why something could not be shown, in one line."""
    text = error.problem if isinstance(error, SettingError) else str(error)
    return " ".join(text.split()) or type(error).__name__


def in_one_line(error: Exception) -> Exception | None:
    """What to tell of an error whose one line says all, as an exception that can be pickled.

    Args:
        error: any.

    Returns:
        A SettingError, NumericalError, MemoryError or OSError; None: only its traceback tells.
    """
    if isinstance(error, MemoryError):
        return MemoryError(_MEMORY)
    if isinstance(error, (SettingError, NumericalError, OSError)):
        return error
    if isinstance(error, numerical_failures()):
        return NumericalError(" ".join(str(error).split()))
    text = str(error)
    if isinstance(error, RuntimeError):
        if "allocate memory" in text or "out of memory" in text:  # torch, which has no type for it
            return MemoryError(_MEMORY)
        if "start new thread" in text or "temporarily unavailable" in text:  # Python, libstdc++
            return SettingError("threads", "expected threads that this system gives, it refuses")
    return None


def numerical_failures() -> tuple[type[Exception], ...]:
    """What the native core, if it is loaded, raises where numbers leave nothing to go on with."""
    core = sys.modules.get("admrl_native._core")
    names = ("SolverError", "SimulationError", "NotFiniteError")
    return () if core is None else tuple(getattr(core, name) for name in names)
