"""Adam's state as named tensors, so that a checkpoint needs no pickle."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def adam_tensors(optimiser: torch.optim.Adam) -> dict[str, Tensor]:
    """Adam's step counts and moments as flat names → tensors; empty before the first step."""
    state = optimiser.state_dict()["state"]
    return {f"{i}.{k}": v.clone() for i, entry in state.items() for k, v in entry.items()}


def load_adam_tensors(optimiser: torch.optim.Adam, tensors: Mapping[str, Tensor]) -> None:
    """The inverse of `adam_tensors`."""
    entries: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, key = name.split(".")
        entries.setdefault(int(index), {})[key] = tensor.clone()
    optimiser.load_state_dict({**optimiser.state_dict(), "state": entries})
