"""How fast are the large products of the dynamics model alone, by every kernel at hand?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from admrl_native import build_info
from admrl_native._native import _core
from common import Contender, Section, interleave

LAYERS = ((43, 1000), (1000, 1000), (1000, 35))  # Ant2D
BATCHES = (50, 256, 10_000)  # one step of a rollout, one minibatch of the model's fit, no limit

OURS, LIBRARY, PACKED = "ours", "torch linear", "oneDNN, weights packed"
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def product_rates(threads: int, precisions: list[str], repeats: int) -> Section:
    """GFLOP/s of the three products of a prediction; `best_flops` in its figures is the limit.

    Ours predicts in slices of its register tile that the threads share, as a rollout does. oneDNN
    with packed weights is what torch's compiler calls; it is no public function of torch.
    """
    contenders = {
        (precision, batch, name): Contender(
            f"{precision} {batch} {name}", repetitions(batch) * flops(batch), run, prepare
        )
        for precision in precisions
        for batch in BATCHES
        for name, run, prepare in kernels(precision, batch, threads)
    }
    timings = interleave(list(contenders.values()), repeats, warmup=2)
    rates = {key: timings[c.name].median for key, c in contenders.items()}
    names = (OURS, PACKED, LIBRARY)
    rows = [
        [f"{precision}, batch {batch}"]
        + [
            f"{rates[precision, batch, name] / 1e9:.0f}"
            if (precision, batch, name) in rates
            else "-"
            for name in names
        ]
        for precision in precisions
        for batch in BATCHES
    ]
    best = {
        p: max(rate for (precision, _, _), rate in rates.items() if precision == p)
        for p in precisions
    }
    limits = ", ".join(f"{p} {rate / 1e9:.0f}" for p, rate in best.items())
    return Section(
        "The large products alone, GFLOP/s",
        ["precision", *names],
        rows,
        {
            "best_flops": best,
            "timings": {c.name: timings[c.name] for c in contenders.values()},
        },
        [f"The limit from here on: {limits}, GFLOP/s."],
    )


def kernels(
    precision: str, batch: int, threads: int
) -> list[tuple[str, Callable[[], object], Callable[[], object]]]:
    """(name, the products of `repetitions(batch)` predictions, what to do before it) of each."""
    generator = torch.Generator().manual_seed(0)
    layers = [(torch.randn(n, m, generator=generator) / m**0.5, torch.zeros(n)) for m, n in LAYERS]
    states = torch.randn(batch, LAYERS[-1][1], generator=generator)
    actions = torch.randn(batch, LAYERS[0][0] - LAYERS[-1][1], generator=generator)
    count = repetitions(batch)

    def threads_of(n: int) -> Callable[[], object]:
        return lambda: torch.set_num_threads(n)

    def repeated(once: Callable[[], object]) -> Callable[[], object]:
        def run() -> None:
            for _ in range(count):
                once()

        return run

    # One call for all repetitions: a rollout, too, goes on to the next step by itself.
    pool = _core.ThreadPool(threads)
    arrays = [(w.numpy(), b.numpy()) for w, b in layers]
    bound = np.full(LAYERS[-1][1], 1e9, np.float32)
    model = _core.VirtualModel(pool, arrays, -bound, bound, precision=precision)
    many_states = states.repeat(count, 1).numpy()
    many_actions = actions.repeat(count, 1).numpy()
    found: list[tuple[str, Callable[[], object], Callable[[], object]]] = [
        (OURS, lambda: model.predict(pool, many_states, many_actions), threads_of(1))
    ]

    dtype = _DTYPES[precision]
    converted = [(w.to(dtype), b.to(dtype)) for w, b in layers]
    x0 = torch.cat([states, actions], 1).to(dtype)

    def chain(product: Callable[[int, Tensor], Tensor]) -> Callable[[], object]:
        def once() -> Tensor:
            x = x0
            for i in range(len(converted)):
                x = product(i, x)
            return x

        return repeated(torch.no_grad()(once))

    def linear(i: int, x: Tensor) -> Tensor:
        y = torch.nn.functional.linear(x, *converted[i])
        return y.relu_() if i + 1 < len(converted) else y

    found.append((LIBRARY, chain(linear), threads_of(threads)))
    try:
        ops: Any = torch.ops.mkldnn
        packed = [ops._reorder_linear_weight(w, batch) for w, _ in converted]
    except (AttributeError, RuntimeError):  # another build of torch
        return found

    def pointwise(i: int, x: Tensor) -> Tensor:
        after = "relu" if i + 1 < len(converted) else "none"
        y: Tensor = ops._linear_pointwise(x, packed[i], converted[i][1], after, [], "")
        return y

    found.append((PACKED, chain(pointwise), threads_of(threads)))
    return found


def repetitions(batch: int) -> int:
    """Predictions of one call, so that it lasts some milliseconds."""
    return max(1, 5_000 // batch)


def flops(rows: int) -> int:
    """Floating-point operations of the products of `rows` predictions."""
    return 2 * rows * sum(m * n for m, n in LAYERS)


if __name__ == "__main__":
    available = ["fp32", *(["bf16"] if build_info()["bf16"] else [])]
    product_rates(2, available, 9).show()
