"""The next task where the gradient is no guide: recorded, shown, and the same after a resume."""

from __future__ import annotations

import io
from typing import Any

import pytest
import torch

from admrl_native.algorithms.admrl import learner as admrl
from admrl_native.algorithms.admrl.sampled_gradient import estimate_task_gradient
from admrl_native.algorithms.admrl.selectors.uniform import uniform_u
from admrl_native.configuration.config import make_config
from admrl_native.configuration.presets import preset
from admrl_native.krylov import SolverError
from admrl_native.sampling.real import SimulationError
from admrl_native.seeding import derive_generator
from admrl_native.show import remarks
from admrl_native.show.progress import RunProgress
from admrl_native.task_gradient.gradient import TaskGradient
from toy import SETTINGS, Memory, make_trainer

FOLLOW = SETTINGS
UNIFORM = SETTINGS.replace(
    task_selection=SETTINGS.task_selection.replace(untrusted_gradient="uniform")
)


def events(memory: Memory, name: str) -> list[dict[str, Any]]:
    return [values for event, values in memory.records if event == name]


def uniform_psi(trainer: admrl.MetaTrainer, task: int) -> list[float]:
    u = uniform_u(2, derive_generator(0, task, "next-task"))
    return trainer.task_space.from_normalised(u).tolist()


def fail(error: Exception) -> Any:
    def raises(*_: Any, **__: Any) -> TaskGradient:
        raise error

    return raises


@pytest.mark.parametrize("kind", [SolverError, SimulationError])
@pytest.mark.parametrize("settings", [UNIFORM, FOLLOW])
def test_a_gradient_that_fails(
    kind: type[Exception], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admrl, "estimate_task_gradient", fail(kind("no\nluck")))
    trainer = make_trainer(memory := Memory(), settings=settings)
    trainer.train()
    (drawn,) = events(memory, "uniform-task")
    assert drawn["reason"] == "no luck"
    assert drawn["next_psi"] == uniform_psi(trainer, 1)
    assert events(memory, "task")[2]["psi"] == drawn["next_psi"]
    assert not events(memory, "task-gradient")


def test_a_gradient_that_is_not_finite(monkeypatch: pytest.MonkeyPatch) -> None:
    def spoiled(*arguments: Any, **options: Any) -> TaskGradient:
        gradient = estimate_task_gradient(*arguments, **options)
        gradient.total[1] = torch.nan
        return gradient

    monkeypatch.setattr(admrl, "estimate_task_gradient", spoiled)
    trainer = make_trainer(memory := Memory(), settings=FOLLOW)
    trainer.train()
    assert events(memory, "uniform-task")[0]["reason"] == "the gradient is not finite"
    assert events(memory, "task")[2]["psi"] == uniform_psi(trainer, 1)


@pytest.mark.parametrize("trusted", [(False, False), (True, False), None])
@pytest.mark.parametrize("settings", [UNIFORM, FOLLOW])
def test_signs_that_cannot_be_trusted(
    trusted: tuple[bool, ...] | None, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def judged(*arguments: Any, **options: Any) -> TaskGradient:
        gradient = estimate_task_gradient(*arguments, **options)
        object.__setattr__(gradient.health, "trusted", trusted)
        return gradient

    monkeypatch.setattr(admrl, "estimate_task_gradient", judged)
    trainer = make_trainer(memory := Memory(), settings=settings)
    trainer.train()
    drawn = events(memory, "uniform-task")
    if settings is UNIFORM and trusted == (False, False):
        assert drawn[0]["reason"] == "no component's sign can be trusted"
        assert drawn[0]["next_psi"] == uniform_psi(trainer, 1)
    else:
        assert not drawn
    (gradient,) = events(memory, "task-gradient")
    assert events(memory, "task")[2]["psi"] == gradient["next_psi"]


def test_the_last_task_has_no_gradient() -> None:
    trainer = make_trainer(memory := Memory())
    trainer.train()
    assert [g["task"] for g in events(memory, "task-gradient")] == [1]
    # of 3 tasks one gradient, of 2 policies
    samples = events(memory, "end")[0]["real_samples"]["task_gradient"]
    assert samples == 2 * SETTINGS.task_gradient.real_samples


def test_a_run_without_guide_is_resumed_to_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admrl, "estimate_task_gradient", fail(SolverError("no luck")))
    make_trainer(whole := Memory()).train()
    for stop in range(1, len(whole.states)):
        with pytest.raises(KeyboardInterrupt):
            make_trainer(begun := Memory(stop_after=stop)).train()
        resumed = make_trainer(rest := Memory())
        resumed.load(begun.states[-1], begun.stored())
        resumed.train()
        ours, theirs = rest.states[-1]["counters"], whole.states[-1]["counters"]
        assert ours == theirs


def test_it_is_shown() -> None:
    config = make_config("Hopper2D", overrides={"n_tasks": 4})
    progress = RunProgress(config, stream := io.StringIO())
    progress.start([])
    record = {"task": 1, "reason": "no luck", "next_psi": [0.5, 1.25]}
    progress.record("uniform-task", record)
    assert stream.getvalue() == (
        "task 2/4  the next task is drawn uniformly: no luck; next psi (0.5, 1.25)\n"
    )
    lines = remarks.of_run([{"event": "uniform-task", **record}], 0.0)
    assert lines == ["1 of the next tasks were drawn uniformly for want of a guide: no luck"]


def test_the_paper_follows_whatever_comes() -> None:
    assert preset("paper", "Ant2D").task_selection.untrusted_gradient == "follow"
    assert preset("small", "Ant2D").task_selection.untrusted_gradient == "uniform"
