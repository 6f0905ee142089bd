"""Model-based adversarial meta-reinforcement learning, with a C++ core, on MuJoCo.

The public names are loaded when first used: `import admrl_native` itself loads neither torch, nor
numpy, nor MuJoCo, of which it only checks that there is one of the right version.
"""

from __future__ import annotations

import importlib
import operator
from typing import TYPE_CHECKING, Any

from ._mujoco import find_library

find_library()  # refuses a missing or unsuitable MuJoCo now, not in the middle of something

if TYPE_CHECKING:
    from ._core import NotFiniteError, SimulationError, SolverError, build_info
    from .activities.checking import check_task_gradient
    from .activities.evaluating.run import evaluate_run
    from .activities.runs import Run
    from .api import resume, train
    from .errors import NumericalError
    from .evaluation.gradient_check import GradientCheck
    from .families.catalogue import FAMILIES, make_family
    from .families.declaration import Family
    from .krylov import LanczosResult, SolveResult, lanczos, solve_symmetric

    __version__: str

# Public name -> the module it lives in, and its name there.
_PUBLIC = {
    "FAMILIES": (".families.catalogue", "FAMILIES"),
    "Family": (".families.declaration", "Family"),
    "NotFiniteError": ("._native", "_core.NotFiniteError"),
    "NumericalError": (".errors", "NumericalError"),
    "GradientCheck": (".evaluation.gradient_check", "GradientCheck"),
    "LanczosResult": (".krylov", "LanczosResult"),
    "Run": (".activities.runs", "Run"),
    "SimulationError": ("._native", "_core.SimulationError"),
    "SolveResult": (".krylov", "SolveResult"),
    "SolverError": ("._native", "_core.SolverError"),
    "build_info": ("._native", "_core.build_info"),
    "check_task_gradient": (".activities.checking", "check_task_gradient"),
    "evaluate_run": (".activities.evaluating.run", "evaluate_run"),
    "lanczos": (".krylov", "lanczos"),
    "make_family": (".families.catalogue", "make_family"),
    "resume": (".api", "resume"),
    "solve_symmetric": (".krylov", "solve_symmetric"),
    "train": (".api", "train"),
}

__all__ = [
    "FAMILIES",
    "Family",
    "GradientCheck",
    "LanczosResult",
    "NotFiniteError",
    "NumericalError",
    "Run",
    "SimulationError",
    "SolveResult",
    "SolverError",
    "__version__",
    "build_info",
    "check_task_gradient",
    "evaluate_run",
    "lanczos",
    "make_family",
    "resume",
    "solve_symmetric",
    "train",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("admrl-native")
    elif name in _PUBLIC:
        module, path = _PUBLIC[name]
        value = operator.attrgetter(path)(importlib.import_module(module, __name__))
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
