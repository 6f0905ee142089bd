"""How long do the first tasks of a paper-scale run really take, and how much memory?

Trains with the preset `paper` as a user would, in a process of its own, and watches it.

    python benchmarks/paper_tasks.py --family Ant2D --tasks 3 --precision bf16 --json FILE
"""

from __future__ import annotations

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import common
from admrl_native.configuration.presets import preset
from admrl_native.families.catalogue import FAMILIES

MOST_BYTES = 2 << 30
MOST_HOURS = 2.0
_SECONDS = 2.0  # between two looks at the process


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--family", choices=FAMILIES, default="Ant2D")
    parser.add_argument("--tasks", type=int, default=3)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--preset", choices=("quick", "paper"), default="paper")
    parser.add_argument(
        "--out", type=pathlib.Path, help="where the run goes (default: thrown away)"
    )
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE")
    arguments = parser.parse_args()
    about = common.machine(["admrl-native", "torch", "mujoco-core", "numpy"])
    with tempfile.TemporaryDirectory() as temporary:
        out = arguments.out or pathlib.Path(temporary) / "run"
        memory = watch(command(arguments, out), out)
        records = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    ends = [r["wall_seconds"] for r in records if r["event"] == "task"]
    seconds = [end - begin for begin, end in zip([0.0, *ends], ends, strict=False)]
    schedule = preset(arguments.preset, arguments.family).schedule
    iterations = [
        schedule.n_slbo_first * schedule.n_inner,
        *[schedule.n_zeroshot + schedule.n_slbo * schedule.n_inner] * (len(ends) - 1),
    ]
    resident = [peak(memory, begin, end) for begin, end in zip([0.0, *ends], ends, strict=False)]
    rows = [
        [str(i + 1), str(n), f"{s / 60:.1f}", f"{s / n:.2f}", f"{m / 2**20:.0f}"]
        for i, (n, s, m) in enumerate(zip(iterations, seconds, resident, strict=True))
    ]
    print(f"{arguments.family}, preset {arguments.preset}, {arguments.precision}, {about}\n")
    header = ["task", "inner iterations", "minutes", "seconds an iteration", "most memory, MiB"]
    print(common.table(header, rows))
    later = seconds[1:] or seconds
    hours = (seconds[0] + (schedule.n_tasks - 1) * sum(later) / len(later)) / 3600
    growth = resident[-1] / resident[1] if len(resident) > 2 else 1.0
    verdicts = [
        common.Verdict("most memory, GiB", max(resident) / 2**30, at_most=MOST_BYTES / 2**30),
        common.Verdict("most memory of the last task ÷ of the second", growth, at_most=1.05),
        common.Verdict(f"{schedule.n_tasks} tasks, projected hours", hours, at_most=MOST_HOURS),
    ]
    print(
        "\n"
        + common.table(["requirement", "measured", "asked for", ""], [v.cells() for v in verdicts])
    )
    if arguments.json:
        common.write_json(
            arguments.json,
            {
                "benchmark": "paper_tasks",
                "family": arguments.family,
                "preset": arguments.preset,
                "precision": arguments.precision,
                "seed": arguments.seed,
                "machine": about,
                "inner_iterations": iterations,
                "task_seconds": seconds,
                "task_peak_bytes": resident,
                "returns": [r["returns"] for r in records if r["event"] == "task"],
                "projected_hours": hours,
                "verdicts": verdicts,
            },
        )


def command(arguments: Any, out: pathlib.Path) -> list[str]:
    """The run as a user starts it."""
    options = {
        "--family": arguments.family,
        "--preset": arguments.preset,
        "--n-tasks": arguments.tasks,
        "--precision": arguments.precision,
        "--seed": arguments.seed,
        "--out": out,
    }
    flat = [str(part) for option in options.items() for part in option]
    return [sys.executable, "-m", "admrl_native.train", *flat]


def watch(run: Sequence[str], out: pathlib.Path) -> list[tuple[float, int]]:
    """Runs it; (seconds since it began to train, resident bytes) as often as looked at."""
    seen: list[tuple[float, int]] = []
    process = subprocess.Popen(run)
    try:
        while not (out / "metrics.jsonl").exists() and process.poll() is None:
            time.sleep(0.05)
        began = time.perf_counter()
        while process.poll() is None:
            status = pathlib.Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
            kib = [line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")]
            seen += [(time.perf_counter() - began, int(k) * 1024) for k in kib]
            time.sleep(_SECONDS)
    finally:
        process.kill()
        process.wait()
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(run)}: ended with {process.returncode}")
    return seen


def peak(memory: Sequence[tuple[float, int]], begin: float, end: float) -> int:
    """The most resident bytes in a span of time."""
    return max(size for seconds, size in memory if begin <= seconds <= end + _SECONDS)


if __name__ == "__main__":
    main()
