"""The configuration of one run: everything that decides what it computes, and where."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from ..algorithms.method import Method
from ..algorithms.methods import METHODS
from ..algorithms.settings import TrainingSettings
from ..families.catalogue import FAMILIES, make_family
from ..families.declaration import Family
from ..families.world import World
from ..settings import SettingError, integer, numbers, plain
from .options import options, override
from .presets import PRESETS, preset

DEVICES = ("auto", "cpu", "cuda")
DEFAULT_FAMILY = "Hopper2D"

# Sample counts of the model-based methods that are shared out evenly among environments.


@dataclasses.dataclass(frozen=True)
class Config:
    """A validated run.

    Attributes:
        family: what a task is.
        training: every constant of the algorithms; those that the method does not read are the
            preset's.
        method: one of `METHODS`.
        preset: the preset `training` started from; a label.
        seed: seed of every random stream of the run.
        threads: of the simulation and of virtual training; does not change the results.
        device: one of `DEVICES`.
        first_psi: the first task, in the family's units; None: `task_selection.first_u`.

    Raises:
        SettingError: naming the value, what was expected and what came.
    """

    family: Family
    training: TrainingSettings
    method: str = "admrl"
    preset: str = "quick"
    seed: int = 0
    threads: int = 1
    device: str = "auto"
    first_psi: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        for name in ("method", "preset", "device"):
            object.__setattr__(self, name, plain(getattr(self, name)))
        _check_choice("method", self.method, tuple(METHODS))
        _check_choice("preset", self.preset, PRESETS)
        _check_choice("device", self.device, DEVICES)
        object.__setattr__(self, "seed", integer("seed", self.seed, 0, 2**63 - 1))
        object.__setattr__(self, "threads", integer("threads", self.threads, 1, 1024))
        self.of_method.check(self.training)
        if self.first_psi is not None and self.of_method.iterations is not None:
            raise SettingError(
                "first_psi", f"expected none for {self.method}, which draws all its training tasks"
            )
        if self.first_psi is not None:
            object.__setattr__(
                self, "first_psi", check_task("first_psi", self.first_psi, self.family)
            )

    @property
    def title(self) -> str:
        """The run in a few words."""
        return f"{self.method} on {self.family.name}, {self.preset}, seed {self.seed}"

    @property
    def of_method(self) -> Method:
        """What is known of the method."""
        return METHODS[self.method]

    @property
    def iterations(self) -> int | None:
        """Of a whole run; None: it goes over tasks."""
        count = self.of_method.iterations
        return None if count is None else count(self.training)

    @property
    def return_offset(self) -> float:
        """What the constant part of the reward adds up to in an episode, its size."""
        return abs(self.family.bonus) * self.training.physics.horizon

    def to_dict(self) -> dict[str, Any]:
        """Plain values only: what `from_dict` reads. Settings are those that the method reads."""
        return {
            "family": self.family.name,
            "method": self.method,
            "preset": self.preset,
            "seed": self.seed,
            "threads": self.threads,
            "device": self.device,
            "first_psi": None if self.first_psi is None else list(self.first_psi),
            "settings": _what_is_read(self.method, self.training),
            "family_definition": self.family.to_dict(),
        }

    def digest(self, *, without: str = "") -> str:
        """Of the family, its robot as it is now, the simulator and the settings.

        Args:
            without: a group of settings that does not count.
        """
        world = World.of(self.family, self.training.physics).digest()
        settings = {k: v for k, v in self.to_dict()["settings"].items() if k != without}
        text = json.dumps([world, settings], sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Config:
        """The configuration that `to_dict` wrote; keys it does not know are left alone.

        Raises:
            SettingError: a key is missing or has a value it cannot take.
        """
        for key in (f.name for f in dataclasses.fields(cls)):
            stored = {"training": "settings"}.get(key, key)
            if stored not in values:
                raise SettingError(stored, "expected a value, got none")
        if "family_definition" not in values:
            raise SettingError("family_definition", "expected a value, got none")
        values = _with_corrections(values)
        first_psi = values["first_psi"]
        family = Family.from_dict(values["family_definition"])
        if values["family"] != family.name:
            raise SettingError(
                "family", f"expected {family.name}, as defined, got {values['family']!r}"
            )
        for name, choices in (("method", tuple(METHODS)), ("preset", PRESETS)):
            _check_choice(name, values[name], choices)
        others = preset(values["preset"], family.name)
        return cls(
            family=family,
            training=_restored(values["method"], values["settings"], others),
            method=values["method"],
            preset=values["preset"],
            seed=values["seed"],
            threads=values["threads"],
            device=values["device"],
            first_psi=None if first_psi is None else numbers("first_psi", first_psi),
        )

    def to_yaml(self, provenance: Mapping[str, Any]) -> str:
        """The text of config.yaml: the configuration, and how it came about."""
        return yaml.safe_dump(
            {**self.to_dict(), **provenance}, sort_keys=False, default_flow_style=None
        )


def make_config(
    family: Family | str = DEFAULT_FAMILY,
    *,
    method: str = "admrl",
    preset_name: str = "quick",
    seed: int = 0,
    threads: int | None = None,
    device: str = "auto",
    first_psi: Sequence[float] | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Config:
    """A preset with some values changed.

    Args:
        family: a family, or the name of a built-in one.
        method: one of `METHODS`.
        preset_name: one of `PRESETS`.
        seed: seed of every random stream.
        threads: None: the CPUs available to the process.
        device: one of `DEVICES`.
        first_psi: (K,) the first task; None: `first_u` in every coordinate.
        overrides: option name (`configuration.options`) to value.

    Raises:
        SettingError: naming the value, what was expected and what came.
    """
    if not isinstance(family, Family):
        _check_choice("family", family, tuple(FAMILIES))
        family = make_family(family)
    elif not family.model.startswith("gymnasium:"):
        # The run folder must find the model from any directory.
        family = dataclasses.replace(family, model=os.path.abspath(family.model))
    _check_choice("method", method, tuple(METHODS))
    _check_choice("preset", preset_name, PRESETS)
    overrides = dict(overrides or {})
    for name in overrides:
        check_is_read(name, (method,))
    if first_psi is not None and "first_u" in overrides:
        raise SettingError("first_psi", "expected no first_u beside it: both choose the first task")
    return Config(
        family=family,
        training=override(preset(preset_name, family.name), overrides),
        method=method,
        preset=preset_name,
        seed=seed,
        threads=available_cpus() if threads is None else threads,
        device=device,
        first_psi=None if first_psi is None else numbers("first_psi", first_psi),
    )


def check_is_read(name: str, methods: Sequence[str]) -> None:
    """Whether an option decides what one of these methods computes.

    Raises:
        SettingError: no such option, or none of them reads it.
    """
    option = options().get(name)
    if option is None:
        return  # `override` says so
    readers = [m.name for m in METHODS.values() if m.reads(option.group, option.field)]
    if not set(readers) & set(methods):
        whose = ", ".join(readers)
        raise SettingError(
            name, f"expected none for {', '.join(methods)}: it is an option of {whose}"
        )


_FARTHEST = 1e6  # widths of Ψ; float32 has 7 digits


def available_cpus() -> int:
    """The number of CPUs this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check_task(
    name: str, psi: Sequence[float], family: Family, *, inside: bool = True
) -> tuple[float, ...]:
    """A task as K floats.

    Args:
        name: what the caller calls it, for the error message.
        psi: (K,) the task.
        family: whose task.
        inside: whether it must lie in the box Ψ.

    Raises:
        SettingError: wrong number of values, one that is not finite, or one outside Ψ.
    """
    values = numbers(name, psi)
    if len(values) != family.task_dim:
        names = ", ".join(family.task_names[:3]) + (", ..." if family.task_dim > 3 else "")
        raise SettingError(
            name, f"expected K={family.task_dim} numbers ({names}), got {len(values)}"
        )
    box = zip(family.task_names, values, family.task_low, family.task_high, strict=True)
    for dimension, value, low, high in box:
        if inside and not low <= value <= high:
            raise SettingError(name, f"expected {dimension} in [{low:g}, {high:g}], got {value:g}")
        if not math.isfinite(value):
            raise SettingError(name, f"expected a finite {dimension}, got {value:g}")
        if abs(value - (low + high) / 2) > _FARTHEST * (high - low):
            raise SettingError(
                name,
                f"expected {dimension} at most {_FARTHEST:g} widths of [{low:g}, {high:g}] away, "
                f"got {value:g}: in float32 its rewards would be the same for every state",
            )
    return values


def _what_is_read(method: str, training: TrainingSettings) -> dict[str, Any]:
    """The settings that a method reads, by group and field."""
    found = {
        group: {field: v for field, v in fields.items() if METHODS[method].reads(group, field)}
        for group, fields in training.to_dict().items()
    }
    return {group: fields for group, fields in found.items() if fields}


def _with_corrections(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """What was written when the run, not its family, said how its model is corrected.

    Its task gradients were followed whether they could be trusted or not.
    """
    settings, family = values["settings"], values["family_definition"]
    physics = settings.get("physics") if isinstance(settings, Mapping) else None
    if not (isinstance(physics, Mapping) and isinstance(family, Mapping)):
        return values  # whoever reads it says what is wrong
    if "halve_margins" not in physics:
        return values
    others = {name: value for name, value in physics.items() if name != "halve_margins"}
    selection = settings.get("task_selection")
    if isinstance(selection, Mapping) and "step_size" in selection:  # it followed every gradient
        settings = {**settings, "task_selection": {"untrusted_gradient": "follow", **selection}}
    corrections = {"halve_margins": physics["halve_margins"], "reset_within_limits": False}
    return {
        **values,
        "settings": {**settings, "physics": others},
        "family_definition": {**corrections, **family},
    }


def _restored(method: str, stored: Any, others: TrainingSettings) -> TrainingSettings:
    """The inverse of `_what_is_read`; what it left out is taken from others."""
    expected = _what_is_read(method, others)
    _check_names("settings", stored, expected)
    for group in expected:
        _check_names(group, stored[group], expected[group])
    whole = others.to_dict()
    return TrainingSettings.from_dict({g: {**whole[g], **stored.get(g, {})} for g in whole})


def _check_names(where: str, got: Any, expected: Mapping[str, Any]) -> None:
    if not isinstance(got, Mapping):
        raise SettingError(where, f"expected a mapping of its fields, got {got!r}")
    for name in got:
        if name not in expected:
            raise SettingError(str(name), f"expected a field of {where}, which has none")
    for name in expected:
        if name not in got:
            raise SettingError(name, f"expected a value in {where}, got none")


def _check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if not isinstance(value, str) or value not in choices:
        raise SettingError(name, f"expected one of {', '.join(choices)}, got {value!r}")
