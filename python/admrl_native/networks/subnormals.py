"""Numbers too small for all their bits (float32 below 1.2e-38), in torch on the CPU."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def flush_subnormals() -> Iterator[None]:
    """Within, the calling thread reads them as 0 and gives 0 for those that it would get.

    Weight decay carries the weights of a dead unit there, and Adam its moments; Intel's processors
    then take some hundred cycles for each multiplication. What the thread did before is restored.
    Also a decorator. Native code does the same (`core/subnormals.hpp`).
    """
    flushed = (torch.tensor(torch.finfo(torch.float32).tiny) / 2).item() == 0
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(flushed)
