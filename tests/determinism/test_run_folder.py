"""A real run through its folder: interrupted and resumed, it is the uninterrupted one."""

import json
import pathlib

import pytest

import admrl_native as admrl
from admrl_native.activities.training.recorder import Recorder
from toy import OPTIONS


def train(out: pathlib.Path) -> None:
    admrl.train("Hopper2D", out=out, threads=1, progress=False, **OPTIONS)


def contents(out: pathlib.Path) -> dict[str, object]:
    """What a run computed: everything but wall times."""
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        line.pop("wall_seconds")
    stored = sorted(p for p in out.rglob("*.safetensors"))
    return {
        "metrics": lines,
        "tasks": (out / "tasks.csv").read_text(),
        "tensors": {str(p.relative_to(out)): p.read_bytes() for p in stored},
    }


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "whole"
    train(out)
    return contents(out)


# A run makes 8 checkpoints: 2 stages, the end of task 1, then 3 for each of two tasks.
@pytest.mark.parametrize(("at", "after_saving"), [(1, True), (4, False), (5, True), (7, False)])
def test_resumed_run_is_the_uninterrupted_one(
    uninterrupted, tmp_path, monkeypatch, at, after_saving
):
    save, count = Recorder.checkpoint, 0

    def interrupted(self, state):
        nonlocal count
        count += 1
        if count == at and not after_saving:
            raise KeyboardInterrupt
        save(self, state)
        if count == at:
            raise KeyboardInterrupt

    out = tmp_path / "run"
    monkeypatch.setattr(Recorder, "checkpoint", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(out)
    monkeypatch.undo()
    run = admrl.resume(out, threads=2, progress=False)
    assert contents(out) == uninterrupted
    assert run.metrics()[-1]["event"] == "end"
