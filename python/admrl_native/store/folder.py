"""The run folder: where its parts lie, how it is created and opened."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import shutil
from collections.abc import Iterator
from typing import Any, BinaryIO

import yaml

from ..configuration.config import Config
from ..families.declaration import Family
from ..families.native import model_content
from ..families.robot import copy_robot, differing_fields
from ..families.world import World
from ..settings import SettingError
from .files import lock_file, read_yaml, reading, write_atomically
from .metrics import read_records
from .provenance import package_version, provenance

# Raised whenever a folder of an earlier version could not be continued exactly.
FORMAT = 2
OLD_FORMATS = (1,)  # can be read, but do not hold the robot


@dataclasses.dataclass(frozen=True)
class RunFolder:
    """Names the parts of a run folder; see `create` and `open_folder`."""

    path: pathlib.Path

    @property
    def config(self) -> pathlib.Path:
        return self.path / "config.yaml"

    @property
    def metrics(self) -> pathlib.Path:
        return self.path / "metrics.jsonl"

    @property
    def tasks(self) -> pathlib.Path:
        return self.path / "tasks.csv"

    @property
    def checkpoints(self) -> pathlib.Path:
        return self.path / "checkpoints"

    @property
    def data(self) -> pathlib.Path:
        return self.path / "data"

    @property
    def robot(self) -> pathlib.Path:
        return self.path / "robot"

    @property
    def picture(self) -> pathlib.Path:
        return self.path / "summary.png"


def is_part_of_run(file: pathlib.Path, run: pathlib.Path) -> bool:
    """Whether a file is one of those that a run, its evaluations or its check are made of."""
    inside, folder = file.resolve(), RunFolder(run.resolve())
    parts = [folder.config, folder.metrics, folder.tasks, folder.checkpoints, folder.data]
    parts += [folder.robot, folder.path / "evaluation", folder.path / "gradient_check.jsonl"]
    return any(inside.is_relative_to(part) for part in parts)


def default_path(config: Config, parent: pathlib.Path = pathlib.Path("runs")) -> pathlib.Path:
    """A new path for a run, named after what it is; numbered if there is one already."""
    name = f"{config.family.name}-{config.method}-{config.preset}-seed{config.seed}".lower()
    path, number = parent / name, 1
    while path.exists():
        number += 1
        path = parent / f"{name}-{number}"
    return path


def create(path: pathlib.Path, config: Config) -> RunFolder:
    """Makes a run folder with its config.yaml and a copy of the robot.

    Args:
        path: must not exist, or be an empty folder, or one that this has made and nobody used.
        config: the run's configuration.

    Raises:
        SettingError: the folder has files in it or cannot be written, or the robot cannot be
            copied.
    """
    expected = "expected a new or empty folder that can be written"
    try:
        path.mkdir(parents=True, exist_ok=True)
        if not never_begun(path):
            raise SettingError("out", f"{expected}, got {path}, which has files in it")
        folder = RunFolder(path)
        folder.checkpoints.mkdir(exist_ok=True)
        folder.data.mkdir(exist_ok=True)
        shutil.rmtree(folder.robot, ignore_errors=True)
        copied = copy_robot(config.family, folder.robot)
        header = {"format": FORMAT, "version": package_version()}
        own = _with_robot(config, copied)
        world = World.of(own.family, own.training.physics).record()
        world["model"] = copied.relative_to(folder.path).as_posix()
        text = yaml.safe_dump(header, sort_keys=False)
        text += config.to_yaml({"world": world, **provenance()})
        write_atomically(folder.config, text.encode())
    except OSError as error:
        raise SettingError("out", f"{expected}, got {path}: {error.strerror}") from None
    except SettingError:
        raise
    except ValueError as error:
        raise SettingError("", str(error)) from None
    return folder


@contextlib.contextmanager
def removed_if_nothing_is_learned(
    folder: RunFolder, go_on: list[str] | None = None
) -> Iterator[None]:
    """Takes a new folder away again where the work cannot begin: nothing refuses the next attempt.

    Args:
        folder: made by `create`.
        go_on: commands that go on with it; emptied.
    """
    try:
        yield
    except (SettingError, MemoryError, OSError, RuntimeError):
        if not any(folder.checkpoints.iterdir()):
            shutil.rmtree(folder.path, ignore_errors=True)
            if go_on is not None:
                go_on.clear()
        raise


def never_begun(path: pathlib.Path) -> bool:
    """There is no folder, an empty one, or one whose run was interrupted before it had begun."""
    if path.exists() and not path.is_dir():
        return False
    folder = RunFolder(path)
    ours = [".config.yaml.part"]
    if all(p.is_dir() for p in (folder.checkpoints, folder.data, folder.robot)):
        ours.append(folder.config.name)
    return all(
        p.is_dir() or p.name in ours or p.is_relative_to(folder.robot) for p in path.rglob("*")
    )


def _with_robot(config: Config, model: pathlib.Path) -> Config:
    """The configuration with another file for its robot."""
    family = dataclasses.replace(config.family, model=str(model.resolve()))
    return dataclasses.replace(config, family=family)


def open_folder(
    path: pathlib.Path, *, name: str = "resume", to_read: bool = False
) -> tuple[RunFolder, Config]:
    """The folder of an earlier run, and its configuration with the run's own copy of the robot.

    Args:
        path: the folder.
        name: what the caller calls it, for the error message.
        to_read: nothing is to be computed: folder format 1 and other simulators will do.

    Raises:
        SettingError: not a run folder, from another version, its configuration is damaged, or its
            world is not the one that there is now.
    """
    folder, values = _read(path, name)
    _check_version(name, path, values, OLD_FORMATS if to_read else ())
    try:
        config = Config.from_dict(values)
        world = _stored_world(folder, values)
    except (ValueError, TypeError, KeyError) as error:
        raise SettingError(name, f"expected a valid {folder.config}: {error}") from None
    if values["format"] in OLD_FORMATS:
        return folder, config
    config = _with_robot(config, folder.path / world["model"])
    if not to_read:
        _check_world(name, folder, config, world)
    return folder, config


def recorded_world(path: pathlib.Path) -> World:
    """The world of a run, as its folder has it.

    Raises:
        SettingError: as `open_folder`, to read.
    """
    _, config = open_folder(path, name="run", to_read=True)
    folder, values = _read(path, "run")
    return World.recorded(config.family, config.training.physics, _stored_world(folder, values))


def check_source(folder: RunFolder) -> None:
    """Whether the file that a run's robot was copied from, if it is still there, is that robot yet.

    The run would go on with its copy; who edited the file may expect that it counts.

    Raises:
        SettingError: it is another robot by now.
    """
    _, values = _read(folder.path, "resume")
    try:
        source = Family.from_dict(values["family_definition"]).model_path()
        theirs = model_content(source)
    except (ValueError, OSError):
        return
    fields = differing_fields(model_content(folder.path / values["world"]["model"]), theirs)
    if fields:
        raise SettingError(
            "resume",
            f"expected {source} as {folder.path} began with, but {fields} differ; restore it, or "
            "begin a new run",
        )


def _read(path: pathlib.Path, name: str) -> tuple[RunFolder, dict[str, Any]]:
    """A folder, and what its config.yaml says."""
    folder = RunFolder(path)
    if not folder.config.is_file():
        raise SettingError(name, f"expected a run folder, got {path}, which has no config.yaml")
    try:
        values = read_yaml(folder.config)
    except (OSError, ValueError) as error:
        raise SettingError(name, f"expected a readable {folder.config}: {error}") from None
    if not isinstance(values, dict) or "format" not in values:
        raise SettingError(name, f"expected {folder.config} to name its format, which it does not")
    return folder, values


def _check_version(
    name: str, path: pathlib.Path, values: dict[str, Any], others: tuple[int, ...]
) -> None:
    ours, theirs = package_version(), str(values.get("version"))
    known = values["format"] in (FORMAT, *others)
    if not known or theirs.split(".")[:2] != ours.split(".")[:2]:
        series = ".".join(ours.split(".")[:2])
        why = ", which does not hold its robot: a report can be made of it, and no more"
        raise SettingError(
            name,
            f"expected a run of admrl_native {series} (folder format {FORMAT}), "
            f"got {path}, written by {theirs} (folder format {values['format']})"
            + (why if values["format"] in OLD_FORMATS else ""),
        )


def _stored_world(folder: RunFolder, values: dict[str, Any]) -> dict[str, Any]:
    """The part "world" of config.yaml; {} for folder format 1."""
    if values["format"] in OLD_FORMATS:
        return {}
    world = values.get("world")
    if not isinstance(world, dict) or world.keys() != {"robot", "mujoco", "rules", "model"}:
        raise ValueError(f"world: expected robot, mujoco, rules and model, got {world!r}")
    model = pathlib.PurePosixPath(str(world["model"]))
    if model.is_absolute() or ".." in model.parts or not (folder.path / model).is_file():
        raise ValueError(f"world: expected the run's own copy of its robot, found no {model}")
    return world


def _check_world(name: str, folder: RunFolder, config: Config, stored: dict[str, Any]) -> None:
    try:
        now = World.of(config.family, config.training.physics).record()
    except (ValueError, OSError) as error:
        problem = f"expected the robot of the run to load: {error} ({folder.path})"
        raise SettingError(name, problem) from None
    expected = {
        "mujoco": "MuJoCo {0} as the run began with, found {1}; pip install mujoco-core=={0}",
        "rules": "rules {0} of the simulation as the run began with, found {1}: it needs the "
        "admrl_native that it was begun with",
        "robot": f"{stored['model']} as it was copied into the run, but it was changed",
    }
    for key, text in expected.items():
        if now[key] != stored[key]:
            problem = text.format(stored[key], now[key])
            raise SettingError(name, f"expected {problem} ({folder.path})")


def lock(folder: RunFolder) -> BinaryIO:
    """Keeps other processes from training in the folder until the file it returns is closed.

    Raises:
        SettingError: another process is training there.
    """
    try:
        file = open(folder.path / ".lock", "wb")  # noqa: SIM115  (open as long as the run)
        free = lock_file(file)
    except OSError as error:
        raise SettingError("resume", f"expected a folder to write in: {error}") from error
    if not free:
        file.close()
        raise SettingError(
            "resume", f"expected a folder nobody trains in, got {folder.path}, which is in use"
        )
    return file


def is_complete(folder: RunFolder) -> bool:
    """Whether the run came to its end: its last record is "end".

    Raises:
        SettingError: the metrics cannot be read.
    """
    with reading(folder.metrics, "the records of a run"):
        lines = read_records(folder.metrics)
    return bool(lines) and lines[-1]["event"] == "end"
