"""RUN/evaluation/<grid>/evaluation.json: what a run's adapted policies earn on test tasks."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..evaluation.comparison import Returns, RunReturns
from ..evaluation.metrics import Array
from .files import parse_json, reading

FORMAT = 1


@dataclasses.dataclass(frozen=True)
class StoredOracle:
    """Each task's own learner.

    Attributes:
        learner: what it is.
        returns: of its policies (M of them).
        samples: real samples that each took (M,).
    """

    learner: str
    returns: tuple[Returns, ...]
    samples: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class StoredEvaluation:
    """An evaluation as it is on the disk.

    Attributes:
        path: its folder.
        run: family, method, preset, seed, checkpoint and digest of settings of what was evaluated.
        grid: name of the set of tasks.
        psis: (M, K) the tasks.
        episodes: E, of each policy and purpose.
        returns: n, real samples of adaptation, to the returns on each task (M of them).
        oracle: None: there is none.
        model_errors: (M,) mean L2 error of one-step predictions, in standard deviations of a step;
            None: not known.
        seconds: wall seconds by part.
    """

    path: pathlib.Path
    run: Mapping[str, Any]
    grid: str
    psis: Array
    episodes: int
    returns: Mapping[int, tuple[Returns, ...]]
    oracle: StoredOracle | None
    model_errors: Array | None
    seconds: Mapping[str, float]

    def policy(self, task: int, real_samples: int) -> pathlib.Path:
        """Where the policy adapted to a task lies, if it was kept."""
        return self.path / "policies" / f"{task:03d}-{real_samples}.safetensors"


def find_evaluations(run: pathlib.Path) -> list[pathlib.Path]:
    """The folders of a run's finished evaluations: "grid", "ood", then others by name."""
    found = [p.parent for p in (run / "evaluation").glob("*/evaluation.json")]
    order = {"grid": 0, "ood": 1}
    return sorted(found, key=lambda p: (order.get(p.name, 2), p.name))


def read_evaluation(path: pathlib.Path) -> StoredEvaluation:
    """Reads the evaluation in a folder.

    Raises:
        DamagedFile: there is none, or it is damaged; the message names the file and the field.
    """
    file = path / "evaluation.json"
    with reading(file, "an evaluation"):
        return _parsed(path, parse_json(file.read_text("utf-8")))


def run_returns(stored: StoredEvaluation, label: str) -> RunReturns:
    """The evaluation as `compare` takes it, under the label of the run's method."""
    return RunReturns(label, int(stored.run["seed"]), stored.returns, stored.model_errors)


def best_oracle(stored: Sequence[StoredEvaluation]) -> list[Returns | None]:
    """Of the oracles that some evaluations of the same M tasks have, the best for each task.

    Chosen by the select episodes.
    """
    best: list[Returns | None] = [None] * len(stored[0].psis)
    for evaluation in stored:
        if evaluation.oracle is None:
            continue
        for task, returns in enumerate(evaluation.oracle.returns):
            known = best[task]
            if known is None or returns.select.mean() > known.select.mean():
                best[task] = returns
    return best


def _parsed(path: pathlib.Path, values: Mapping[str, Any]) -> StoredEvaluation:
    if values["what"] != "evaluation" or values["format"] != FORMAT:
        raise ValueError(
            f"expected an evaluation of format {FORMAT}, got {values['what']!r} {values['format']}"
        )
    psis = _numbers("psis", values["psis"], 2)
    tasks, episodes = len(psis), int(values["episodes"])
    returns = {int(n): _returns(f"returns {n}", r, tasks) for n, r in values["returns"].items()}
    if sorted(returns) != sorted(values["real_samples"]):
        raise ValueError(
            f"expected returns of real_samples {values['real_samples']}, got {sorted(returns)}"
        )
    for n, of_tasks in returns.items():
        sizes = {r.select.size for r in of_tasks} | {r.fresh.size for r in of_tasks}
        if sizes != {episodes}:
            raise ValueError(f"returns {n}: expected E={episodes} episodes, got {sorted(sizes)}")
    errors = values["model_errors"]
    if errors is not None:
        errors = _numbers("model_errors", errors, 1)
        if len(errors) != tasks:
            raise ValueError(f"model_errors: expected (M={tasks},), got ({len(errors)},)")
    run = {
        name: values["run"][name]
        for name in ("family", "method", "preset", "seed", "checkpoint", "settings")
    }
    return StoredEvaluation(
        path=path,
        run=run,
        grid=str(values["grid"]),
        psis=psis,
        episodes=episodes,
        returns=returns,
        oracle=_oracle(values["oracle"], tasks),
        model_errors=errors,
        seconds={str(k): float(v) for k, v in values["seconds"].items()},
    )


def _oracle(values: Mapping[str, Any] | None, tasks: int) -> StoredOracle | None:
    if values is None:
        return None
    samples = tuple(int(n) for n in values["samples"])
    if len(samples) != tasks:
        raise ValueError(f"oracle samples: expected (M={tasks},), got ({len(samples)},)")
    return StoredOracle(str(values["learner"]), _returns("oracle", values, tasks), samples)


def _returns(name: str, values: Mapping[str, Any], tasks: int) -> tuple[Returns, ...]:
    """Of M tasks, from {"select": M lists, "fresh": M lists}."""
    for kind in ("select", "fresh"):
        if len(values[kind]) != tasks:
            raise ValueError(
                f"{name}: expected {kind} returns of M={tasks} tasks, got {len(values[kind])}"
            )
    return tuple(
        Returns(_numbers(name, select, 1), _numbers(name, fresh, 1))
        for select, fresh in zip(values["select"], values["fresh"], strict=True)
    )


def _numbers(name: str, values: Any, dimensions: int) -> Array:
    array = np.array(values, dtype=np.float64)
    if array.ndim != dimensions or array.size == 0 or not np.isfinite(array).all():
        raise ValueError(f"{name}: expected finite numbers in {dimensions} dimension(s), not empty")
    return array
