"""Frozen, validated settings: the base of every configuration dataclass.

A module that has constants declares them beside the code that uses them, as a `Settings` dataclass
whose fields are made by `setting`. `configuration.config.Config` composes them; the command line is
generated from the same declarations.
"""

from __future__ import annotations

import dataclasses
import math
import os
import typing
from collections.abc import Mapping
from typing import Any


class SettingError(ValueError):
    """A value that a setting cannot take.

    Attributes:
        name: the setting, as the caller named it.
        problem: what was expected and what came.
    """

    def __init__(self, name: str, problem: str) -> None:
        name, problem = (" ".join(text.splitlines()) for text in (name, problem))  # one line
        super().__init__(f"{name}: {problem}" if name else problem)
        self.name = name
        self.problem = problem

    def __reduce__(self) -> tuple[type[SettingError], tuple[str, str]]:
        return type(self), (self.name, self.problem)


def setting(
    default: Any,
    help: str,
    *,
    unit: str = "",
    minimum: float | None = None,
    maximum: float | None = None,
    above: float | None = None,
    choices: tuple[str, ...] | None = None,
    words: tuple[str, ...] = (),
) -> Any:
    """Declares one field of a `Settings` dataclass.

    Args:
        default: the value of the `paper` preset.
        help: one line for `--help`.
        unit: unit or meaning of the number, shown in `--help`.
        minimum: smallest value allowed (inclusive; per element for a tuple).
        maximum: largest value allowed (inclusive; per element for a tuple).
        above: bound that the value must exceed (exclusive).
        choices: the allowed strings.
        words: strings allowed in place of a number; the field is then a `float | str`.
    """
    metadata = {
        "help": help,
        "unit": unit,
        "minimum": minimum,
        "maximum": maximum,
        "above": above,
        "choices": choices,
        "words": words,
    }
    return dataclasses.field(default=default, metadata=metadata)


def plain(value: Any) -> Any:
    """A value as Python has it: numbers and lists for NumPy's and torch's, text for a path."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, (list, tuple)):
        return tuple(plain(v) for v in value)
    return value


def integer(name: str, value: Any, minimum: int, maximum: int = 2**31 - 1) -> int:
    """A whole number as Python has it.

    Raises:
        SettingError: it is something else, or out of range.
    """
    value = plain(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise SettingError(name, f"expected a whole number, got {value!r}")
    if value < minimum:
        raise SettingError(name, f"expected at least {minimum}, got {value}")
    if value > maximum:
        raise SettingError(name, f"expected at most {maximum}, got {value}")
    return value


def several(value: Any) -> tuple[Any, ...]:
    """The elements of a tuple, list or array; one thing by itself, a text among them, is one."""
    value = plain(value)
    return tuple(value) if isinstance(value, (list, tuple)) else (value,)


def numbers(name: str, values: Any) -> tuple[float, ...]:
    """Numbers as Python has them; one by itself is one.

    Raises:
        SettingError: something among them is none.
    """
    found = several(values)
    for value in found:
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            raise SettingError(name, f"expected numbers, got {value!r}")
    try:
        return tuple(map(float, found))
    except OverflowError:
        raise SettingError(name, "expected numbers that a float can hold") from None


@dataclasses.dataclass(frozen=True)
class Settings:
    """Base class: checks the type and the range of every field on construction.

    Raises:
        SettingError: naming the field, what was expected and what came; a ValueError.
    """

    def __post_init__(self) -> None:
        hints = _hints(type(self))
        for f in dataclasses.fields(self):
            value = _checked(f.name, getattr(self, f.name), hints[f.name], f.metadata)
            object.__setattr__(self, f.name, value)

    def replace(self, **changes: Any) -> typing.Self:
        """A copy with some fields changed, validated again."""
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, strings, lists and nested dicts: what `from_dict` reads."""
        return {f.name: _plain(getattr(self, f.name)) for f in dataclasses.fields(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> typing.Self:
        """The settings that `to_dict` wrote; every field must be there and no other.

        Raises:
            SettingError: a field is missing, unknown or has a value it cannot take.
        """
        if not isinstance(values, Mapping):
            raise SettingError(cls.__name__, f"expected a mapping of its fields, got {values!r}")
        hints = _hints(cls)
        names = [f.name for f in dataclasses.fields(cls)]
        for name in values:
            if name not in names:
                raise SettingError(str(name), f"expected a field of {cls.__name__}, which has none")
        arguments = {}
        for name in names:
            if name not in values:
                raise SettingError(name, f"expected a value in {cls.__name__}, got none")
            nested = _settings_class(hints[name])
            arguments[name] = nested.from_dict(values[name]) if nested else values[name]
        return cls(**arguments)


def _hints(cls: type[Settings]) -> dict[str, Any]:
    """The types of the fields; kept, because reading them takes longer than everything else."""
    if cls not in _known_hints:
        _known_hints[cls] = typing.get_type_hints(cls)
    return _known_hints[cls]


_known_hints: dict[type[Settings], dict[str, Any]] = {}

_LARGEST_INT = 2**31 - 1  # of the native core's int


def _settings_class(hint: Any) -> type[Settings] | None:
    return hint if isinstance(hint, type) and issubclass(hint, Settings) else None


def _plain(value: Any) -> Any:
    if isinstance(value, Settings):
        return value.to_dict()
    return list(value) if isinstance(value, tuple) else value


def _checked(name: str, value: Any, hint: Any, metadata: Mapping[str, Any]) -> Any:
    value = plain(value)
    if typing.get_origin(hint) is tuple:
        item = typing.get_args(hint)[0]
        return tuple(_checked(name, v, item, metadata) for v in several(value))
    if hint == float | str:
        words = metadata["words"]
        if isinstance(value, str):
            if value not in words:
                raise SettingError(
                    name, f"expected a number or {' or '.join(words)}, got {value!r}"
                )
            return value
        hint = float
    if not isinstance(hint, type):
        raise TypeError(f"{name}: a setting is a plain type, a tuple or a Settings, not {hint!r}")
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        (value,) = numbers(name, value)
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise SettingError(name, f"expected {hint.__name__}, got {value!r}")
    if isinstance(value, float) and not math.isfinite(value):
        raise SettingError(name, f"expected a finite number, got {value!r}")
    if isinstance(value, int) and abs(value) > _LARGEST_INT:
        raise SettingError(name, f"expected at most {_LARGEST_INT}, got {value!r}")
    minimum, maximum, above = (metadata.get(k) for k in ("minimum", "maximum", "above"))
    if minimum is not None and value < minimum:
        raise SettingError(name, f"expected at least {minimum}, got {value!r}")
    if maximum is not None and value > maximum:
        raise SettingError(name, f"expected at most {maximum}, got {value!r}")
    if above is not None and value <= above:
        raise SettingError(name, f"expected more than {above}, got {value!r}")
    choices = metadata.get("choices")
    if choices is not None and value not in choices:
        raise SettingError(name, f"expected one of {', '.join(choices)}, got {value!r}")
    return value
