"""torch's process-wide state: what a caller has set decides nothing in here."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def own_torch_state() -> Iterator[None]:
    """Inside, and as a decorator: float32 on the CPU by default, gradients, no autocast.

    A default dtype is set for all threads, and set back at the end.
    """
    import torch

    dtype = torch.get_default_dtype()
    with contextlib.ExitStack() as stack:
        stack.callback(torch.set_default_dtype, dtype)
        torch.set_default_dtype(torch.float32)
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        for kind in ("cpu", "cuda"):
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        if torch.get_default_device().type != "cpu":  # only then: it slows every call of torch
            stack.enter_context(torch.device("cpu"))
        yield
