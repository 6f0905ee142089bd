"""What the runs of a table are called: method, and the options in which they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..algorithms.methods import METHODS
from ..configuration.config import Config
from ..configuration.options import options
from ..configuration.presets import PRESETS, preset

_PRESET, _FIRST = "preset", "first_psi"


def varied_options(configs: Sequence[Config]) -> tuple[str, ...]:
    """Names of what differs among runs of one family, beside method and seed.

    "preset" first, if that differs; then it stands for every option that is as it says.
    """
    found = []
    if len({c.preset for c in configs}) > 1:
        found.append(_PRESET)
    for name in options():
        if len({_beyond_preset(c, name) for c in configs if _reads(c, name)}) > 1:
            found.append(name)
    if len({c.first_psi for c in configs}) > 1:
        found.append(_FIRST)
    return tuple(found)


def varied_values(config: Config, varied: Sequence[str]) -> Mapping[str, Any]:
    """A run's values of what differs."""
    special = {_PRESET: config.preset, _FIRST: config.first_psi}
    return {
        name: special[name] if name in special else options()[name].of(config.training)
        for name in varied
    }


def label(config: Config, varied: Sequence[str]) -> str:
    """Such as "AdMRL", or "AdMRL, small, step_size 2"; runs of one label differ by seed alone."""
    parts = [config.of_method.title]
    for name, value in varied_values(config, varied).items():
        if not _reads(config, name):
            continue
        parts.append(str(value) if name == _PRESET else f"{name} {_shown(value)}")
    return ", ".join(parts)


def order(config: Config, varied: Sequence[str]) -> tuple[Any, ...]:
    """Sorts runs: methods as the paper has them, then options by size, then seeds."""
    keys: list[Any] = [list(METHODS).index(config.method)]
    for name, value in varied_values(config, varied).items():
        if name == _PRESET:
            keys.append(PRESETS.index(value))
        else:  # numbers, then words; None first
            keys.append((value is not None, isinstance(value, str), value or 0))
    return (*keys, config.seed)


def _reads(config: Config, name: str) -> bool:
    """Whether what differs is anything to the run's method."""
    option = options().get(name)
    return option is None or config.of_method.reads(option.group, option.field)


def _beyond_preset(config: Config, name: str) -> Any:
    """The value of an option; None where it is as the preset has it and presets explain it."""
    option = options()[name]
    value = option.of(config.training)
    usual = option.of(preset(config.preset, config.family.name))
    return None if value == usual else (value,)


def _shown(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return " ".join(_shown(v) for v in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
