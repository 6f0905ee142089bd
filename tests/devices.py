"""The devices that a test of the torch side runs on, and the ways that virtual training has."""

import pytest
import torch

_CUDA = pytest.param(
    "cuda",
    marks=[
        pytest.mark.gpu,
        pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
    ],
)
DEVICES = ["cpu", _CUDA]
WAYS = ["native", "torch", _CUDA]


def generators(device: str, seeds: range) -> list[torch.Generator]:
    """One for each seed."""
    return [torch.Generator(device).manual_seed(seed) for seed in seeds]
