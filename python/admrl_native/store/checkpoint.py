"""Checkpoints: folders of safetensors files and one JSON file, put in place whole. No pickle.

checkpoints/000012/networks/policy.safetensors, ...
checkpoints/000012/optimisers/dynamics.safetensors, ...
checkpoints/000012/state.json      the algorithm's counters; where the run's files stood
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re
import shutil
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .files import DamagedFile, digest_of, reading, seal, sync_folder, unseal, write_durably

if TYPE_CHECKING:
    import torch

KEEP_NEWEST = 3
_NUMBER = re.compile(r"\d{6,}")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_UNFINISHED, _DISCARDED = ".part", ".old"
_TENSORS = ("networks", "optimisers")

Tensors = Mapping[str, Mapping[str, "torch.Tensor"]]


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """What was saved.

    Attributes:
        number: how many checkpoints came before it.
        task: index of the task it belongs to.
        state: what the algorithm gave: "networks", "optimisers", "counters".
        recorder: where the run's other files stood.
    """

    number: int
    task: int
    state: Mapping[str, Any]
    recorder: Mapping[str, Any]


def save(folder: pathlib.Path, checkpoint: Checkpoint) -> pathlib.Path:
    """Writes a checkpoint; it appears whole or not at all. Returns its folder."""
    import safetensors.torch

    unknown = set(checkpoint.state) - {*_TENSORS, "counters"}
    if unknown:
        raise ValueError(
            f"state: expected networks, optimisers and counters, got also {sorted(unknown)}"
        )
    final, temporary = _path(folder, checkpoint.number), folder / _UNFINISHED
    shutil.rmtree(temporary, ignore_errors=True)
    digests: dict[str, dict[str, str]] = {}
    for kind in _TENSORS:
        digests[kind] = {}
        (temporary / kind).mkdir(parents=True)
        for name, tensors in checkpoint.state[kind].items():
            if not _NAME.fullmatch(name):
                raise ValueError(f"{kind}: expected a name of letters, digits, _ . -, got {name!r}")
            # Copies: safetensors refuses tensors that share memory.
            copies = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
            content = safetensors.torch.save(copies)
            digests[kind][name] = digest_of(content)
            write_durably(temporary / kind / f"{name}.safetensors", content)
    rest = {
        "number": checkpoint.number,
        "task": checkpoint.task,
        "digests": digests,
        "counters": checkpoint.state["counters"],
        "recorder": checkpoint.recorder,
    }
    write_durably(temporary / "state.json", seal(rest, indent=1))
    for part in (*_TENSORS, "."):
        sync_folder(temporary / part)
    if final.exists():  # of an attempt that ended before anything counted on it
        _discard(folder, checkpoint.number)
    os.replace(temporary, final)
    sync_folder(folder)
    return final


def numbers(folder: pathlib.Path) -> list[int]:
    """The numbers of the checkpoints in a folder, ascending."""
    if not folder.is_dir():
        return []
    return sorted(int(p.name) for p in folder.iterdir() if p.is_dir() and _NUMBER.fullmatch(p.name))


def load(folder: pathlib.Path, number: int) -> Checkpoint:
    """Reads a checkpoint.

    Raises:
        DamagedFile: it is not what was saved, or a training has taken it away meanwhile; a
            ValueError. The message names it and says how to go on.
    """
    import safetensors.torch

    path = _path(folder, number)
    try:
        with reading(path, "a readable checkpoint", "delete it to go on from the one before"):
            rest = unseal((path / "state.json").read_bytes())
            state: dict[str, Any] = {"counters": rest["counters"]}
            for kind in _TENSORS:
                state[kind] = {
                    name: safetensors.torch.load(_stored(path / kind, name, digest))
                    for name, digest in rest["digests"][kind].items()
                }
            return Checkpoint(rest["number"], rest["task"], state, rest["recorder"])
    except DamagedFile:
        if path.is_dir():
            raise
        raise DamagedFile(
            path, "expected a checkpoint, found none: a training that goes on replaces old ones"
        ) from None


def _stored(folder: pathlib.Path, name: str, digest: str) -> bytes:
    content = (folder / f"{name}.safetensors").read_bytes()
    if digest_of(content) != digest:
        raise ValueError(f"{folder.name}/{name}.safetensors was changed")
    return content


def load_newest(folder: pathlib.Path) -> Checkpoint | None:
    """The newest checkpoint; None if there is none yet.

    Raises:
        DamagedFile: as `load`.
    """
    while found := numbers(folder):
        try:
            return load(folder, found[-1])
        except DamagedFile:
            if found[-1] in numbers(folder):
                raise  # else it was replaced while it was read
    return None


def prune(folder: pathlib.Path) -> None:
    """Deletes all but the newest few and the last one of every task."""
    found = numbers(folder)
    last_of_task = {_task(folder, number): number for number in found}
    keep = {*found[-KEEP_NEWEST:], *last_of_task.values()}
    for number in found:
        if number not in keep:
            _discard(folder, number)


def remove_after(folder: pathlib.Path, number: int) -> None:
    """Deletes what a crash left unfinished, and every checkpoint newer than this number."""
    for name in (_UNFINISHED, _DISCARDED):
        shutil.rmtree(folder / name, ignore_errors=True)
    for later in numbers(folder):
        if later > number:
            _discard(folder, later)


def _discard(folder: pathlib.Path, number: int) -> None:
    """Renames first: a folder with a number is always a whole checkpoint."""
    shutil.rmtree(folder / _DISCARDED, ignore_errors=True)
    os.replace(_path(folder, number), folder / _DISCARDED)
    shutil.rmtree(folder / _DISCARDED)


def _task(folder: pathlib.Path, number: int) -> int:
    path = _path(folder, number) / "state.json"
    with reading(path, "the state of a checkpoint"):
        return int(unseal(path.read_bytes())["task"])


def _path(folder: pathlib.Path, number: int) -> pathlib.Path:
    return folder / f"{number:06d}"
