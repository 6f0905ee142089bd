"""What is said beside a run's figures."""

from __future__ import annotations

import io
import pathlib
from typing import Any

import pytest

from admrl_native.configuration.config import make_config
from admrl_native.reporting.run_summary import summarise
from admrl_native.reporting.run_table import print_table
from admrl_native.show.progress import RunProgress
from admrl_native.show.remarks import EXPLOITED, LOST, of_excluded, of_model, of_run
from admrl_native.store import folder as folders
from admrl_native.store.metrics import MetricsLog


@pytest.mark.parametrize(
    ("real", "virtual", "std", "offset", "said"),
    [
        (1233.0, 66003.0, 200.0, 0.0, EXPLOITED),
        (1233.0, 7300.0, 200.0, 0.0, None),  # five times its size
        (-500.0, -10.0, 100.0, 0.0, None),  # the model hopes for the best
        (-500.0, 2400.0, 100.0, 0.0, EXPLOITED),
        (-500.0, -9e9, 100.0, 0.0, LOST),
        (0.1, 400.0, 100.0, 0.0, None),  # near 0 a return is as large as its spread
        (0.1, 600.0, 100.0, 0.0, EXPLOITED),
        (33.0, 1900.0, 20.0, 2000.0, None),  # the robot falls, in the model it does not: the bonus
        (33.0, -11000.0, 20.0, 2000.0, LOST),
        (0.0, 0.0, 0.0, 0.0, None),
        (5.0, None, 1.0, 0.0, None),
        (None, 5.0, 1.0, 0.0, None),  # not finite
        (5.0, 100.0, None, 0.0, EXPLOITED),
    ],
)
def test_a_return_in_the_model(
    real: float | None, virtual: float | None, std: float | None, offset: float, said: str | None
) -> None:
    values = {"real_return": real, "virtual_return": virtual, "real_return_std": std}
    assert of_model(values, offset) == said


def test_excluded_samples() -> None:
    assert of_excluded({}) is None
    assert of_excluded({"excluded": {}}) is None
    assert of_excluded({"excluded": {"train": 1200, "evaluation": 3}}) == (
        "1,203 real samples excluded, the simulation blew up (train 1,200, evaluation 3)"
    )


STAGE: dict[str, Any] = {
    "event": "slbo-stage",
    "task": 1,
    "stage": 0,
    "psi": [0.5] * 18,
    "real_return": 1233.0,
    "real_return_std": 10.0,
    "virtual_return": 66003.0,
    "validation_loss": 0.25,
    "real_samples": {"train": 100},
    "excluded": {"train": 4},
    "virtual_samples": 10,
    "wall_seconds": 1.0,
}


def test_a_run() -> None:
    earlier = {**STAGE, "excluded": {"train": 1}, "task": 0, "virtual_return": -1e6}
    old = {k: v for k, v in STAGE.items() if k != "excluded"}
    assert of_run([], 0.0) == []
    assert of_run([{**old, "virtual_return": 1000.0}], 0.0) == []
    counted, exploited, lost = of_run([earlier, STAGE, {**STAGE, "task": 4}], 0.0)
    assert counted == (
        "4 real samples excluded, the simulation blew up (train 4); nothing was learned from them"
    )
    assert exploited.startswith("task 2, 5: the return in the model was more than 5 times as far")
    assert exploited.endswith(f"; {EXPLOITED}")
    assert lost.startswith("task 1: ")
    assert lost.endswith(f"; {LOST}")


def test_where_it_is_shown(tmp_path: pathlib.Path) -> None:
    """In the line of a stage or an iteration, and below the table."""
    config = make_config("Cheetah-Highdim")
    stream = io.StringIO()
    progress = RunProgress(config, stream)
    progress.start([])
    progress.record("slbo-stage", STAGE)
    assert (
        "return 1233 (in the model 66003: the policy exploits the model's errors), model error "
        "0.25" in stream.getvalue()
    )
    assert "; 4 real samples excluded, the simulation blew up (train 4)" in stream.getvalue()
    assert config.return_offset == 0
    assert make_config("Hopper2D").return_offset == 2000

    model_free = io.StringIO()
    plain = RunProgress(make_config("Hopper2D", method="mt-joint"), model_free)
    plain.start([])
    plain.record("iteration", {"iteration": 0, "real_return": 1.0, "excluded": {"train": 2}})
    assert "; 2 real samples excluded, the simulation blew up (train 2)" in model_free.getvalue()

    folder = folders.create(tmp_path / "run", config)
    log = MetricsLog(folder.metrics)
    log.append(STAGE)
    log.close()
    table = io.StringIO()
    print_table(summarise(folder.path), table)
    assert table.getvalue().splitlines()[-2:] == of_run([STAGE], 0.0)
