"""What survives a crash: files and folders put in place whole, locks, and YAML read strictly.

After any of these returns, its result is on the disk; if the process ends before, there is what was
there, or a leftover whose name begins or ends as below and which the next attempt replaces.
"""

from __future__ import annotations

import contextlib
import csv
import errno
import hashlib
import json
import math
import os
import pathlib
import sys
from collections.abc import Iterator, Mapping
from typing import IO, Any

import yaml

from ..errors import in_one_line
from ..settings import SettingError

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP)


class DamagedFile(SettingError):
    """A file that is not what was stored, or cannot be read: one line that begins with its path."""

    def __init__(self, path: pathlib.Path | str, problem: str) -> None:
        super().__init__("", f"{path}: {problem}")
        self._arguments = path, problem

    def __reduce__(self) -> tuple[type[DamagedFile], tuple[pathlib.Path | str, str]]:  # type: ignore[override]
        return type(self), self._arguments


@contextlib.contextmanager
def reading(path: pathlib.Path, expected: str, then: str = "") -> Iterator[None]:
    """Whatever damaged content makes of the code that takes it in is a `DamagedFile`.

    Args:
        path: of the file or folder.
        expected: what it should be.
        then: what can be done about it.
    """
    try:
        yield
    except (SettingError, MemoryError):
        raise
    except _of_content() as error:
        if isinstance(told := in_one_line(error), MemoryError):
            raise told from error
        hint = f"; {then}" if then else ""
        raise DamagedFile(path, f"expected {expected}: {_reason(error)}{hint}") from error


def _of_content() -> tuple[type[Exception], ...]:
    """What reading raises: of Python, of csv and YAML, of torch (RuntimeError), of safetensors."""
    safetensors = sys.modules.get("safetensors")
    others = () if safetensors is None else (safetensors.SafetensorError,)
    return (
        ArithmeticError, AttributeError, EOFError, LookupError, OSError, RuntimeError, TypeError,
        ValueError, csv.Error, yaml.YAMLError, *others,
    )  # fmt: skip


def _reason(error: Exception, most: int = 200) -> str:
    if isinstance(error, KeyError):
        text = f"it has no {error}"
    elif isinstance(error, OSError) and error.strerror:
        text = error.strerror
    else:
        text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= most else f"{text[: most - 3]}..."


def parse_json(text: str) -> Any:
    """What a file of JSON says; only what this package writes: no NaN, no key twice.

    Raises:
        ValueError: it is not JSON, or has numbers that are none.
    """
    try:
        return _DECODER.decode(text)
    except RecursionError:
        raise ValueError("lists in lists, too deep") from None


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is there more than once")
    return found


def _number(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError(f"{text[:40]} is no finite number")
    return value


def _integer(text: str) -> int:
    if len(text) > 20:
        raise ValueError(f"{text[:40]}... is too large a number")
    return int(text)


_DECODER = json.JSONDecoder(
    object_pairs_hook=_pairs, parse_float=_number, parse_int=_integer, parse_constant=_number
)


def seal(values: Mapping[str, Any], indent: int | None = None) -> bytes:
    """JSON that knows its own content, but for seconds: what `unseal` reads."""
    return json.dumps({**values, "digest": _digest_of_json(values)}, indent=indent).encode()


def unseal(content: bytes) -> dict[str, Any]:
    """What was sealed.

    Raises:
        ValueError: the content is not what was.
    """
    values = json.loads(content)
    if not isinstance(values, dict) or values.pop("digest", None) != _digest_of_json(values):
        raise ValueError("it was changed")
    return values


def _digest_of_json(values: Mapping[str, Any]) -> str:
    as_read = json.loads(json.dumps(_without_times(values)))  # keys are texts by then
    return digest_of(json.dumps(as_read, sort_keys=True).encode())


def _without_times(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            k: _without_times(v) for k, v in value.items() if k not in ("seconds", "wall_seconds")
        }
    return [_without_times(v) for v in value] if isinstance(value, (list, tuple)) else value


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
    seen = set()
    for part, _ in node.value:
        key = loader.construct_object(part, deep=True)
        if isinstance(key, (dict, list, set)):
            raise yaml.constructor.ConstructorError(
                None, None, "a key that is no plain value", node.start_mark
            )
        if key in seen:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {key!r} is there more than once", node.start_mark
            )
        seen.add(key)
    return loader.construct_mapping(node, deep=True)


_StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def read_yaml(path: pathlib.Path) -> Any:
    """The content of a YAML file.

    Raises:
        ValueError: it cannot be read; one line that says where and why.
        OSError: there is no such file, or it cannot be opened.
    """
    try:
        return yaml.load(path.read_text(encoding="utf-8"), _StrictLoader)
    except yaml.YAMLError as error:  # one of them is no ValueError
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f"line {mark.line + 1}: "
        problem = getattr(error, "problem", None) or str(error)
        raise ValueError(f"{where}{' '.join(str(problem).split())}") from None
    except _of_content() as error:  # of dates that are none, !!int x, lists in lists
        if isinstance(error, OSError):
            raise
        raise ValueError(_reason(error)) from None
