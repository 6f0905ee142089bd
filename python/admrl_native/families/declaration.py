"""What a task family is, declared as data: observation, Ψ, r_ψ, termination.

The C++ core and `torch_family` interpret the same declaration, so no reward is written twice. With
s' the next observation and a the action clipped to [−1, 1]:

    f_j    = (s'[features_j] − offset_j) / scale_j
    abs:     r = −Σ_j c_j |f_j − ψ_j| + base
    linear:  r =  Σ_j c_j ψ_j f_j     + base
    base   = −control_cost · ‖a‖² + bonus
"""

from __future__ import annotations

import dataclasses
import importlib.util
import math
import os
import pathlib
import typing
from collections.abc import Mapping
from typing import Any

from ..settings import integer, numbers, plain, several

_SOURCES = ("qpos", "qvel", "qpos_rate")
_FORMS = ("abs", "linear")
_GYMNASIUM = "gymnasium:"
_LONGEST_NAME = 100  # of a family, in bytes: folders are named after it


@dataclasses.dataclass(frozen=True)
class ObsBlock:
    """Consecutive entries of the observation.

    Attributes:
        source: "qpos", "qvel", or "qpos_rate": the finite difference of qpos over the step, divided
            by its seconds (at reset, the velocities of the same coordinates).
        start: first index into the source.
        stop: past the last index.
        clip: entries are clipped to ± this; None: not clipped.
    """

    source: str
    start: int
    stop: int
    clip: float | None = None

    def __post_init__(self) -> None:
        _check(self.source in _SOURCES, "source", f"one of {', '.join(_SOURCES)}", self.source)
        for name in ("start", "stop"):
            object.__setattr__(self, name, integer(name, getattr(self, name), 0))
        if self.clip is not None:
            object.__setattr__(self, "clip", _one("clip", self.clip))
        _check(
            0 <= self.start < self.stop, "start, stop", "0 <= start < stop", (self.start, self.stop)
        )
        _check(self.clip is None or self.clip > 0, "clip", "a positive number or None", self.clip)


@dataclasses.dataclass(frozen=True)
class HealthyRange:
    """An episode ends when one of some entries of s' leaves a range.

    Attributes:
        indices: entries of the observation; negative: from the end.
        low: lower bound; None: unbounded.
        high: upper bound; None: unbounded.
        closed: whether the bounds themselves are healthy.
    """

    indices: tuple[int, ...]
    low: float | None = None
    high: float | None = None
    closed: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "indices", _indices("indices", self.indices))
        for name in ("low", "high"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, _one(name, getattr(self, name)))
        object.__setattr__(self, "closed", _boolean("closed", self.closed))
        _check(len(self.indices) > 0, "indices", "at least one index", self.indices)
        bounds = [b for b in (self.low, self.high) if b is not None]
        _check(
            len(bounds) > 0 and all(map(math.isfinite, bounds)),
            "low, high",
            "a finite number or None each, not both None",
            (self.low, self.high),
        )
        _check(len(bounds) < 2 or bounds[0] < bounds[1], "low, high", "low < high", tuple(bounds))


@dataclasses.dataclass(frozen=True)
class Family:
    """A task family: everything that the simulation and the learner know of it.

    Attributes:
        name: what it is called in run folders and figures.
        model: MuJoCo XML, a path or "gymnasium:FILE" for one of gymnasium's models.
        act_dim: A, the number of actuators.
        obs_blocks: the observation, block after block.
        task_names: (K,) a name for each dimension of ψ.
        task_low: (K,) lower corner of the box Ψ.
        task_high: (K,) upper corner of Ψ.
        form: "abs" or "linear", see the module.
        features: (K,) indices into s'; negative: from the end (stored as counted from the start).
        coefficients: (K,) c.
        offset: (K,) subtracted from the features; empty: zeros.
        scale: (K,) what the features are divided by; empty: ones.
        control_cost: coefficient of ‖clip(a)‖².
        bonus: added to every reward.
        healthy: ranges that end the episode when they are left, as a state that blew up always
            does.
        halve_margins: halve the contact margin of every geom of the model, which was made for a
            MuJoCo before 3.4: there a contact's margin is the larger of two equal ones, now it is
            their sum. False: as the file says.
        reset_within_limits: a limited joint begins inside its range whatever the noise at reset.

    Raises:
        ValueError: a field that contradicts itself or another, in one line.
    """

    name: str
    model: str
    act_dim: int
    obs_blocks: tuple[ObsBlock, ...]
    task_names: tuple[str, ...]
    task_low: tuple[float, ...]
    task_high: tuple[float, ...]
    form: str
    features: tuple[int, ...]
    coefficients: tuple[float, ...]
    offset: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()
    control_cost: float = 0.0
    bonus: float = 0.0
    healthy: tuple[HealthyRange, ...] = ()
    halve_margins: bool = False
    reset_within_limits: bool = True

    def __post_init__(self) -> None:
        for name in ("name", "model", "form"):
            object.__setattr__(self, name, plain(getattr(self, name)))
        named = isinstance(self.name, str) and 0 < len(os.fsencode(self.name)) <= _LONGEST_NAME
        named = named and not set(self.name) & set("/\\\0") and not self.name.startswith(".")
        _check(named, "name", "a name of a folder, without slashes", self.name)
        found = isinstance(self.model, str) and bool(self.model) and "\0" not in self.model
        _check(found, "model", "an XML file", self.model)
        object.__setattr__(self, "act_dim", integer("act_dim", self.act_dim, 1))
        self._store_parts("obs_blocks", ObsBlock)
        _check(len(self.obs_blocks) > 0, "obs_blocks", "at least one block", self.obs_blocks)
        self._store("task_names", map(str, several(self.task_names)))
        k = self.task_dim
        _check(k > 0, "task_names", "at least one task dimension", self.task_names)
        defaults = {"offset": (0.0,) * k, "scale": (1.0,) * k}
        for name in ("task_low", "task_high", "coefficients", "offset", "scale"):
            values = numbers(name, getattr(self, name)) or defaults.get(name, ())
            _check(
                len(values) == k and all(map(math.isfinite, values)),
                name,
                f"(K={k},) finite numbers",
                values,
            )
            self._store(name, values)
        for low, high in zip(self.task_low, self.task_high, strict=True):
            _check(low < high, "task_low, task_high", "low < high", (low, high))
        _check(min(self.scale) > 0, "scale", "positive numbers", self.scale)
        _check(self.form in _FORMS, "form", f"one of {', '.join(_FORMS)}", self.form)
        self._store("features", _indices("features", self.features))
        _check(len(self.features) == k, "features", f"(K={k},) indices", self.features)
        self._store("features", (self._index("features", i) for i in self.features))
        for name in ("control_cost", "bonus"):
            value = _one(name, getattr(self, name))
            _check(math.isfinite(value), name, "a finite number", value)
            object.__setattr__(self, name, value)
        for name in ("halve_margins", "reset_within_limits"):
            object.__setattr__(self, name, _boolean(name, getattr(self, name)))
        self._store_parts("healthy", HealthyRange)
        self._store(
            "healthy",
            (
                dataclasses.replace(h, indices=tuple(self._index("healthy", i) for i in h.indices))
                for h in self.healthy
            ),
        )

    @property
    def obs_dim(self) -> int:
        """D."""
        return sum(block.stop - block.start for block in self.obs_blocks)

    @property
    def task_dim(self) -> int:
        """K."""
        return len(self.task_names)

    def model_path(self) -> pathlib.Path:
        """The XML file of `model`.

        Raises:
            FileNotFoundError: there is no such file, or gymnasium is not installed.
        """
        if not self.model.startswith(_GYMNASIUM):
            path = pathlib.Path(self.model)
        else:
            # Looked up without importing gymnasium, which takes a second.
            spec = importlib.util.find_spec("gymnasium")
            if spec is None or not spec.submodule_search_locations:
                raise FileNotFoundError(
                    f"model: {self.model} needs gymnasium; pip install gymnasium"
                )
            assets = pathlib.Path(spec.submodule_search_locations[0]) / "envs/mujoco/assets"
            path = assets / self.model.removeprefix(_GYMNASIUM)
        if not path.is_file():
            raise FileNotFoundError(f"model: expected an XML file, found none at {path}")
        return path

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, numbers and strings, for JSON or YAML; `from_dict` reads it back."""
        plain = _plain(dataclasses.asdict(self))
        assert isinstance(plain, dict)
        return plain

    def declaration(self) -> dict[str, Any]:
        """`to_dict` but for where the model lies: what makes two families of one robot the same."""
        return {name: value for name, value in self.to_dict().items() if name != "model"}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> typing.Self:
        """The family that `to_dict` wrote.

        Raises:
            ValueError: a field is missing, unknown or wrong.
        """
        try:
            parts = dict(values)
            parts["obs_blocks"] = tuple(ObsBlock(**b) for b in parts["obs_blocks"])
            parts["healthy"] = tuple(HealthyRange(**h) for h in parts.get("healthy", ()))
            return cls(**parts)
        except (TypeError, KeyError) as error:
            raise ValueError(f"family: expected the fields of a Family: {error}") from error

    def _store(self, name: str, values: typing.Iterable[Any]) -> None:
        object.__setattr__(self, name, tuple(values))

    def _store_parts(self, name: str, kind: type) -> None:
        """A tuple of parts; one by itself is one."""
        parts = several(getattr(self, name))
        for part in parts:
            _check(isinstance(part, kind), name, f"{kind.__name__} objects", part)
        self._store(name, parts)

    def _index(self, name: str, index: int) -> int:
        d = self.obs_dim
        _check(-d <= index < d, name, f"indices in [{-d}, {d})", index)
        return int(index) % d


def _check(condition: bool, name: str, expected: str, got: object) -> None:
    if not condition:
        raise ValueError(f"{name}: expected {expected}, got {got!r}")


def _one(name: str, value: Any) -> float:
    found = numbers(name, value)
    _check(len(found) == 1, name, "one number", value)
    return found[0]


def _indices(name: str, values: Any) -> tuple[int, ...]:
    return tuple(integer(name, v, -(2**31)) for v in several(values))


def _boolean(name: str, value: Any) -> bool:
    value = plain(value)
    _check(isinstance(value, bool), name, "True or False", value)
    return bool(value)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    return value
