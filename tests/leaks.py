"""Memory and file descriptors over many rollouts, virtual rollouts, solves, trainings: flat.

    python tests/leaks.py --times 300

Each kind of work is done so often in one process, after a tenth of that to warm up. What is printed
is the growth of the resident memory between the medians of the first and the last fifth, and of the
number of open files.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import itertools
import os
import pathlib
import statistics
import sys
import tempfile
from collections.abc import Callable

import numpy as np

import admrl_native as admrl
from admrl_native._native import _core
from admrl_native.families.catalogue import make_family
from admrl_native.families.native import native_simulation, native_spec
from admrl_native.families.physics import PhysicsSettings
from toy import OPTIONS

FAMILY = make_family("Hopper2D")
D, A, K = FAMILY.obs_dim, FAMILY.act_dim, FAMILY.task_dim
_RNG = np.random.default_rng(0)


def _layers(*sizes: int) -> list[tuple[np.ndarray, np.ndarray]]:
    return [
        (_RNG.normal(size=(b, a)).astype(np.float32) / a, np.zeros(b, np.float32))
        for a, b in itertools.pairwise(sizes)
    ]


def rollouts() -> None:
    """A new simulation with two threads, a hundred environments, a hundred steps."""
    zeros, ones = np.zeros(D, np.float32), np.ones(D, np.float32)
    policy = _core.PolicyArrays(_layers(D, 32, A), np.zeros(A, np.float32), zeros, ones)
    simulation = native_simulation(FAMILY, PhysicsSettings(), 100, 2)
    simulation.rollout(policies=[policy], num_steps=100, seed=1, psi=np.zeros(K))


def virtual_rollouts() -> None:
    """A new pool and model; five tasks of a hundred environments, a hundred steps."""
    pool, bound = _core.ThreadPool(2), np.full(D, 100, np.float32)
    zeros, ones = np.zeros(D, np.float32), np.ones(D, np.float32)
    model = _core.VirtualModel(pool, _layers(D + A, 64, 64, D), -bound, bound)
    _core.virtual_rollouts(
        pool, model, native_spec(FAMILY),
        [_core.PolicyArrays(_layers(D, 32, A), np.zeros(A, np.float32), zeros, ones)] * 5,
        np.ones((5, K)), np.zeros((10, D), np.float32),
        [np.zeros((100, 100, A), np.float32)] * 5,
        [np.zeros((101, 100), np.int64)] * 5, horizon=50,
    )  # fmt: skip


def solves() -> None:
    """By each method, and one whose product fails."""
    h = _RNG.normal(size=(100, 100))
    h, b = h + h.T, _RNG.normal(size=100)
    for method in ("minres", "cgnr", "cg", "dense"):
        admrl.solve_symmetric(lambda x: h @ x, b, method)
    admrl.lanczos(lambda x: h @ x, b, [0.1, 1.0], max_iterations=50)
    with contextlib.suppress(admrl.SolverError):
        admrl.solve_symmetric(lambda x: x * np.nan, b)


def trainings() -> None:
    """A whole training of toy size, an adaptation and an evaluation of a task."""
    with tempfile.TemporaryDirectory() as folder:
        run = admrl.train(
            out=pathlib.Path(folder) / "run", threads=2, progress=False, **OPTIONS | {"n_tasks": 2}
        )
        run.evaluate(run.adapt([0.5, 1.4]), [0.5, 1.4], episodes=2)


KINDS = {f.__name__.replace("_", " "): f for f in (rollouts, virtual_rollouts, solves, trainings)}


def growth(work: Callable[[], None], times: int) -> tuple[float, int]:
    """Of memory, in bytes a time, and of open files, in all."""
    for _ in range(max(2, times // 10)):
        work()
    sizes, files = [], []
    page = os.sysconf("SC_PAGE_SIZE")
    for _ in range(times):
        work()
        gc.collect()
        resident = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
        sizes.append(resident * page)
        files.append(len(os.listdir("/proc/self/fd")))
    part = max(1, times // 5)
    grown = statistics.median(sizes[-part:]) - statistics.median(sizes[:part])
    return grown / (times - part), files[-1] - files[0]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=300)
    parser.add_argument("--only", nargs="*", default=list(KINDS), choices=list(KINDS))
    arguments = parser.parse_args()
    for kind in arguments.only:
        memory, files = growth(KINDS[kind], arguments.times)
        print(f"{arguments.times} {kind}: {memory / 1024:+.1f} KiB a time, {files:+d} files",
              flush=True)  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
