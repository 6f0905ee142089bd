"""What survives a crash: files and folders put in place whole, locks, and YAML read strictly.

After any of these returns, its result is on the disk; if the process ends before, there is what was
there, or a leftover whose name begins or ends as below and which the next attempt replaces.
"""

from __future__ import annotations

import errno
import hashlib
import os
import pathlib
import sys
from typing import IO, Any

import yaml

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP)


def write_atomically(path: pathlib.Path, content: bytes) -> None:
    """Puts a file in place whole: a reader, or a crash, sees the old one or the new one."""
    temporary = path.with_name(f".{path.name}.part")
    write_durably(temporary, content)
    os.replace(temporary, path)
    sync_folder(path.parent)


def write_durably(path: pathlib.Path, content: bytes) -> None:
    """Writes a file and returns when it is on the disk."""
    with open(path, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(path: pathlib.Path) -> None:
    """Returns when the names in a folder are on the disk."""
    if os.name != "posix":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def digest_of(content: bytes) -> str:
    """What a stored file is known by."""
    return hashlib.blake2b(content, digest_size=8).hexdigest()


def lock_file(file: IO[bytes], *, wait: bool = False) -> bool:
    """Keeps other processes from locking an open file until it is closed; False if one did.

    Where the file system has no locks, the work goes on without, and a line says so.

    Args:
        file: open.
        wait: until nobody has it.

    Raises:
        OSError: it cannot be locked for another reason.
    """
    try:
        import fcntl
    except ImportError:  # not POSIX: no advisory locks
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES, errno.EAGAIN):
            return False
        if error.errno not in _NO_LOCKS:
            raise
        print(
            f"{file.name}: this file system has no locks; see to it that nobody else works there",
            file=sys.stderr,
        )
    return True


class _StrictLoader(yaml.SafeLoader):
    """Refuses what YAML lets pass: a key that is there twice, of which the last would count."""


def _mapping(loader: _StrictLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [loader.construct_object(key) for key, _ in node.value]
    for key in keys:
        if keys.count(key) > 1:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {key!r} is there more than once", node.start_mark
            )
    return loader.construct_mapping(node)


_StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def read_yaml(path: pathlib.Path) -> Any:
    """The content of a YAML file.

    Raises:
        ValueError: it cannot be read; one line that says where and why.
        OSError: there is no such file, or it cannot be opened.
    """
    try:
        return yaml.load(path.read_text(encoding="utf-8"), _StrictLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f"line {mark.line + 1}: "
        problem = getattr(error, "problem", None) or str(error)
        raise ValueError(f"{where}{' '.join(str(problem).split())}") from None
    except (ValueError, RecursionError, OverflowError) as error:
        raise ValueError(" ".join(str(error).split())) from None
