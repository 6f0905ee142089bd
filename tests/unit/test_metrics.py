"""metrics.jsonl, tasks.csv and the TensorBoard events."""

from __future__ import annotations

import csv
import math
import pathlib
from typing import Any

import pytest

from admrl_native.store.events import TensorBoardEvents
from admrl_native.store.metrics import MetricsLog, read_metrics, truncate
from admrl_native.store.tasks_table import TasksTable


def test_lines_are_readable_as_soon_as_they_are_appended(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "m.jsonl"
    log = MetricsLog(path)
    log.append({"event": "a", "psi": [0.1, 2], "nested": {"x": None}})
    assert read_metrics(path) == [{"event": "a", "psi": [0.1, 2], "nested": {"x": None}}]
    log.append({"event": "b"})
    assert log.lines == 2
    log.close()
    again = MetricsLog(path)
    assert again.lines == 2
    again.close()


def test_numbers_that_are_not_finite_become_null(tmp_path: pathlib.Path) -> None:
    log = MetricsLog(tmp_path / "m.jsonl")
    log.append({"a": math.nan, "b": [math.inf, 1.0], "c": {"d": -math.inf}})
    log.close()
    assert read_metrics(tmp_path / "m.jsonl") == [{"a": None, "b": [None, 1.0], "c": {"d": None}}]


def test_a_value_that_json_does_not_know_is_refused(tmp_path: pathlib.Path) -> None:
    log = MetricsLog(tmp_path / "m.jsonl")
    with pytest.raises(TypeError):
        log.append({"a": object()})
    log.close()
    assert log.lines == 0


def test_a_line_that_is_being_written_is_left_out(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text('{"event": "a"}\n{"event": "b')
    assert read_metrics(path) == [{"event": "a"}]


@pytest.mark.parametrize("line", ["{'a'}", "[1]", "3"])
def test_a_damaged_line_is_named(tmp_path: pathlib.Path, line: str) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text(f'{{"event": "a"}}\n{line}\n')
    with pytest.raises(ValueError, match=r"m\.jsonl:2: expected a JSON object"):
        read_metrics(path)


def test_truncate_keeps_the_first_lines(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text("one\ntwo\nthr")
    with pytest.raises(ValueError, match="expected at least 3 lines, got 2"):
        truncate(path, 3)
    truncate(path, 2)
    assert path.read_text() == "one\ntwo\n"
    truncate(path, 0)
    assert path.read_text() == ""
    truncate(tmp_path / "absent", 0)
    assert not (tmp_path / "absent").exists()


GRADIENT: dict[str, Any] = {
    "task": 1,
    "gradient": [0.5, -0.5],
    "terms": {"at_theta_star": [1.0, 2.0], "at_theta_hat": [3.0, 4.0], "implicit": [5.0, 6.0]},
    "solver": [
        {"method": "cgnr", "status": "converged", "iterations": 3, "residual": 0.5},
        {"method": "cgnr", "status": "max_iterations", "iterations": 9, "residual": 0.7},
    ],
    "damping": {"value": 0.25},
    "health": {"standard_error": [0.1, 0.2], "halves_cosine": 0.9},
    "verdict": "trusted",
    "next_psi": [7.0, 8.0],
}
for _solve, _residual in zip(GRADIENT["solver"], (1e-7, 1e-3), strict=True):
    _solve["regularised_residual"] = _residual


def _task(index: int, **returns: Any) -> dict[str, Any]:
    return {
        "task": index,
        "psi": [0.1, 1.5],
        "u": [0.0, 0.25],
        "returns": returns,
        "real_samples": {"train": 100, "evaluation": 20},
        "virtual_samples": 1000,
    }


def _rows(path: pathlib.Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_a_row_joins_gradient_and_task(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "tasks.csv"
    table = TasksTable(path, task_dim=2)
    table.task(_task(0, random=1.0, slbo=[2.0, 3.0]))
    table.gradient(GRADIENT)
    table.task(_task(1, random=1.0, zero_shot=4.0, slbo=[5.0]))
    table.close()
    first, second = _rows(path)
    assert first["return_slbo"] == "3.0"
    assert first["return_zero_shot"] == first["gradient_1"] == first["next_psi_2"] == ""
    assert first["real_samples"] == "120"
    assert [second[f"gradient_{k}"] for k in (1, 2)] == ["0.5", "-0.5"]
    assert [second[f"implicit_{k}"] for k in (1, 2)] == ["5.0", "6.0"]
    assert second["solver_status"] == "converged max_iterations"
    assert (second["solver_iterations"], second["solver_residual"]) == ("12", "0.7")
    assert second["solver_regularised_residual"] == "0.001"
    assert [second[f"next_psi_{k}"] for k in (1, 2)] == ["7.0", "8.0"]
    assert [second[f"standard_error_{k}"] for k in (1, 2)] == ["0.1", "0.2"]
    assert [second[name] for name in ("damping", "halves_cosine", "verdict")] == [
        "0.25",
        "0.9",
        "trusted",
    ]


def test_a_pending_gradient_reaches_its_row_in_another_process(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "tasks.csv"
    table = TasksTable(path, task_dim=2)
    table.gradient(GRADIENT)
    pending = table.pending
    table.close()
    table = TasksTable(path, task_dim=2, pending=pending)
    table.task(_task(1, slbo=[1.0]))
    table.close()
    (row,) = _rows(path)
    assert row["gradient_1"] == "0.5"


def test_events_are_the_numbers_of_the_records(tmp_path: pathlib.Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (tmp_path / "events.out.tfevents.1.old").write_text("of an earlier process")
    events = TensorBoardEvents(tmp_path, start=1000.0)
    for value in (1.5, 2.5):
        events.append(
            {
                "event": "slbo-stage",
                "task": 3,
                "psi": [0.25, 0.5],
                "real_return": value,
                "real_samples": {"train": 10},
                "validation_loss": None,
                "wall_seconds": 2.0,
            }
        )
    events.close()
    (file,) = tmp_path.iterdir()
    seen = EventAccumulator(str(file)).Reload()
    assert sorted(seen.Tags()["scalars"]) == [
        "slbo-stage/psi/1",
        "slbo-stage/psi/2",
        "slbo-stage/real_return",
        "slbo-stage/real_samples/train",
    ]
    scalars = seen.Scalars("slbo-stage/real_return")
    assert [(s.step, s.value, s.wall_time) for s in scalars] == [(0, 1.5, 1002.0), (1, 2.5, 1002.0)]
