"""Checkpoints, stored data, and a resume that is exact."""

from __future__ import annotations

import json
import pathlib
from types import ModuleType
from typing import Any

import pytest
import torch

import admrl_native as admrl
from admrl_native.activities.training.recorder import Recorder
from admrl_native.configuration.config import make_config
from admrl_native.settings import SettingError
from admrl_native.show.progress import Progress
from admrl_native.store import checkpoint as checkpoints
from admrl_native.store import folder as folders
from admrl_native.store.checkpoint import Checkpoint
from admrl_native.store.data import DataShards
from admrl_native.store.folder import is_complete

# What differs between two runs of the same bits: times, and files made of them.
_TIMED = ("config.yaml", "summary.png", ".lock")


def _state(value: float) -> dict[str, Any]:
    shared = torch.full((2, 3), value)
    return {
        "networks": {"agent.policy": {"weight": shared, "transposed": shared.T}},
        "optimisers": {"adam": {"step": torch.tensor(value, dtype=torch.float64)}, "none": {}},
        "counters": {"task": 1, "u": [value], "progress": None},
    }


def test_a_checkpoint_comes_back_as_it_was(tmp_path: pathlib.Path) -> None:
    before = Checkpoint(0, 2, _state(0.1), {"metrics_lines": 3})
    checkpoints.save(tmp_path, before)
    after = checkpoints.load_newest(tmp_path)
    assert after is not None
    assert (after.number, after.task, after.recorder) == (0, 2, {"metrics_lines": 3})
    assert after.state["counters"] == before.state["counters"]
    for kind in ("networks", "optimisers"):
        assert after.state[kind].keys() == before.state[kind].keys()
        for name, tensors in before.state[kind].items():
            assert after.state[kind][name].keys() == tensors.keys()
            for key, tensor in tensors.items():
                assert after.state[kind][name][key].dtype == tensor.dtype
                assert torch.equal(after.state[kind][name][key], tensor)


def test_there_is_no_pickle_in_a_checkpoint(tmp_path: pathlib.Path) -> None:
    path = checkpoints.save(tmp_path, Checkpoint(0, 0, _state(1.0), {}))
    suffixes = {p.suffix for p in path.rglob("*") if p.is_file()}
    assert suffixes == {".safetensors", ".json"}


def test_the_newest_and_the_last_of_every_task_are_kept(tmp_path: pathlib.Path) -> None:
    tasks = [0, 0, 0, 1, 1, 2, 2, 2, 2, 2]
    for number, task in enumerate(tasks):
        checkpoints.save(tmp_path, Checkpoint(number, task, _state(number), {}))
        checkpoints.prune(tmp_path)
    assert checkpoints.numbers(tmp_path) == [2, 4, 7, 8, 9]
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"{n:06d}" for n in (2, 4, 7, 8, 9)]


def test_an_unfinished_checkpoint_is_not_seen(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints.save(tmp_path, Checkpoint(0, 0, _state(0.0), {}))

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints.os, "replace", crash)
        with pytest.raises(KeyboardInterrupt):
            checkpoints.save(tmp_path, Checkpoint(1, 0, _state(1.0), {}))
    assert checkpoints.numbers(tmp_path) == [0]
    checkpoints.save(tmp_path, Checkpoint(1, 0, _state(1.0), {}))
    assert checkpoints.numbers(tmp_path) == [0, 1]


def test_a_damaged_checkpoint_is_named(tmp_path: pathlib.Path) -> None:
    path = checkpoints.save(tmp_path, Checkpoint(7, 0, _state(0.0), {}))
    weights = path / "networks/agent.policy.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(ValueError, match="000007: expected a readable checkpoint"):
        checkpoints.load_newest(tmp_path)


@pytest.mark.parametrize(
    "state",
    [
        {"networks": {}, "optimisers": {}, "counters": {}, "generators": {}},
        {"networks": {"../policy": {}}, "optimisers": {}, "counters": {}},
    ],
)
def test_what_a_checkpoint_cannot_hold_is_refused(
    tmp_path: pathlib.Path, state: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match="expected"):
        checkpoints.save(tmp_path, Checkpoint(0, 0, state, {}))
    assert checkpoints.numbers(tmp_path) == []


def _rows(value: float, count: int = 2) -> dict[str, torch.Tensor]:
    return {"obs": torch.full((count, 3), value), "actions": torch.full((count, 1), -value)}


def test_data_comes_back_in_the_order_it_was_stored(tmp_path: pathlib.Path) -> None:
    data = DataShards(tmp_path)
    for value in (1.0, 2.0, 3.0):
        data.append("train", _rows(value))
    data.append("validation", _rows(9.0))
    loaded = data.load()
    assert torch.equal(loaded["train"]["obs"][:, 0], torch.tensor([1.0, 1, 2, 2, 3, 3]))
    assert torch.equal(loaded["train"]["actions"][:, 0], -torch.tensor([1.0, 1, 2, 2, 3, 3]))
    assert loaded["validation"]["obs"].shape == (2, 3)
    data.truncate({"train": 2}, data.digests)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "train-000000.safetensors",
        "train-000001.safetensors",
    ]
    assert data.load().keys() == {"train"}


def test_data_that_cannot_be_stored_or_is_missing_is_named(tmp_path: pathlib.Path) -> None:
    data = DataShards(tmp_path)
    with pytest.raises(ValueError, match="expected tensors of one length"):
        data.append("train", {"obs": torch.zeros(2, 3), "actions": torch.zeros(1, 3)})
    with pytest.raises(ValueError, match="purpose: expected lower-case"):
        data.append("../train", _rows(0.0))
    with pytest.raises(FileNotFoundError, match="train-000000"):
        data.truncate({"train": 1}, {})


def _contents(path: pathlib.Path) -> dict[str, object]:
    """Every file of a run folder, without the wall times."""
    found: dict[str, object] = {}
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        name = str(file.relative_to(path))
        if name in _TIMED:
            continue
        if name.startswith("events."):
            found["events"] = True
        elif name == "metrics.jsonl":
            lines = [json.loads(line) for line in file.read_text().splitlines()]
            found[name] = [{k: v for k, v in x.items() if k != "wall_seconds"} for x in lines]
        elif file.name == "state.json":
            state = json.loads(file.read_text())
            del state["recorder"]["wall_seconds"]
            found[name] = state
        else:
            found[name] = file.read_bytes()
    return found


@pytest.fixture
def no_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes longer than everything else in a tiny run."""
    monkeypatch.setattr("admrl_native.activities.training.run.write_summary", lambda *_: None)


@pytest.fixture(scope="module")
def uninterrupted() -> dict[str, object]:
    """Filled by the first test that needs it."""
    return {}


_CALLS = 84  # of the observer, in the tiny run


# At the very first and last calls, right after a checkpoint, and here and there.
@pytest.mark.usefixtures("no_picture")
@pytest.mark.parametrize("calls", [0, 1, 5, 11, 12, 37, 38, 45, 60, 75, _CALLS - 2, _CALLS - 1])
def test_an_interrupted_run_ends_like_one_that_was_not(
    fake: ModuleType,
    tiny: dict[str, Any],
    uninterrupted: dict[str, object],
    tmp_path: pathlib.Path,
    calls: int,
) -> None:
    if not uninterrupted:
        admrl.train(out=tmp_path / "whole", progress=False, seed=3, **tiny)
        assert fake.INTERRUPTION.calls == _CALLS
        uninterrupted.update(_contents(tmp_path / "whole"))
    fake.INTERRUPTION.at_call = calls
    with pytest.raises(KeyboardInterrupt):
        admrl.train(out=tmp_path / "run", progress=False, seed=3, **tiny)
    assert not is_complete(folders.RunFolder(tmp_path / "run"))
    # Resumed twice, so that a resumed run is resumed as well.
    fake.INTERRUPTION.at_call = 12
    try:
        admrl.resume(tmp_path / "run", progress=False)
    except KeyboardInterrupt:
        fake.INTERRUPTION.at_call = None
        admrl.resume(tmp_path / "run", progress=False, threads=1)
    assert is_complete(folders.RunFolder(tmp_path / "run"))
    assert _contents(tmp_path / "run") == uninterrupted


@pytest.mark.usefixtures("no_picture")
def test_another_seed_gives_another_run(
    fake: ModuleType, tiny: dict[str, Any], tmp_path: pathlib.Path
) -> None:
    for seed in (1, 2):
        admrl.train(out=tmp_path / str(seed), progress=False, seed=seed, **tiny)
    assert _contents(tmp_path / "1")["tasks.csv"] != _contents(tmp_path / "2")["tasks.csv"]


@pytest.mark.usefixtures("no_picture")
def test_wall_time_goes_on_counting(
    fake: ModuleType, tiny: dict[str, Any], tmp_path: pathlib.Path
) -> None:
    fake.INTERRUPTION.at_call = 40
    with pytest.raises(KeyboardInterrupt):
        admrl.train(out=tmp_path / "run", progress=False, **tiny)
    newest = checkpoints.load_newest(tmp_path / "run/checkpoints")
    assert newest is not None
    fake.INTERRUPTION.at_call = None
    times = [x["wall_seconds"] for x in admrl.resume(tmp_path / "run", progress=False).metrics()]
    assert times == sorted(times)
    # Rounded to milliseconds in metrics.jsonl.
    assert times[-1] >= newest.recorder["wall_seconds"] - 0.001


def test_two_processes_cannot_train_in_one_folder(tmp_path: pathlib.Path) -> None:
    pytest.importorskip("fcntl", reason="folders are locked on POSIX only")
    config = make_config()
    folder = folders.create(tmp_path / "run", config)
    recorder = Recorder(folder, config, Progress())
    with pytest.raises(SettingError, match="which is in use"):
        Recorder(folder, config, Progress())
    recorder.close()
    Recorder(folder, config, Progress()).close()


def test_a_damaged_run_is_named_and_left_alone(
    fake: ModuleType, tiny: dict[str, Any], tmp_path: pathlib.Path
) -> None:
    fake.INTERRUPTION.at_call = 40
    with pytest.raises(KeyboardInterrupt):
        admrl.train(out=tmp_path / "run", progress=False, **tiny)
    (tmp_path / "run/data/train-000000.safetensors").unlink()
    for _ in range(2):  # the second time: the lock of the first is gone
        with pytest.raises(SettingError, match=r"undamaged run folder.*train-000000"):
            admrl.resume(tmp_path / "run", progress=False)
