"""The run folder: where its parts lie, how it is created and opened."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from typing import Any, BinaryIO

import yaml

from ..settings import SettingError
from .config import Config
from .provenance import package_version, provenance

# Raised whenever a folder of an earlier version could not be continued exactly.
FORMAT = 1


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
    def picture(self) -> pathlib.Path:
        return self.path / "summary.png"


def default_path(config: Config, parent: pathlib.Path = pathlib.Path("runs")) -> pathlib.Path:
    """A new path for a run, named after what it is; numbered if there is one already."""
    name = f"{config.family.name}-{config.method}-{config.preset}-seed{config.seed}".lower()
    path, number = parent / name, 1
    while path.exists():
        number += 1
        path = parent / f"{name}-{number}"
    return path


def create(path: pathlib.Path, config: Config) -> RunFolder:
    """Makes a run folder with its config.yaml.

    Args:
        path: must not exist, or be an empty folder.
        config: the run's configuration.

    Raises:
        SettingError: the folder has files in it or cannot be written.
    """
    expected = "expected a new or empty folder that can be written"
    try:
        path.mkdir(parents=True, exist_ok=True)
        if any(path.iterdir()):
            raise SettingError("out", f"{expected}, got {path}, which has files in it")
        folder = RunFolder(path)
        folder.checkpoints.mkdir()
        folder.data.mkdir()
        header = {"format": FORMAT, "version": package_version()}
        text = yaml.safe_dump(header, sort_keys=False) + config.to_yaml(provenance())
        write_atomically(folder.config, text.encode())
    except OSError as error:
        raise SettingError("out", f"{expected}, got {path}: {error.strerror}") from None
    return folder


def open_folder(path: pathlib.Path, *, name: str = "resume") -> tuple[RunFolder, Config]:
    """The folder of an earlier run, and its configuration.

    Args:
        path: the folder.
        name: what the caller calls it, for the error message.

    Raises:
        SettingError: not a run folder, from another version, or its configuration is damaged.
    """
    folder = RunFolder(path)
    if not folder.config.is_file():
        raise SettingError(name, f"expected a run folder, got {path}, which has no config.yaml")
    try:
        values = yaml.safe_load(folder.config.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = str(error).splitlines()[0]
        raise SettingError(name, f"expected a readable {folder.config}: {reason}") from None
    if not isinstance(values, dict) or "format" not in values:
        raise SettingError(name, f"expected {folder.config} to name its format, which it does not")
    _check_version(name, path, values)
    try:
        config = Config.from_dict(values)
    except (ValueError, TypeError, KeyError) as error:
        raise SettingError(name, f"expected a valid {folder.config}: {error}") from None
    return folder, config


def _check_version(name: str, path: pathlib.Path, values: dict[str, Any]) -> None:
    ours, theirs = package_version(), str(values.get("version"))
    if values["format"] != FORMAT or theirs.split(".")[:2] != ours.split(".")[:2]:
        series = ".".join(ours.split(".")[:2])
        raise SettingError(
            name,
            f"expected a run of admrl_native {series} (folder format {FORMAT}), "
            f"got {path}, written by {theirs} (folder format {values['format']})",
        )


def lock(folder: RunFolder) -> BinaryIO:
    """Keeps other processes from training in the folder until the file it returns is closed.

    Raises:
        SettingError: another process is training there.
    """
    try:
        file = open(folder.path / ".lock", "wb")  # noqa: SIM115  (open as long as the run)
    except OSError as error:
        raise SettingError("resume", f"expected a folder to write in: {error}") from error
    if not lock_file(file):
        file.close()
        raise SettingError(
            "resume", f"expected a folder nobody trains in, got {folder.path}, which is in use"
        )
    return file


def lock_file(file: BinaryIO) -> bool:
    """Keeps other processes from locking an open file until it is closed; False if one did."""
    try:
        import fcntl
    except ImportError:  # not POSIX: no advisory locks
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def write_atomically(path: pathlib.Path, content: bytes) -> None:
    """Puts a file in place whole: a reader, or a crash, sees the old one or the new one."""
    temporary = path.with_name(f".{path.name}.part")
    with open(temporary, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
