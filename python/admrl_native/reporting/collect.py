"""Run folders → the content of report.json: every number of the page and of its figures."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ..configuration.config import Config
from ..evaluation.comparison import Comparison, MethodGaps, compare
from ..families.declaration import Family
from ..families.world import World
from ..settings import SettingError
from ..store.accounts import accounts
from ..store.files import read_yaml, reading
from ..store.folder import RunFolder, recorded_world
from ..store.metrics import finite
from ..store.returns import (
    StoredEvaluation,
    best_oracle,
    find_evaluations,
    read_evaluation,
    run_returns,
)
from .labels import label, order, varied_options, varied_values
from .run_summary import Summary, summarise

FORMAT = 2

_UNITS = {"velocity": " (m/s)", "height": " (m)"}

_TITLES = {"grid": "test tasks inside Ψ", "ood": "out of distribution"}

_CURVE_POINTS = 40  # of a learning curve: an iteration's tasks differ from the next one's


@dataclasses.dataclass(frozen=True)
class ReportedRun:
    """One run of a report.

    Attributes:
        path: its folder.
        summary: what it learned.
        origin: versions, machine, commit, as config.yaml has them.
        world: what its numbers are about.
        evaluations: by name of the grid.
        label: of its method; see `labels`.
    """

    path: pathlib.Path
    summary: Summary
    origin: Mapping[str, Any]
    world: World
    evaluations: Mapping[str, StoredEvaluation]
    label: str = ""

    @property
    def config(self) -> Config:
        return self.summary.config


def read_runs(paths: Sequence[pathlib.Path]) -> dict[str, list[ReportedRun]]:
    """The runs of each family, labelled and in order.

    Raises:
        SettingError: no run, what is no run folder or damaged, two of one label and seed, or runs
            of one family that cannot be compared.
    """
    if not paths:
        raise SettingError("run", "expected at least one run folder, got none")
    by_family: dict[str, list[ReportedRun]] = {}
    for run in map(_read_run, paths):
        by_family.setdefault(run.config.family.name, []).append(run)
    return {name: _labelled(runs) for name, runs in by_family.items()}


def collect(runs: Mapping[str, Sequence[ReportedRun]]) -> dict[str, Any]:
    """The content of report.json.

    Args:
        runs: by family, from `read_runs`.

    Raises:
        SettingError: evaluations of one grid that cannot be compared.
    """
    families = [_family(of_family) for of_family in runs.values()]
    report = {"what": "report", "format": FORMAT, "families": families}
    return dict(finite(report))


# Reading


def _read_run(path: pathlib.Path) -> ReportedRun:
    summary = summarise(path)
    values = read_yaml(RunFolder(path).config)
    origin = {name: values.get(name) for name in ("versions", "machine", "commit")}
    evaluations = {p.name: read_evaluation(p) for p in find_evaluations(path)}
    config = summary.config
    for stored in evaluations.values():
        theirs = tuple(stored.run[name] for name in ("family", "method", "preset", "seed"))
        ours = (config.family.name, config.method, config.preset, config.seed)
        if theirs != ours or stored.psis.shape[1] != config.family.task_dim:
            raise SettingError(
                "run", f"expected {stored.path} to be of {config.title}, got one of {theirs}"
            )
    return ReportedRun(path, summary, origin, recorded_world(path), evaluations)


def _labelled(runs: Sequence[ReportedRun]) -> list[ReportedRun]:
    first = runs[0]
    for other in runs[1:]:
        if difference := first.world.difference(other.world):
            raise SettingError(
                "run",
                f"expected one {first.config.family.name}, but {first.path} and {other.path} "
                f"differ: {difference}",
            )
    varied = varied_options([r.config for r in runs])
    found: dict[tuple[str, int], ReportedRun] = {}
    for run in sorted(runs, key=lambda r: order(r.config, varied)):
        run = dataclasses.replace(run, label=label(run.config, varied))
        twin = found.setdefault((run.label, run.config.seed), run)
        if twin is not run:
            raise SettingError(
                "run",
                f"expected runs that differ in method, options or seed, but {twin.path} and "
                f"{run.path} are both {run.label}, seed {run.config.seed}",
            )
    return list(found.values())


# Writing


def _family(runs: Sequence[ReportedRun]) -> dict[str, Any]:
    family = runs[0].config.family
    varied = varied_options([r.config for r in runs])
    labels: dict[str, Mapping[str, Any]] = {}
    for run in runs:
        labels.setdefault(run.label, varied_values(run.config, varied))
    grids = dict.fromkeys(name for run in runs for name in run.evaluations)
    names = [name + _UNITS.get(name.split()[-1], "") for name in family.task_names]
    return {
        "name": family.name,
        "task_names": names,
        "task_low": list(family.task_low),
        "task_high": list(family.task_high),
        "labels": list(labels),
        "seeds": {name: sum(r.label == name for r in runs) for name in labels},
        "varied": {key: dict(values) for key, values in labels.items()},
        "runs": [_checked_run(run) for run in runs],
        "grids": [_grid(family, name, runs) for name in grids],
    }


def _checked_run(run: ReportedRun) -> dict[str, Any]:
    with reading(RunFolder(run.path).metrics, "the records of this run"):
        return _run(run)


def _run(run: ReportedRun) -> dict[str, Any]:
    summary, config = run.summary, run.config
    records = summary.records
    losses = {
        r["task"]: r.get("validation_loss") for r in records if r["event"] == "slbo-stage"
    }  # the last stage of a task counts
    counts = {
        r["task"]: accounts(r["real_samples"])
        for r in records
        if "task" in r and "real_samples" in r
    }
    return {
        "path": str(run.path),
        "label": run.label,
        "seed": config.seed,
        "method": config.method,
        "preset": config.preset,
        "model_based": config.of_method.model_based,
        "complete": bool(records) and records[-1]["event"] == "end",
        "samples": dict(summary.samples),
        "virtual_samples": summary.virtual_samples,
        "training_minutes": summary.wall_seconds / 60,
        "evaluation_minutes": sum(sum(e.seconds.values()) for e in run.evaluations.values()) / 60,
        "tasks": [
            {
                "task": t.task + 1,
                "psi": list(t.psi),
                "u": list(t.u),
                "distance": max(map(abs, t.u)),
                "random": t.random,
                "zero_shot": t.zero_shot,
                "slbo": t.slbo,
                "validation_loss": losses.get(t.task),
                "samples": counts.get(t.task),
            }
            for t in (summary.tasks if config.iterations is None else ())
        ],
        "iterations": _iterations(summary),
        "gradients": [_gradient(r) for r in records if r["event"] == "task-gradient"],
        "checkpoints": {name: e.run["checkpoint"] for name, e in run.evaluations.items()},
        "episodes": {name: e.episodes for name, e in run.evaluations.items()},
        "settings": config.to_dict()["settings"],
        **run.origin,
        "commit": _short(run.origin["commit"]),
        "robot": run.world.robot or "not recorded",
    }


def _iterations(summary: Summary) -> list[dict[str, Any]]:
    """Of a method without a model: means over neighbouring iterations, for a curve."""
    count, total = len(summary.iterations), summary.config.iterations
    if total is None:
        return []
    found = []
    for part in np.array_split(np.arange(count), min(_CURVE_POINTS, count)) if count else ():
        records = [summary.iterations[i] for i in part]
        last = records[-1]
        point: dict[str, Any] = {
            "part": (last["iteration"] + 1) / total,
            "samples": accounts(last["real_samples"]),
        }
        for name in ("real_return", "adapted_return"):
            known = [r[name] for r in records if r.get(name) is not None]
            point[name] = float(np.mean(known)) if known else None
        found.append(point)
    return found


def _short(commit: str | None) -> str | None:
    """The first ten digits of a commit, and whether files differed from it."""
    return commit and commit[:10] + ("-dirty" if commit.endswith("-dirty") else "")


def _gradient(record: Mapping[str, Any]) -> dict[str, Any]:
    """One task gradient: its length in u, its solve, its health."""
    health, solves = record.get("health", {}), record.get("solver", [])
    in_u = record.get("gradient_u")
    trusted = health.get("trusted")
    return {
        "task": record["task"] + 1,
        "psi": record.get("psi"),
        "norm": None if in_u is None else float(np.linalg.norm(_known(in_u))),
        "trusted": None if trusted is None else sum(trusted),
        "components": len(record["gradient"]),
        "halves_cosine": health.get("halves_cosine"),
        "stationarity": health.get("stationarity"),
        "stationarity_noise": health.get("stationarity_noise"),
        "damping": record.get("damping", {}).get("value"),
        "solver": solves[0]["method"] if solves else None,
        "status": " ".join(sorted({str(s["status"]) for s in solves})) or None,
        "iterations": sum(s["iterations"] for s in solves),
        "residual": max((s["residual"] for s in solves if s["residual"] is not None), default=None),
        "verdict": record.get("verdict"),
    }


def _known(values: Iterable[float | None]) -> list[float]:
    return [float("nan") if v is None else v for v in values]


def _grid(family: Family, name: str, runs: Sequence[ReportedRun]) -> dict[str, Any]:
    evaluated = [r for r in runs if name in r.evaluations]
    stored = [r.evaluations[name] for r in evaluated]
    first = stored[0]
    for run, other in zip(evaluated[1:], stored[1:], strict=True):
        if not np.array_equal(first.psis, other.psis):
            raise SettingError(
                "run", f"expected the same tasks in {first.path} and {other.path}, but they differ"
            )
        if first.episodes != other.episodes:
            raise SettingError(
                "run",
                f"expected as many episodes in {first.path} ({first.episodes}) as in {other.path}, "
                f"got {other.episodes} (seed {run.config.seed})",
            )
    try:
        comparison = compare(
            family.name,
            name,
            first.psis,
            [run_returns(e, r.label) for r, e in zip(evaluated, stored, strict=True)],
            best_oracle(stored),
        )
    except ValueError as error:
        folders = ", ".join(str(e.path) for e in stored)
        raise SettingError("run", f"{error} ({folders})") from None
    low, high = np.array(family.task_low), np.array(family.task_high)
    numbers = comparison.to_dict()
    for difference in numbers["differences"]:
        difference["verdict"] = _verdict(difference, comparison.methods)
    return {
        **numbers,
        "title": _TITLES.get(name, f"tasks of {_utf8(name)}"),
        "inside": bool(((first.psis >= low) & (first.psis <= high)).all()),
        "tasks": len(first.psis),
        "episodes": first.episodes,
        "seeds": {label: len(m.seeds) for label, m in comparison.methods.items()},
        "gaps_known": not all(w for m in comparison.methods.values() for w in m.unknown.values()),
        "one_seed": any(len(m.seeds) == 1 for m in comparison.methods.values()),
        "left_out": sorted({n for e in stored for n in e.returns} - set(comparison.real_samples)),
        "oracle": _oracle(comparison, stored),
    }


def _utf8(name: str) -> str:
    """A file's name in letters that a figure can draw."""
    return name.encode("utf-8", "backslashreplace").decode()


def _verdict(difference: Mapping[str, Any], methods: Mapping[str, MethodGaps]) -> str:
    """Which worst case is smaller, as far as several runs of both say."""
    pair = [difference[which] for which in ("first", "second")]
    lone = [label for label in pair if len(methods[label].seeds) == 1]
    if lone:
        return "not decided: one run " + ("each" if len(lone) == 2 else f"of {lone[0]}")
    gap = difference["statistics"]["max"]
    if gap["low"] <= 0 <= gap["high"]:
        return "no difference is seen"
    return f"{difference['first' if gap['high'] < 0 else 'second']} has the smaller worst case"


def _oracle(comparison: Comparison, stored: Sequence[StoredEvaluation]) -> dict[str, Any]:
    """Who gives A* for how many tasks, and how well it is known."""
    given_by: dict[str, int] = {}
    for best in comparison.best:
        who = best.learner.rsplit(", seed ", 1)[0]
        given_by[who] = given_by.get(who, 0) + 1
    errors = [b.standard_error for b in comparison.best]
    oracles = [e.oracle for e in stored if e.oracle is not None]
    return {
        "given_by": dict(sorted(given_by.items(), key=lambda item: -item[1])),
        "mean": float(np.mean([b.value for b in comparison.best])),
        "largest_standard_error": max(errors),
        "mean_standard_error": float(np.mean(errors)),
        "learner": " and ".join(sorted({o.learner for o in oracles})) or None,
        "samples": max((max(o.samples) for o in oracles), default=None),
    }
