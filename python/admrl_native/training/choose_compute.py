"""Which way of computing a run takes."""

from __future__ import annotations

import torch

from .._native import _core
from ..families.declaration import Family
from ..settings import SettingError
from .compute import Compute
from .native_compute import NativeCompute
from .settings import ComputeSettings
from .torch_compute import TorchCompute


def choose_compute(
    settings: ComputeSettings, family: Family, device: torch.device, num_threads: int
) -> Compute:
    """What the settings ask for; "auto" is native on the CPU and torch elsewhere.

    Raises:
        SettingError: native on another device than the CPU, or native bf16 on a processor
            without it. Nothing falls back on its own.
    """
    native = device.type == "cpu" if settings.compute == "auto" else settings.compute == "native"
    if not native:
        return TorchCompute(family, device, settings.precision)
    if device.type != "cpu":
        raise SettingError(
            "compute", f"expected torch or auto on the device {device.type}, got native"
        )
    if settings.precision == "bf16" and not _core.build_info()["bf16"]:
        raise SettingError(
            "precision",
            "expected fp32: bf16 needs a processor with AVX-512 BF16, and this process uses the "
            f"kernels {_core.build_info()['kernels']}",
        )
    return NativeCompute(family, num_threads, settings.precision)
