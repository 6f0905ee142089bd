"""What a resumed run refuses, and what it leaves alone: nothing is thrown away unasked."""

from __future__ import annotations

import errno
import fcntl
import json
import pathlib
import shutil
from collections.abc import Callable
from typing import Any

import pytest
import yaml

import admrl_native as admrl
from admrl_native import cli
from admrl_native.activities.training.recorder import Recorder
from admrl_native.settings import SettingError
from admrl_native.store import checkpoint as checkpoints
from admrl_native.store.files import lock_file, read_yaml
from toy import OPTIONS


class StopError(Exception):
    pass


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A run that stopped after its fifth checkpoint."""
    path = tmp_path_factory.mktemp("runs") / "run"
    save, saved = Recorder.checkpoint, []

    def stop(self: Recorder, state: Any) -> None:
        save(self, state)
        saved.append(1)
        if len(saved) == 5:
            raise StopError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Recorder, "checkpoint", stop)
        with pytest.raises(StopError):
            admrl.train(out=path, threads=1, progress=False, **OPTIONS)
    return path


@pytest.fixture
def run(begun: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    return shutil.copytree(begun, tmp_path / "run")


def files(run: pathlib.Path) -> dict[str, bytes]:
    return {
        p.relative_to(run).as_posix(): p.read_bytes()
        for p in run.rglob("*")
        if p.is_file() and p.name != ".lock"
    }


def _config(change: Callable[[dict[str, Any]], None]) -> Callable[[pathlib.Path], None]:
    def damage(run: pathlib.Path) -> None:
        values = yaml.safe_load((run / "config.yaml").read_text())
        change(values)
        (run / "config.yaml").write_text(yaml.safe_dump(values))

    return damage


def _twice(run: pathlib.Path) -> None:
    with open(run / "config.yaml", "a") as file:
        file.write("\nseed: 3\n")


def _shard(run: pathlib.Path) -> pathlib.Path:
    return run / "data" / "train-000001.safetensors"


def _flip(path: pathlib.Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


DAMAGES: dict[str, tuple[Callable[[pathlib.Path], Any], str]] = {
    "no folder of checkpoints": (
        lambda run: shutil.rmtree(run / "checkpoints"),
        r"expected the run's checkpoints in .*, found none; bring them back",
    ),
    "no checkpoint in it": (
        lambda run: [shutil.rmtree(p) for p in (run / "checkpoints").iterdir()],
        r"expected the run's checkpoints in .*, found none; bring them back",
    ),
    "another seed": (_config(lambda v: v.update(seed=7)), "expected seed: 0 in .* got 7; it was"),
    "another horizon": (
        _config(lambda v: v["settings"]["physics"].update(horizon=21)),
        "expected horizon: 20 in .* got 21; it was edited",
    ),
    "another box": (
        _config(lambda v: v["family_definition"].update(task_low=[-1.0, 1.2])),
        r"expected task_low: \[-2.0, 1.2\] in .* got \[-1.0, 1.2\]; it was edited",
    ),
    "a key twice": (_twice, "the key 'seed' is there more than once"),
    "a shard that is shorter": (
        lambda run: _shard(run).write_bytes(_shard(run).read_bytes()[:-80]),
        r"train-000001.safetensors: expected the data shard that was stored, but it was changed",
    ),
    "a shard with another number": (lambda run: _flip(_shard(run)), "but it was changed"),
    "no shard": (lambda run: _shard(run).unlink(), "expected a data shard that the checkpoint"),
    "fewer metrics": (
        lambda run: (run / "metrics.jsonl").write_text('{"event": "x", "wall_seconds": 1}\n'),
        r"metrics.jsonl: expected at least \d+ lines, got 1",
    ),
}


@pytest.mark.parametrize("what", DAMAGES)
def test_a_damaged_run_is_refused_and_left_as_it_is(run: pathlib.Path, what: str) -> None:
    damage, message = DAMAGES[what]
    damage(run)
    before = files(run)
    with pytest.raises(SettingError, match=message):
        admrl.resume(run, threads=1, progress=False)
    assert files(run) == before


def test_other_peoples_files_stay(run: pathlib.Path) -> None:
    foreign = [run / "notes.txt", run / "data" / "notes.txt", run / "checkpoints" / "mine"]
    for path in foreign:
        path.write_text("mine")
    leftover = run / "data" / ".train-000002.safetensors.part"
    leftover.write_text("half")
    admrl.resume(run, threads=1, progress=False)
    assert [path.read_text() for path in foreign] == ["mine"] * 3
    assert not leftover.exists()


def test_threads_may_differ(run: pathlib.Path) -> None:
    admrl.resume(run, threads=2, progress=False)
    state = json.loads((run / "checkpoints" / "000008" / "state.json").read_text())
    assert "threads" not in state["recorder"]["config"]


def test_what_a_crash_kept_from_pruning(run: pathlib.Path, begun: pathlib.Path) -> None:
    kept = checkpoints.numbers(run / "checkpoints")
    old = min(set(range(kept[-1])) - set(kept))
    shutil.copytree(run / "checkpoints" / f"{kept[0]:06d}", run / "checkpoints" / f"{old:06d}")
    admrl.resume(run, threads=1, progress=False)
    whole = shutil.copytree(begun, run.parent / "whole")
    admrl.resume(whole, threads=1, progress=False)
    assert checkpoints.numbers(run / "checkpoints") == checkpoints.numbers(whole / "checkpoints")


@pytest.mark.parametrize(
    ("code", "free"),
    [(errno.ENOLCK, True), (errno.ENOSYS, True), (errno.EWOULDBLOCK, False), (errno.EIO, None)],
)
def test_what_a_lock_says(
    code: int,
    free: bool | None,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(code, "no")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with open(tmp_path / "lock", "wb") as file:
        if free is None:
            with pytest.raises(OSError, match="no"):
                lock_file(file)
        else:
            assert lock_file(file) is free
    assert ("has no locks" in capsys.readouterr().err) == (free is True)


def test_yaml_is_read_strictly(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "config.yaml"
    for text in ("a: 1\nb: {c: 1, c: 2}", "a: !!python/name:os.system", "a: [", "a: 2001-99-99"):
        path.write_text(text)
        with pytest.raises(ValueError, match=r"^[^\n]+$"):
            read_yaml(path)


def test_what_is_computed_from_a_run_reads_its_data_whole(
    run: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _flip(_shard(run))
    with pytest.raises(SettingError, match=r"data/train-\d+.safetensors: expected .* was chang"):
        admrl.Run.load(run, threads=1).adapt([0.5, 1.4])
    command = ["evaluate", str(run), "--no-oracle", "--episodes", "2", "--workers", "1"]
    assert cli.main(command) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "but it was changed" in error
