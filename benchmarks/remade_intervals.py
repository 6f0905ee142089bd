"""A report.json of format 1 with the intervals and accounts of format 2, as far as its data allow.

    python benchmarks/remade_intervals.py OLD.json NEW.json

Format 1 has each run's mean return and gap on each task, not the episodes. What several runs say
of a method is remade from these: Student's t over runs, and the error of A*, of which the largest
is taken that its standard errors allow (all tasks wrong together). What needs episodes or
the choice of tasks by them is left out: every interval of a single run, worst 10 % and 25 %, and
what the choice of the worst task adds to the upper end of its gap. No figure itself changes.
"""

from __future__ import annotations

import argparse
import json
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from admrl_native.evaluation.metrics import (
    STATISTICS,
    Array,
    Spread,
    probability_of_improvement,
)
from admrl_native.evaluation.t_interval import t_quantile
from admrl_native.store.metrics import finite

REMADE = ("max", "mean", "iqm")  # their weights over tasks are known
MANY = t_quantile(19)  # of A*: 20 episodes or more


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("old", type=pathlib.Path)
    parser.add_argument("new", type=pathlib.Path)
    given = parser.parse_args()
    report = json.loads(given.old.read_text())
    if report["format"] != 1:
        raise SystemExit(f"expected a report of format 1, got {report['format']}")
    for family in report["families"]:
        for run in family["runs"]:
            run["samples"] = samples(run)
            del run["real_samples"]
        for grid in family["grids"]:
            remake(grid)
    text = json.dumps(finite({**report, "format": 2}), indent=1, ensure_ascii=False)
    given.new.write_text(text + "\n")


def samples(run: Mapping[str, Any]) -> dict[str, int]:
    """A model-based run's real samples by account, from its options.

    Raises:
        ValueError: they do not add up to what the run counted.
    """
    schedule, tasks = run["settings"]["schedule"], len(run["tasks"])
    stages = schedule["n_slbo_first"] + schedule["n_slbo"] * (tasks - 1)
    collection, horizon = run["settings"]["collection"], run["settings"]["physics"]["horizon"]
    gradients = len(run["gradients"])
    training = stages * schedule["n_collect"]
    gradient = 2 * gradients * run["settings"]["task_gradient"]["real_samples"] if gradients else 0
    # The random policy and every stage are evaluated; zero-shot, all tasks but the first.
    episodes = (stages + 2 * tasks - 1) * collection["evaluation_episodes"]
    evaluation = stages * schedule["n_validation"] + episodes * horizon
    if training + gradient + evaluation != run["real_samples"]:
        raise ValueError(f"{run['path']}: {training}, {gradient}, {evaluation} are not its sum")
    return {"training": training, "gradient": gradient, "evaluation": evaluation}


def remake(grid: dict[str, Any]) -> None:
    """Replaces the intervals of a grid, and the verdicts that follow from them."""
    errors = np.array([b["standard_error"] for b in grid["best"]])
    grid["gaps_known"] = True  # oracles and other runs are there
    figures = {
        (label, n): of_runs(method, n, grid["best"], label)
        for label, method in grid["methods"].items()
        for n in map(str, grid["real_samples"])
    }
    for label, method in grid["methods"].items():
        for n in map(str, grid["real_samples"]):
            values = np.mean(method["returns"][n], axis=1)
            method["mean_returns"][n] |= interval([(1, values)], 0.0)
            for name, old in method["statistics"][n].items():
                old |= unknown()
                if name in REMADE:
                    values, star = figures[label, n][name]
                    assert math.isclose(values.mean(), old["value"], abs_tol=1e-9)
                    old |= interval([(1, values)], MANY * float(np.abs(star) @ errors))
        if method["model_error"] is not None:  # its runs' own are not there
            method["model_error"] |= unknown()
    for difference in grid["differences"]:
        first, second, n = (difference[k] for k in ("first", "second", "real_samples"))
        for name, old in difference["statistics"].items():
            old |= unknown()
            if name in REMADE:
                (a, of_a), (b, of_b) = (figures[m, str(n)][name] for m in (first, second))
                old |= interval([(1, a), (-1, b)], MANY * float(np.abs(of_a - of_b) @ errors))
        x, y = (np.array(grid["methods"][m]["returns"][str(n)]) for m in (first, second))
        new = probability_of_improvement(x, y)
        assert math.isclose(new.value, difference["improvement"]["value"], abs_tol=1e-9)
        difference["improvement"] = new.to_dict()
        difference["verdict"] = verdict(difference, grid["methods"])


def of_runs(
    method: Mapping[str, Any], n: str, best: Sequence[Mapping[str, Any]], label: str
) -> dict[str, tuple[Array, Array]]:
    """Each statistic of each run (S,), and how much A* of each task counts in it (M,)."""
    gaps = np.array(method["gaps"][n])
    chosen = np.zeros_like(gaps)  # stands for the gaps that the tasks were chosen by
    np.put_along_axis(chosen, np.array(method["worst_tasks"][n])[:, None], 1.0, 1)
    learners = [[f"{label}, seed {s}, {n} samples" == b["learner"] for b in best]
                for s in method["seeds"]]  # fmt: skip
    found = {}
    for name in REMADE:
        weights = STATISTICS[name](chosen, gaps)
        star = np.where(learners, 0.0, weights).mean(axis=0)
        found[name] = ((weights * gaps).sum(axis=1), star)
    return found


def unknown() -> dict[str, float]:
    return {"low": math.nan, "high": math.nan}


def interval(runs: Sequence[tuple[int, Array]], star: float) -> dict[str, float]:
    """Of a sum with signs of means over runs, and half the interval of A*'s part in it."""
    value = sum(sign * float(values.mean()) for sign, values in runs)
    half = Spread.of_sum([Spread.of_mean(values) for _, values in runs]).half_width
    half = math.hypot(half, star)
    return {"low": value - half, "high": value + half}


def verdict(difference: Mapping[str, Any], methods: Mapping[str, Any]) -> str:
    """As `admrl report` gives it."""
    if min(len(methods[difference[k]]["seeds"]) for k in ("first", "second")) == 1:
        return "not decided: one run each"
    gap = difference["statistics"]["max"]
    if gap["low"] <= 0 <= gap["high"]:
        return "no difference is seen"
    return f"{difference['first' if gap['high'] < 0 else 'second']} has the smaller worst case"


if __name__ == "__main__":
    main()
