"""The door between the solvers, which know float64 arrays alone, and what a caller has."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import numpy as np
import numpy.typing as npt

from ._native import _core

if TYPE_CHECKING:
    import torch

Array = npt.NDArray[np.float64]
V = TypeVar("V", "npt.NDArray[np.float64]", "torch.Tensor")


@dataclasses.dataclass(frozen=True)
class NumpySystem(Generic[V]):
    """H x = b for the native core.

    Attributes:
        hvp: H x, (P,) float64, from x, (P,) float64.
        b: (P,) float64; the core checks it, and what hvp returns.
        restore: what an array of results is for the caller: of b's kind, type and device.
        rounding: relative spacing of b's type.
    """

    hvp: Callable[[Array], Array]
    b: Array
    restore: Callable[[Array], V]
    rounding: float


def numpy_system(hvp: Callable[[V], V], b: V) -> NumpySystem[V]:
    """H x = b in numpy, from a callback and a right-hand side in numpy or torch.

    Raises:
        ValueError: b is neither, or a tensor that is not (P,) floating.
    """
    system: Any
    torch_module = sys.modules.get("torch")  # a tensor cannot come before torch is imported
    if isinstance(b, np.ndarray):
        system = NumpySystem(cast(Any, hvp), b, lambda x: x, float(np.finfo(np.float64).eps))
    elif torch_module is not None and isinstance(b, torch_module.Tensor):
        system = _torch_system(cast(Any, hvp), b)
    else:
        raise ValueError(f"b: expected a numpy array or a torch tensor, got {type(b).__name__}")
    return cast("NumpySystem[V]", system)


def _torch_system(
    hvp: Callable[[torch.Tensor], torch.Tensor], b: torch.Tensor
) -> NumpySystem[torch.Tensor]:
    import torch

    if b.ndim != 1 or not b.is_floating_point():
        raise ValueError(f"b: expected (P,) floating, got {tuple(b.shape)} {b.dtype}")

    def as_tensor(x: Array) -> torch.Tensor:
        return torch.from_numpy(x).to(dtype=b.dtype, device=b.device)

    def as_array(x: torch.Tensor) -> Array:
        return np.ascontiguousarray(x.detach().to(device="cpu", dtype=torch.float64).numpy())

    def product(x: Array) -> Array:
        out = hvp(as_tensor(x))
        if not isinstance(out, torch.Tensor):
            raise _core.SolverError(f"hvp: expected a torch tensor, got {type(out).__name__}")
        return as_array(out)

    return NumpySystem(product, as_array(b), as_tensor, torch.finfo(b.dtype).eps)


def number(name: str, value: Any, kinds: tuple[type, ...]) -> Any:
    """A Python number of one of these kinds; numpy's scalars count as Python's.

    Raises:
        ValueError: it is none.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, kinds):
        raise ValueError(f"{name}: expected {kinds[-1].__name__}, got {value!r}")
    return value
