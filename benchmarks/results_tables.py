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

ACCOUNTS = ("training", "gradient", "evaluation")
GAPS = {
    "max": "worst task",
    "cvar10": "worst 10 %",
    "cvar25": "worst 25 %",
    "mean": "mean",
    "iqm": "IQM",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("report", type=pathlib.Path)
    parser.add_argument(
        "--pairs", action="store_true", help="differences of all pairs, not only with the first"
    )
    arguments = parser.parse_args()
    print(tables(json.loads(arguments.report.read_text("utf-8")), all_pairs=arguments.pairs))


def tables(report: Mapping[str, Any], *, all_pairs: bool) -> str:
    """All tables of a report.json, as Markdown."""
    parts = []
    for family in report["families"]:
        for grid in family["grids"]:
            about = f"{grid['tasks']} tasks, 2 × {grid['episodes']} episodes each"
            parts += [
                f"**{family['name']}**, {grid['title']}, {about}:\n",
                markdown(*returns(family, grid)),
                markdown(*methods(grid)),
                markdown(*differences(grid, all_pairs=all_pairs)),
            ]
        parts += [f"**{family['name']}**, what it cost:\n", markdown(*costs(family))]
    return "\n".join(parts)


def returns(
    family: Mapping[str, Any], grid: Mapping[str, Any]
) -> tuple[list[str], list[list[str]]]:
    """A row for each method: what its training took, and its mean return for each n."""
    rows = [
        [
            label,
            *samples(family, label),
            f"{mean_of_runs(family, label, 'training_minutes'):.1f}",
            *(estimate(method["mean_returns"][str(n)]) for n in grid["real_samples"]),
        ]
        for label, method in grid["methods"].items()
    ]
    first, *others = grid["real_samples"]
    return ["method", *ACCOUNTS, "minutes", f"n = {first}", *map(str, others)], rows


def methods(grid: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """A row for each method and n."""
    rows = [
        [
            label,
            str(len(method["seeds"])),
            str(n),
            *(estimate(method["statistics"][str(n)][name]) for name in GAPS),
            estimate(method["mean_returns"][str(n)]),
            estimate(method["model_error"], 3),
        ]
        for n in grid["real_samples"]
        for label, method in grid["methods"].items()
    ]
    return ["method", "seeds", "n", *GAPS.values(), "mean return", "model error"], rows


def differences(grid: Mapping[str, Any], *, all_pairs: bool) -> tuple[list[str], list[list[str]]]:
    """A row for each pair of methods and n."""
    first = next(iter(grid["methods"]))
    rows = [
        [
            f"{d['first']} − {d['second']}",
            str(d["real_samples"]),
            *(estimate(d["statistics"][name]) for name in ("max", "mean")),
            estimate(d["improvement"], 2),
            d["verdict"],
        ]
        for d in grid["differences"]
        if all_pairs or d["first"] == first
    ]
    head = ["gap of the first less that of the second", "n", "worst task", "mean"]
    return [*head, "probability of improvement", "verdict on the worst task"], rows


def costs(family: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """A row for each method: means over its runs."""
    rows = [
        [
            label,
            *samples(family, label),
            millions(mean_of_runs(family, label, "virtual_samples")),
            f"{mean_of_runs(family, label, 'training_minutes'):.1f}",
            f"{mean_of_runs(family, label, 'evaluation_minutes'):.1f}",
        ]
        for label in family["labels"]
    ]
    head = ["method", *(f"{name} samples" for name in ACCOUNTS), "virtual samples"]
    return [*head, "minutes of training", "minutes of evaluation"], rows


def samples(family: Mapping[str, Any], label: str) -> list[str]:
    """Real samples of a method by account, mean over its runs."""
    counts = [run["samples"] for run in family["runs"] if run["label"] == label]
    return [millions(float(np.mean([c[name] for c in counts]))) for name in ACCOUNTS]


def mean_of_runs(family: Mapping[str, Any], label: str, name: str) -> float:
    """The mean of a figure over a method's runs."""
    return float(np.mean([run[name] for run in family["runs"] if run["label"] == label]))


def millions(count: float) -> str:
    """A count of samples in words."""
    return "–" if count == 0 else f"{count / 1e6:.2f} million"


def estimate(value: Mapping[str, Any] | None, decimals: int = 0) -> str:
    """A figure with its interval, as far as they are known."""
    if value is None or value["value"] is None:
        return "–"
    figure, low, high = (value[k] for k in ("value", "low", "high"))
    interval = "" if low is None else f" ({low:.{decimals}f} to {high:.{decimals}f})"
    return f"{figure:.{decimals}f}{interval}".replace("-", "−")


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table: the first column to the left, the others to the right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


if __name__ == "__main__":
    main()
