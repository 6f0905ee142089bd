"""The robot of a family: the files it is made of, and what makes two of them the same."""

from __future__ import annotations

import hashlib
import os
import pathlib
from collections.abc import Mapping

from .declaration import Family
from .native import model_content

Content = Mapping[str, bytes]  # of a compiled model, by field


def digest(content: Content) -> str:
    """Of a compiled model: equal if all of its fields are."""
    text = hashlib.blake2b(digest_size=12)
    for name in sorted(content):
        text.update(name.encode() + b"\0" + content[name] + b"\0")
    return text.hexdigest()


def robot_of(family: Family) -> str:
    """The digest of a family's robot, as its files are now.

    Raises:
        ValueError: the model does not load.
        FileNotFoundError: there is no such model.
    """
    return digest(model_content(family.model_path()))


def differing_fields(ours: Content, theirs: Content, most: int = 3) -> str:
    """The names of fields in which two compiled models differ, "" if they are the same."""
    names = [name for name in sorted(ours.keys() | theirs) if ours.get(name) != theirs.get(name)]
    more = [f"{len(names) - most} more"] if len(names) > most else []
    return ", ".join(names[:most] + more)


def copy_robot(family: Family, folder: pathlib.Path) -> pathlib.Path:
    """Copies the files that a family's robot is made of; returns the XML file among the copies.

    They lie to one another as they do at home.

    Raises:
        ValueError: the model does not load, or names a file by its absolute path.
        FileNotFoundError: there is no such model.
        OSError: a file cannot be copied.
    """
    source = family.model_path().resolve()
    content = model_content(source)
    files = _files(source)
    home = pathlib.Path(os.path.commonpath([file.parent for file in files]))
    for file in files:
        target = folder / file.relative_to(home)
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(target, "wb") as copy:
            copy.write(file.read_bytes())
            copy.flush()
            os.fsync(copy.fileno())
    copied = folder / source.relative_to(home)
    outside = [file for file in _files(copied) if not file.is_relative_to(folder.resolve())]
    if outside:
        raise ValueError(
            f"model: expected files named relative to {source}, so that a run can keep a copy, "
            f"got {outside[0]}"
        )
    if model_content(copied) != content:
        raise ValueError(f"model: expected files that stay as they are, but {source} changed")
    return copied


def _files(path: pathlib.Path) -> list[pathlib.Path]:
    """The XML file and all that it includes or names, and so on."""
    if b"file=" not in path.read_bytes().replace(b" ", b""):
        return [path.resolve()]
    import mujoco  # a third of a second, and only where there is more than one file

    found = {pathlib.Path(name).resolve() for name in mujoco.mju_getXMLDependencies(str(path))}
    return sorted({path.resolve(), *found})
