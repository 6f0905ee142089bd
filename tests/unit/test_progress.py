"""What a person sees: lines, the live display, time left."""

from __future__ import annotations

import io
from types import ModuleType
from typing import Any

import pytest

from admrl_native.activities.runs import make_learner
from admrl_native.algorithms.settings import ScheduleSettings
from admrl_native.configuration.config import make_config
from admrl_native.show.lines import line
from admrl_native.show.progress import RunProgress
from admrl_native.show.time_left import TasksLeft
from admrl_native.show.words import duration, number, psi_text


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class _Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


SCHEDULE = ScheduleSettings(n_tasks=3, n_zeroshot=4, n_slbo=2, n_slbo_first=3, n_inner=5)
_TOTAL = 3 * 5 + 2 * (4 + 2 * 5)  # a learner that adapts to no first task, as Algorithm 1


def test_time_left_is_exact_at_constant_speed() -> None:
    clock = _Clock()
    left = TasksLeft(SCHEDULE, clock)
    left.phase("random-policy", task=0, steps=1)
    assert left.seconds() is None
    done = 0
    for task in range(3):
        left.phase("random-policy", task=task, steps=1)
        for stage in range(-1 if task else 0, 2 if task else 3):
            name, steps = ("zero-shot", 4) if stage < 0 else (f"slbo {stage + 1}/2", 5)
            left.phase(name, task=task, steps=steps)
            for _ in range(steps):
                clock.now += 2.0
                left.step()
                done += 1
                assert left.iterations_left() == _TOTAL - done
                assert left.seconds() == 2.0 * (_TOTAL - done)
            if stage >= 0:
                left.record("slbo-stage")
    assert done == _TOTAL
    assert left.seconds() == 0
    assert left.fraction() == 1


def test_time_of_other_phases_is_shared_out_per_stage() -> None:
    clock = _Clock()
    left = TasksLeft(SCHEDULE, clock)
    left.phase("slbo 1/3", task=0, steps=5)
    for _ in range(5):
        clock.now += 1.0
        left.step()
    left.record("slbo-stage")
    left.phase("evaluate", task=0, steps=1)
    clock.now += 10.0
    # 38 iterations of 1 s, and 6 stages with 10 s of other things.
    assert left.seconds() == (_TOTAL - 5) * 1.0 + 6 * 10.0


def test_a_resumed_run_counts_its_past_but_not_its_speed() -> None:
    clock = _Clock()
    left = TasksLeft(SCHEDULE, clock)
    left.start([{"event": "slbo-stage", "task": 0}] * 3 + [{"event": "slbo-stage", "task": 1}])
    assert left.seconds() is None
    left.phase("slbo 2/2", task=1, steps=5)
    clock.now += 3.0
    left.step()
    assert left.iterations_left() == 4 + 4 + 2 * 5
    assert left.seconds() == 3.0 * 18


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (3599, "59 min 59 s"), (7500, "2 h 5 min")],
)
def test_durations_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (1234.56, "1235"), (-12.34, "-12.3"), (1.234, "1.23"), (1.23e-7, "1.23e-07")],
)
def test_figures(value: float | None, text: str) -> None:
    assert number(value) == text


def test_long_tasks_are_shortened() -> None:
    assert psi_text([0.6, 1.72]) == "(0.6, 1.72)"
    assert psi_text([0.5] * 18) == "(0.5, 0.5, 0.5, 0.5, ... 18 numbers)"
    assert psi_text(None) == "-"


def test_lines() -> None:
    psi = {"task": 1, "psi": [0.5, 1.5]}
    assert line("random-policy", {**psi, "return_mean": 12.34}, 4, 2) == (
        "task 2/4  psi (0.5, 1.5)  random policy: return 12.3"
    )
    assert line("zero-shot", {**psi, "real_return": 1.0, "virtual_return": None}, 4, 2) == (
        "task 2/4  zero-shot: return 1.00 (in the model -)"
    )
    stage = {"stage": 0, "real_return": 100.0, "virtual_return": 200.0, "validation_loss": 0.25}
    assert line("slbo-stage", {**psi, **stage}, 4, 2) == (
        "task 2/4  stage 1/2: return 100 (in the model 200), model error 0.25"
    )
    gradient = {
        "gradient": [0.25, -1.0],
        "terms": {"at_theta_star": [0.5, 0.0], "at_theta_hat": [0.2, 1.0], "implicit": [-0.05, 0]},
        "solver": [{"method": "minres", "status": "converged", "iterations": 3, "residual": 0.9}],
        "damping": {"value": 0.1},
        "health": {
            "ritz_smallest": -2.0,
            "ritz_largest": 0.5,
            "stationarity": 0.02,
            "stationarity_noise": 0.01,
            "standard_error": [0.3, 0.02],
            "halves_cosine": 0.75,
        },
        "verdict": "sign not to be trusted in component 1",
        "next_psi": [1.0, 2.0],
    }
    assert line("task-gradient", {**psi, **gradient}, 4, 2) == (
        "task 2/4  gradient (0.25 ± 0.3, -1 ± 0.02): sign not to be trusted in component 1  "
        "next psi (1, 2)\n"
        "          terms: (0.5, 0) at theta*, minus (0.2, 1) at theta^, plus (-0.05, 0) implicit\n"
        "          solve: minres converged, 3 iterations, residual 0.9, damping 0.1, "
        "Ritz values -2.00 to 0.5\n"
        "          theta^ stationary to 0.02 (0.01 is noise), "
        "cosine between halves of the data 0.75"
    )
    assert line("virtual-iteration", psi, 4, 2) is None
    assert line("end", {"tasks": 4}, 4, 2) is None


def test_plain_lines_where_there_is_no_terminal(fake: ModuleType, tiny: dict[str, Any]) -> None:
    config = make_config(overrides=tiny)
    stream = io.StringIO()
    progress = RunProgress(config, stream)
    _train(fake, config, progress)
    text = stream.getvalue()
    assert "\x1b" not in text
    lines = text.splitlines()
    assert lines[0] == "virtual training: fake, fp32, nowhere"
    assert lines[1] == "task 1/3  psi (-1.4, 1.32)  random policy: return 10.0"
    assert sum("stage" in text for text in lines) == 6
    assert sum("zero-shot" in text for text in lines) == 2
    assert sum("gradient" in text for text in lines) == 1
    assert lines[-1].endswith("(0 s left)")


def test_a_live_display_on_a_terminal(fake: ModuleType, tiny: dict[str, Any]) -> None:
    config = make_config(overrides=tiny)
    stream = _Terminal()
    progress = RunProgress(config, stream)
    progress.start([])
    _train(fake, config, progress)
    progress.stop()
    text = stream.getvalue()
    for part in ("admrl on Hopper2D", "whole run", "task 1/3", "stage 2/2", "left"):
        assert part in text
    assert text.count("random policy: return") == 3


def _train(fake: ModuleType, config: Any, progress: Any) -> None:
    """The fake learner, with nothing but the display watching."""

    class Observer:
        phase, step, record = progress.phase, progress.step, progress.record

        def begin(self, compute: Any) -> None:
            progress.record("compute", compute)

        def store(self, purpose: str, transitions: Any) -> None:
            pass

        def checkpoint(self, state: Any) -> None:
            pass

    make_learner(config, Observer()).train()
