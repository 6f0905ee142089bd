"""What holds for any input: it is read as what it is, or refused in one line that says where."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from admrl_native.command import Parser, real
from admrl_native.configuration.config import Config, make_config
from admrl_native.evaluate import read_tasks
from admrl_native.settings import SettingError
from admrl_native.store.files import DamagedFile, parse_json, read_yaml, seal, unseal
from admrl_native.store.metrics import finite, read_metrics
from mutations import TEXTS

# The same inputs every time, and nothing kept: a test must not pass or fail by chance.
settings.register_profile(
    "repeatable", derandomize=True, database=None, deadline=None, max_examples=40
)
settings.load_profile("repeatable")

_FLOATS = st.floats(allow_nan=False, allow_infinity=False)
_INTEGERS = st.integers(-(2**63), 2**63 - 1)
_JSON = st.recursive(
    st.none() | st.booleans() | _INTEGERS | _FLOATS | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
_OBJECTS = st.dictionaries(st.text(), _JSON, max_size=5)
_PIECES = st.sampled_from([*TEXTS, "a: 1", "\n", "  ", "b: [1, 2]", "- 3", "1", "0.5", "-2e3"])
_LIKE_TEXT = st.lists(_PIECES | st.text(max_size=5), max_size=8).map("".join)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return tmp_path_factory.mktemp("any") / "file"


def _tried(read: Callable[[pathlib.Path], Any], file: pathlib.Path) -> tuple[Any, Any]:
    """What is read, or the ValueError; any other exception is a failure."""
    try:
        return read(file), None
    except ValueError as error:
        return None, error


@given(value=_JSON)
def test_json_that_was_written_is_read_as_it_was(value: Any) -> None:
    assert parse_json(json.dumps(finite(value))) == value


@given(text=_LIKE_TEXT)
def test_any_text_is_json_or_a_value_error(text: str) -> None:
    try:
        value = parse_json(text)
    except ValueError:
        return
    assert json.loads(json.dumps(value, allow_nan=False)) == value


@given(values=_OBJECTS)
def test_what_is_sealed_comes_back(values: dict[str, Any]) -> None:
    values.pop("digest", None)
    assert unseal(seal(values)) == values


@given(values=_OBJECTS, at=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_changed_bit_of_what_is_sealed_is_noticed(
    values: dict[str, Any], at: float, bit: int
) -> None:
    values = {k: v for k, v in values.items() if k != "digest"}
    raw = bytearray(seal(values))
    raw[int(at * len(raw))] ^= 1 << bit
    try:
        found = unseal(bytes(raw))
    except (ValueError, RecursionError):
        return
    assert found == values  # a blank, or an escape written in another way


@given(
    lines=st.lists(_LIKE_TEXT | _OBJECTS.map(json.dumps), max_size=4), junk=st.binary(max_size=9)
)
def test_any_metrics_are_objects_or_one_line_about_the_file(
    file: pathlib.Path, lines: list[str], junk: bytes
) -> None:
    file.write_bytes("\n".join(lines).encode(errors="replace") + junk + b"\n")
    records, error = _tried(read_metrics, file)
    if error is None:
        assert all(isinstance(record, dict) for record in records)
    else:
        assert isinstance(error, DamagedFile)
        assert str(error).startswith(f"{file}:")


@given(text=_LIKE_TEXT)
def test_any_yaml_is_read_or_refused_in_one_line(file: pathlib.Path, text: str) -> None:
    file.write_text(text, encoding="utf-8", errors="replace")
    _, error = _tried(read_yaml, file)
    assert error is None or (str(error) and "\n" not in str(error))


@given(text=_LIKE_TEXT)
def test_any_table_of_tasks_is_read_or_refused_as_such(file: pathlib.Path, text: str) -> None:
    file.write_text(text, encoding="utf-8", errors="replace")
    tasks, error = _tried(read_tasks, file)
    if error is None:
        assert len({len(task) for task in tasks}) == 1
    else:
        assert isinstance(error, SettingError)
        assert error.name == "tasks"
        assert str(file) in error.problem


@given(tasks=st.lists(st.tuples(_FLOATS, _FLOATS), min_size=1), mark=st.booleans())
def test_tasks_that_were_written_are_read_as_they_were(
    file: pathlib.Path, tasks: list[tuple[float, float]], mark: bool
) -> None:
    text = "".join(f"{a!r},{b!r}\n" for a, b in tasks)
    file.write_text(text, encoding="utf-8-sig" if mark else "utf-8")
    assert read_tasks(file) == tasks


@given(numbers=st.lists(st.floats(), min_size=1, max_size=3), as_text=st.sampled_from([repr, str]))
def test_any_number_can_be_an_argument(numbers: list[float], as_text: Any) -> None:
    parser = Parser("train", "", "")
    parser.add_argument("--psi", type=real, nargs="+")
    found = parser.parse_args(["--psi", *map(as_text, numbers)]).psi
    assert np.array_equal(found, numbers, equal_nan=True)


@given(digits=st.integers(1, 999), exponent=st.integers(-30, 30), letter=st.sampled_from("eE"))
def test_negative_numbers_with_exponents_are_no_flags(
    digits: int, exponent: int, letter: str
) -> None:
    parser = Parser("train", "", "")
    parser.add_argument("--psi", type=real, nargs="+")
    for text in (f"-{digits}{letter}{exponent}", f"-.{digits}{letter}{exponent:+}", f"-{digits}."):
        assert parser.parse_args(["--psi", text, "1.5"]).psi == [float(text), 1.5]


_KINDS = st.sampled_from([int, np.int64, np.int16, np.array, lambda n: np.array([n])[0]])


@settings(max_examples=20)
@given(count=st.integers(1, 99), kind=_KINDS, psi=st.tuples(st.floats(-2, 2), st.floats(1.2, 2)))
def test_numpys_numbers_are_pythons(count: int, kind: Any, psi: tuple[float, float]) -> None:
    def config(convert: Any, array: Any) -> Config:
        overrides = {"n_tasks": convert(count), "policy_hidden": array([count, 2])}
        return make_config(
            "Hopper2D", seed=convert(count), threads=convert(count), first_psi=array(psi),
            overrides=overrides,
        )  # fmt: skip

    ours, theirs = config(int, tuple), config(kind, np.array)
    assert ours == theirs
    assert ours.to_yaml({}) == theirs.to_yaml({})
