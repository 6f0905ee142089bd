"""Adam's state as named tensors, so that a checkpoint needs no pickle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Arrays = list[tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]]
Layers = Sequence[tuple[Tensor, Tensor]]


def adam_tensors(optimiser: torch.optim.Adam) -> dict[str, Tensor]:
    """Adam's step counts and moments as flat names → tensors."""
    state = optimiser.state_dict()["state"]
    return {f"{i}.{k}": v.clone() for i, entry in state.items() for k, v in entry.items()}


def load_adam_tensors(optimiser: torch.optim.Adam, tensors: Mapping[str, Tensor]) -> None:
    """The inverse of `adam_tensors`."""
    entries: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, key = name.split(".")
        entries.setdefault(int(index), {})[key] = tensor.clone()
    optimiser.load_state_dict({**optimiser.state_dict(), "state": entries})


def make_moments(optimiser: torch.optim.Adam) -> None:
    """Makes the state that the first step would make, for those who read it before."""
    for group in optimiser.param_groups:
        for p in group["params"]:
            device = p.device if group["fused"] or group["capturable"] else torch.device("cpu")
            optimiser.state[p] = {
                "step": torch.zeros((), device=device),
                "exp_avg": torch.zeros_like(p),
                "exp_avg_sq": torch.zeros_like(p),
            }


def moment_arrays(optimiser: torch.optim.Adam, layers: Layers) -> tuple[Arrays, Arrays]:
    """Views of both moments of a network on the CPU, (weight, bias) of each layer."""
    state = optimiser.state
    first, second = (
        [(state[w][name].numpy(), state[b][name].numpy()) for w, b in layers]
        for name in ("exp_avg", "exp_avg_sq")
    )
    return first, second


def steps_done(optimiser: torch.optim.Adam) -> int:
    """Steps behind the moments."""
    return int(next(iter(optimiser.state.values()))["step"].item())


def add_steps(optimiser: torch.optim.Adam, steps: int) -> None:
    """Counts steps that were taken elsewhere."""
    for entry in optimiser.state.values():
        entry["step"] += steps
