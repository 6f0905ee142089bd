"""Frozen, validated settings: the base of every configuration dataclass.

A module that has constants declares them beside the code that uses them, as a `Settings` dataclass
whose fields are made by `setting`. `runs.config.Config` composes them; the command line is generated
from the same declarations.
"""

from __future__ import annotations

import dataclasses
import math
import typing
from typing import Any


def setting(
    default: Any,
    help: str,
    *,
    unit: str = "",
    minimum: float | None = None,
    maximum: float | None = None,
    above: float | None = None,
    choices: tuple[str, ...] | None = None,
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
    """
    metadata = {
        "help": help,
        "unit": unit,
        "minimum": minimum,
        "maximum": maximum,
        "above": above,
        "choices": choices,
    }
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class Settings:
    """Base class: checks the type and the range of every field on construction.

    Raises:
        ValueError: naming the field, what was expected and what came.
    """

    def __post_init__(self) -> None:
        hints = typing.get_type_hints(type(self))
        for f in dataclasses.fields(self):
            value = _checked(f.name, getattr(self, f.name), hints[f.name], f.metadata)
            object.__setattr__(self, f.name, value)

    def replace(self, **changes: Any) -> typing.Self:
        """A copy with some fields changed, validated again."""
        return dataclasses.replace(self, **changes)


def _checked(name: str, value: Any, hint: Any, metadata: typing.Mapping[str, Any]) -> Any:
    origin = typing.get_origin(hint)
    if origin is tuple:
        item = typing.get_args(hint)[0]
        if not isinstance(value, (tuple, list)):
            raise ValueError(f"{name}: expected a list of {item.__name__}, got {value!r}")
        return tuple(_checked(name, v, item, metadata) for v in value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(hint, type):
        return value
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise ValueError(f"{name}: expected {hint.__name__}, got {value!r}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name}: expected a finite number, got {value!r}")
    minimum, maximum, above = (metadata.get(k) for k in ("minimum", "maximum", "above"))
    if minimum is not None and value < minimum:
        raise ValueError(f"{name}: expected at least {minimum}, got {value!r}")
    if maximum is not None and value > maximum:
        raise ValueError(f"{name}: expected at most {maximum}, got {value!r}")
    if above is not None and value <= above:
        raise ValueError(f"{name}: expected more than {above}, got {value!r}")
    choices = metadata.get("choices")
    if choices is not None and value not in choices:
        raise ValueError(f"{name}: expected one of {', '.join(choices)}, got {value!r}")
    return value
