"""Products of operands rounded to bfloat16, summed in float32: what the precision bf16 means.

The native core does this by the processor's own bfloat16 instructions; here it is plain torch, the
same on any machine and slower than float32.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def rounded(x: Tensor) -> Tensor:
    """x to the nearest bfloat16, in its own type."""
    return x.to(torch.bfloat16).to(x.dtype)


def rounded_linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x Wᵀ + b (M, out) of x (M, in); this product and both of its derivative are rounded."""
    y: Tensor = _RoundedLinear.apply(x, weight, bias)  # type: ignore[no-untyped-call]
    return y


class _RoundedLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return torch.addmm(bias, rounded(x), rounded(weight).T)

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        delta = rounded(outputs[0])
        return delta @ rounded(weight), delta.T @ rounded(x), delta.sum(0)
