"""Does virtual training collapse when another process holds a core?

An inner iteration with and without a process that computes without end on the first core, ours and
plain torch with as many threads as there are cores. Half of one of two cores lost leaves three
quarters of the speed.

    python benchmarks/busy_core.py --family Ant2D --json FILE
"""

from __future__ import annotations

import functools
import multiprocessing
import os

import torch

import common
from admrl_native.families.catalogue import FAMILIES
from admrl_native.training.compute import Compute
from admrl_native.training.native_compute import NativeCompute
from admrl_native.training.torch_compute import TorchCompute
from common import Contender
from first_stage import FirstStage


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--family", choices=FAMILIES, default="Ant2D")
    parser.add_argument("--preset", choices=("quick", "small", "paper"), default="paper")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    arguments = parser.parse_args()
    preset = "quick" if arguments.quick else arguments.preset
    repeats = arguments.repeats or (2 if arguments.quick else 5)
    about = common.machine(["admrl-native", "torch"])
    print(f"{arguments.family}, preset {preset}, {arguments.threads} threads, {about}\n")

    stage = FirstStage.begin(arguments.family, preset, arguments.threads)
    family = stage.environments.family
    ways: list[tuple[str, Compute, int]] = [
        ("ours", NativeCompute(family, arguments.threads, "fp32"), 1),
        ("torch", TorchCompute(family, torch.device("cpu"), "fp32"), arguments.threads),
        ("torch, 1 thread", TorchCompute(family, torch.device("cpu"), "fp32"), 1),
    ]
    timings = {}
    for busy in (False, True):
        with _Busy(busy):
            contenders = [
                Contender(
                    name,
                    1,
                    functools.partial(stage.inner_iteration, 0, compute),
                    functools.partial(torch.set_num_threads, threads),
                )
                for name, compute, threads in ways
            ]
            timings[busy] = common.interleave(contenders, repeats)
    rows = []
    for name, _, _ in ways:
        quiet, busy_seconds = (1 / timings[b][name].median for b in (False, True))
        rows.append([name, f"{quiet:.2f}", f"{busy_seconds:.2f}", f"{quiet / busy_seconds:.2f}"])
    print(common.table(["", "seconds", "one core busy", "speed left"], rows))
    if arguments.json:
        common.write_json(
            arguments.json,
            {
                "benchmark": "busy_core",
                "family": arguments.family,
                "preset": preset,
                "threads": arguments.threads,
                "machine": about,
                "quiet": timings[False],
                "busy": timings[True],
            },
        )


class _Busy:
    """While it is entered, a process that computes without end on the first core."""

    def __init__(self, wanted: bool) -> None:
        self._wanted = wanted

    def __enter__(self) -> None:
        if self._wanted:
            context = multiprocessing.get_context("spawn")
            self._process = context.Process(target=_compute_on_the_first_core, daemon=True)
            self._process.start()

    def __exit__(self, *_: object) -> None:
        if self._wanted:
            self._process.kill()
            self._process.join()


def _compute_on_the_first_core() -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    while True:
        pass


if __name__ == "__main__":
    main()
