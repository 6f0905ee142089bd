"""Settings check themselves; options are their flat names."""

from __future__ import annotations

import dataclasses
import math

import pytest

from admrl_native.algorithms.settings import ScheduleSettings, TrainingSettings
from admrl_native.configuration.options import options, override
from admrl_native.derivatives.settings import TrpoSettings
from admrl_native.settings import SettingError, Settings, setting


@dataclasses.dataclass(frozen=True)
class Example(Settings):
    count: int = setting(3, "a count", minimum=1)
    rate: float = setting(0.5, "a rate", above=0, maximum=1)
    layers: tuple[int, ...] = setting((4, 4), "layers", minimum=1)
    kind: str = setting("a", "a kind", choices=("a", "b"))
    flag: bool = setting(False, "a flag")
    strength: float | str = setting("auto", "a strength", minimum=0, words=("auto",))


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("count", 0, "expected at least 1, got 0"),
        ("count", 1.5, "expected int, got 1.5"),
        ("count", True, "expected int, got True"),
        ("rate", 0.0, "expected more than 0, got 0.0"),
        ("rate", 2, "expected at most 1, got 2.0"),
        ("rate", math.nan, "expected a finite number, got nan"),
        ("rate", math.inf, "expected a finite number, got inf"),
        ("rate", "x", "expected float, got 'x'"),
        ("layers", "4", "expected int, got '4'"),
        ("layers", (4, 0), "expected at least 1, got 0"),
        ("kind", "c", "expected one of a, b, got 'c'"),
        ("flag", 1, "expected bool, got 1"),
        ("strength", "strong", "expected a number or auto, got 'strong'"),
        ("strength", -1, "expected at least 0, got -1.0"),
        ("strength", True, "expected float, got True"),
    ],
)
def test_a_wrong_value_is_named(name: str, value: object, problem: str) -> None:
    with pytest.raises(SettingError) as caught:
        Example(**{name: value})  # type: ignore[arg-type]
    assert (caught.value.name, caught.value.problem) == (name, problem)
    assert str(caught.value) == f"{name}: {problem}"


def test_a_list_and_a_whole_number_are_taken() -> None:
    example = Example(layers=[8, 9], rate=1)  # type: ignore[arg-type]
    assert example.layers == (8, 9)
    assert example.rate == 1.0
    assert isinstance(example.rate, float)


def test_settings_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Example().count = 4  # type: ignore[misc]


def test_nested_settings_survive_a_round_trip() -> None:
    before = override(TrainingSettings(), {"n_tasks": 7, "policy_hidden": (5,), "max_kl": 0.3})
    values = before.to_dict()
    assert values["networks"]["policy_hidden"] == [5]
    assert TrainingSettings.from_dict(values) == before


def test_from_dict_wants_every_field_and_no_other() -> None:
    values = ScheduleSettings().to_dict()
    with pytest.raises(SettingError, match="n_more: expected a field of ScheduleSettings"):
        ScheduleSettings.from_dict({**values, "n_more": 1})
    del values["n_inner"]
    with pytest.raises(SettingError, match="n_inner: expected a value in ScheduleSettings"):
        ScheduleSettings.from_dict(values)
    with pytest.raises(SettingError, match="expected a mapping"):
        TrainingSettings.from_dict({**TrainingSettings().to_dict(), "trpo": 3})


def test_every_setting_is_one_option() -> None:
    groups = [getattr(TrainingSettings(), f.name) for f in dataclasses.fields(TrainingSettings)]
    assert len(options()) == sum(len(dataclasses.fields(group)) for group in groups)
    for option in options().values():
        assert option.help
        assert override(TrainingSettings(), {option.name: option.of(TrainingSettings())}) == (
            TrainingSettings()
        )


def test_override_changes_one_value() -> None:
    changed = override(TrainingSettings(), {"max_kl": 0.05})
    assert changed == TrainingSettings(trpo=TrpoSettings(max_kl=0.05))


def test_override_names_the_option_not_the_field() -> None:
    with pytest.raises(SettingError, match=r"^gradient_damping: expected at least 0, got -1\.0$"):
        override(TrainingSettings(), {"gradient_damping": -1})
    with pytest.raises(SettingError, match=r"^no_such: expected the name of a setting"):
        override(TrainingSettings(), {"no_such": 1})
