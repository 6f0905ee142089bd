"""One flat name for every training setting: keyword of `admrl.train`, flag of the command line."""

from __future__ import annotations

import dataclasses
import functools
import typing
from collections.abc import Mapping
from typing import Any

from ..algorithms.settings import TrainingSettings
from ..settings import SettingError, Settings

# Groups whose field names say too little without the group.
_PREFIX = {
    "task_gradient": "gradient_",
    "value_fit": "value_",
    "dynamics_fit": "dynamics_",
    "mt": "mt_",
    "maml": "maml_",
    "pearl": "pearl_",
    "sac": "sac_",
}


@dataclasses.dataclass(frozen=True)
class Option:
    """A setting that can be overridden by name.

    Attributes:
        name: the flat name, such as "gradient_damping"; its flag is "--gradient-damping".
        group: the field of `TrainingSettings` it belongs to, such as "task_gradient"; its heading.
        field: its name there, such as "damping".
        item: the type of the value, or of each of its elements.
        many: the value is a tuple.
        help: one line.
        unit: unit or meaning of the number, may be empty.
        choices: the allowed strings, if it is one of a few.
        words: strings allowed in place of a number.
    """

    name: str
    group: str
    field: str
    item: type
    many: bool
    help: str
    unit: str
    choices: tuple[str, ...] | None
    words: tuple[str, ...]

    def of(self, training: TrainingSettings) -> Any:
        """The option's value in some settings."""
        return getattr(getattr(training, self.group), self.field)

    def parse(self, text: str) -> Any:
        """The value that a text stands for; commas separate the elements of a tuple.

        Raises:
            SettingError: not of the option's type; whether it is in range, `override` says.
        """
        if self.many:
            return tuple(self._parse_item(part) for part in text.split(","))
        return self._parse_item(text)

    def _parse_item(self, text: str) -> Any:
        if text in self.words:
            return text
        if self.item is bool:
            if text not in ("true", "false"):
                raise SettingError(self.name, f"expected true or false, got {text!r}")
            return text == "true"
        try:
            return self.item(text)
        except ValueError:
            kind = {int: "a whole number", float: "a number"}[self.item]
            words = "".join(f" or {word}" for word in self.words)
            raise SettingError(self.name, f"expected {kind}{words}, got {text!r}") from None


@functools.cache
def options() -> Mapping[str, Option]:
    """Every option, by its flat name, in the order of declaration."""
    found: dict[str, Option] = {}
    for group in dataclasses.fields(TrainingSettings):
        settings = type(getattr(TrainingSettings(), group.name))
        for option in options_of(settings, group.name, _PREFIX.get(group.name, "")):
            if option.name in found:
                raise TypeError(
                    f"{group.name}.{option.field}: the option {option.name} is taken by "
                    f"{found[option.name].group}"
                )
            found[option.name] = option
    return found


def options_of(settings: type[Settings], group: str, prefix: str = "") -> list[Option]:
    """The options that the fields of a settings class are, in the order of declaration.

    Args:
        settings: the class.
        group: the options' group.
        prefix: what goes before the name of a field.
    """
    hints = typing.get_type_hints(settings)
    found = []
    for f in dataclasses.fields(settings):
        hint = hints[f.name]
        many = typing.get_origin(hint) is tuple
        found.append(
            Option(
                name=prefix + f.name,
                group=group,
                field=f.name,
                # float of tuple[float, ...], and of float | str
                item=hint if isinstance(hint, type) else typing.get_args(hint)[0],
                many=many,
                help=f.metadata["help"],
                unit=f.metadata["unit"],
                choices=f.metadata["choices"],
                words=f.metadata["words"],
            )
        )
    return found


def override(training: TrainingSettings, values: Mapping[str, Any]) -> TrainingSettings:
    """The settings with some options changed, validated again.

    Args:
        training: where to start from.
        values: option name to value.

    Raises:
        SettingError: an unknown option, or a value that one cannot take; named as in `values`.
    """
    for name, value in values.items():
        option = options().get(name)
        if option is None:
            raise SettingError(name, "expected the name of a setting (see admrl train --help)")
        group: Settings = getattr(training, option.group)
        try:
            group = group.replace(**{option.field: value})
        except SettingError as error:
            raise SettingError(name, error.problem) from None
        training = training.replace(**{option.group: group})
    return training
