"""A sweep: families × methods × options × seeds, each cell of the table a run."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..algorithms.methods import METHODS
from ..evaluation.settings import OracleSettings
from ..settings import SettingError
from .config import Config, check_is_read, make_config
from .options import options

# What the sweep calls the values of which a run has one.
_PLURAL = {"family": "families", "method": "methods", "seed": "seeds"}

_LONGEST_NAME = 200  # of a folder: 255 bytes, less what is put around it for a run's other files


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """How each run is evaluated.

    Attributes:
        grids: the test sets, by name.
        real_samples: the n of A_n.
        episodes: real episodes of each policy, twice.
        oracle: the tasks' own learners, for A*; None: there are none.
    """

    grids: tuple[str, ...]
    real_samples: tuple[int, ...] = (0,)
    episodes: int = 50
    oracle: OracleSettings | None = OracleSettings()


@dataclasses.dataclass(frozen=True)
class Cell:
    """One run of a sweep.

    Attributes:
        name: of its folder.
        config: of the run.
        varied: the options that differ between runs, by name.
    """

    name: str
    config: Config
    varied: Mapping[str, Any]

    def __str__(self) -> str:
        return self.name


@dataclasses.dataclass(frozen=True)
class Sweep:
    """What is asked for.

    Attributes:
        families: names of built-in families.
        methods: as in `Config`.
        seeds: as in `Config`.
        preset: of every run.
        vary: option name to the values that it takes, in the runs of methods that read it.
        settings: option name to value, the same for every run of a method that reads it.
        threads: of each run.
        device: of each run.
        evaluation: None: the runs are only trained.
    """

    families: tuple[str, ...]
    methods: tuple[str, ...]
    seeds: tuple[int, ...]
    preset: str = "quick"
    vary: Mapping[str, tuple[Any, ...]] = dataclasses.field(default_factory=dict)
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    threads: int = 1
    device: str = "auto"
    evaluation: Evaluation | None = None

    def cells(self) -> list[Cell]:
        """Every run, validated.

        Raises:
            SettingError: naming the value, what was expected and what came.
        """
        for name in (*_PLURAL.values(), *self.vary):
            values = self.vary[name] if name in self.vary else getattr(self, name)
            _check_distinct(name, values)
        for name in self.vary:
            if name in self.settings:
                raise SettingError(name, "expected it once, got it as varied and as fixed")
        known = [method for method in self.methods if method in METHODS]
        for name in (*self.vary, *self.settings):
            if len(known) == len(self.methods):  # else the cell says which is not
                check_is_read(name, known)
        return [
            self._cell(family, method, dict(varied), seed)
            for family, method in itertools.product(self.families, self.methods)
            for varied, seed in itertools.product(self._variations(method), self.seeds)
        ]

    def _variations(self, method: str) -> Iterable[tuple[tuple[str, Any], ...]]:
        """Every choice of the varied options that a method reads."""
        return itertools.product(
            *(
                [(name, value) for value in values]
                for name, values in self.vary.items()
                if _is_read(method, name)
            )
        )

    def _cell(self, family: str, method: str, varied: Mapping[str, Any], seed: int) -> Cell:
        try:
            config = make_config(
                family,
                method=method,
                preset_name=self.preset,
                seed=seed,
                threads=self.threads,
                device=self.device,
                overrides={
                    **{k: v for k, v in self.settings.items() if _is_read(method, k)},
                    **varied,
                },
            )
        except SettingError as error:
            raise SettingError(_PLURAL.get(error.name, error.name), error.problem) from None
        if self.evaluation is not None:
            _check_real_samples(self.evaluation.real_samples, config)
        parts = [f"{name}={value_text(value)}" for name, value in varied.items()]
        name = "-".join([family, method, *parts, f"seed{seed}"])
        if len(name) > _LONGEST_NAME:
            digest = hashlib.blake2b("-".join(parts).encode(), digest_size=8).hexdigest()
            name = "-".join([family, method, digest, f"seed{seed}"])
        return Cell(name, config, varied)

    def to_dict(self) -> dict[str, Any]:
        """Plain values only."""
        return dataclasses.asdict(self)


def parse_vary(words: Sequence[Sequence[str]]) -> dict[str, tuple[Any, ...]]:
    """Option name to values, from texts: each a name and its values.

    Raises:
        SettingError: no such option, one twice, one without values, or a value of another type.
    """
    vary: dict[str, tuple[Any, ...]] = {}
    for first, *texts in words:
        name = first.replace("-", "_")
        option = options().get(name)
        if option is None:
            problem = f"expected the name of a setting, such as step_size, got {first!r}"
            raise SettingError("vary", problem)
        if name in vary:
            raise SettingError("vary", f"expected {name} once, got it twice")
        if not texts:
            raise SettingError("vary", f"expected values behind {name}, got none")
        vary[name] = tuple(option.parse(text) for text in texts)
    return vary


def value_text(value: Any) -> str:
    """A value in the name of a folder: "2" of 2.0, "256,256" of a tuple."""
    if isinstance(value, tuple):
        return ",".join(map(value_text, value))
    if isinstance(value, bool):
        return str(value).lower()
    return str(value).removesuffix(".0")


def _is_read(method: str, name: str) -> bool:
    """Whether a method reads an option; a method or an option that is not known is for others."""
    option = options().get(name)
    return (
        option is None or method not in METHODS or METHODS[method].reads(option.group, option.field)
    )


def _check_distinct(name: str, values: Sequence[Any]) -> None:
    if not values:
        raise SettingError(name, "expected at least one value, got none")
    for i, value in enumerate(values):
        if value in values[:i]:
            raise SettingError(name, f"expected {value_text(value)} once, got it twice")


def _check_real_samples(real_samples: Sequence[int], config: Config) -> None:
    step = config.training.schedule.n_adapt
    for n in real_samples:
        if n < 0 or n % step:
            raise SettingError("real_samples", f"expected a multiple of n_adapt ({step}), got {n}")
