"""The tables of docs/results.md from the report.json that `admrl report` writes.

    python benchmarks/results_tables.py REPORT/report.json [--pairs]

For each family and test set: returns by n beside what they cost, gaps and returns by method and n,
who is ahead of the first method; for each family what each method cost. Figures in brackets are
95 % intervals.
"""

from __future__ import annotations

import argparse
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

GAPS = {"max": "worst task", "cvar25": "worst 25 %", "mean": "mean gap"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("report", type=pathlib.Path)
    parser.add_argument(
        "--pairs", action="store_true", help="differences of all pairs, not only with the first"
    )
    arguments = parser.parse_args()
    for family in json.loads(arguments.report.read_text())["families"]:
        for grid in family["grids"]:
            about = f"{grid['tasks']} tasks, 2 × {grid['episodes']} episodes each"
            print(f"**{family['name']}**, {grid['title']}, {about}:\n")
            print(markdown(*returns(family, grid)))
            print(markdown(*methods(grid)))
            print(markdown(*differences(grid, all_pairs=arguments.pairs)))
        print(f"**{family['name']}**, what it cost:\n")
        print(markdown(*costs(family)))


def returns(
    family: Mapping[str, Any], grid: Mapping[str, Any]
) -> tuple[list[str], list[list[str]]]:
    """A row for each method: what its training took, and its mean return for each n."""
    rows = [
        [
            label,
            millions(mean_of_runs(family, label, "real_samples")),
            f"{mean_of_runs(family, label, 'training_minutes'):.1f}",
            *(estimate(method["mean_returns"][str(n)]) for n in grid["real_samples"]),
        ]
        for label, method in grid["methods"].items()
    ]
    first, *others = grid["real_samples"]
    return ["method", "training samples", "minutes", f"n = {first}", *map(str, others)], rows


def methods(grid: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """A row for each method and n."""
    rows = [
        [
            label,
            str(len(method["seeds"])),
            str(n),
            estimate(method["mean_returns"][str(n)]),
            *(estimate(method["statistics"][str(n)][name]) for name in GAPS),
        ]
        for label, method in grid["methods"].items()
        for n in grid["real_samples"]
    ]
    return ["method", "seeds", "n", "mean return", *GAPS.values()], rows


def differences(grid: Mapping[str, Any], *, all_pairs: bool) -> tuple[list[str], list[list[str]]]:
    """A row for each pair of methods and n."""
    first = next(iter(grid["methods"]))
    rows = [
        [
            f"{d['first']} − {d['second']}",
            str(d["real_samples"]),
            *(estimate(d["statistics"][name]) for name in GAPS),
        ]
        for d in grid["differences"]
        if all_pairs or d["first"] == first
    ]
    return ["gap of the first less that of the second", "n", *GAPS.values()], rows


def costs(family: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """A row for each method: means over its runs."""
    rows = [
        [
            label,
            millions(mean_of_runs(family, label, "real_samples")),
            millions(mean_of_runs(family, label, "virtual_samples")),
            f"{mean_of_runs(family, label, 'training_minutes'):.1f}",
            f"{mean_of_runs(family, label, 'evaluation_minutes'):.1f}",
        ]
        for label in family["labels"]
    ]
    head = ["method", "real samples of training", "virtual samples"]
    return [*head, "minutes of training", "minutes of evaluation"], rows


def mean_of_runs(family: Mapping[str, Any], label: str, name: str) -> float:
    """The mean of a figure over a method's runs."""
    return float(np.mean([run[name] for run in family["runs"] if run["label"] == label]))


def millions(count: float) -> str:
    """A count of samples in words."""
    return f"{count / 1e6:.2f} million"


def estimate(value: Mapping[str, Any]) -> str:
    """A figure with its interval."""
    figure, low, high = (value[k] for k in ("value", "low", "high"))
    interval = "" if low is None else f" ({low:.0f} to {high:.0f})"
    return f"{figure:.0f}{interval}".replace("-", "−")


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table: the first column to the left, the others to the right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


if __name__ == "__main__":
    main()
