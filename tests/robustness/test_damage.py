"""Damaged files and command lines: one line that names what is wrong, and nothing done."""

from __future__ import annotations

import contextlib
import json
import pathlib
import shutil
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
import yaml

import admrl_native as admrl
import fuzz
from admrl_native import cli
from admrl_native.families.declaration import Family, ObsBlock
from admrl_native.settings import SettingError
from admrl_native.store import checkpoint as checkpoints
from admrl_native.store.checkpoint import Checkpoint
from admrl_native.store.files import DamagedFile, read_yaml


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> fuzz.Place:
    return fuzz.Place(tmp_path_factory.mktemp("runs"))


@pytest.fixture
def begun(place: fuzz.Place) -> Iterator[fuzz.Place]:
    """Commands end where their work would begin; what they change is put back."""
    with fuzz.patches(), contextlib.chdir(place.path):
        yield place
    place.restore()


@pytest.mark.parametrize("kind", [fuzz.COMMAND_LINE, *fuzz.FILES])
def test_some_damage_of_every_kind(begun: fuzz.Place, kind: str) -> None:
    """`python tests/fuzz.py --inputs 100000` does this with many more."""
    fuzz.watch()
    inputs = fuzz.Fuzz(begun, seed=5)
    inputs.check(kind)
    assert [problem for i in range(5) if (problem := inputs.one(kind, i))] == []
    assert inputs.counts[kind]["inputs"] == 5


def _refused(*words: object, capsys: pytest.CaptureFixture[str], status: int = 2) -> str:
    assert cli.main([str(word) for word in words]) == status
    (line,) = capsys.readouterr().err.splitlines()
    return line.partition(": error: ")[2]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("machine: 2026-99-99", "month must be in 1..12"),
        ("machine: !!int x", "invalid literal for int"),
        ("machine: !!float x", "could not convert string to float"),
        ("machine: " + "[" * 5000, "recursion"),
        ("machine: " + "9" * 5000, "Exceeds the limit"),
        ("? [1, 2]\n: 3", "no plain value"),
        ("? {a: 1}\n: 3", "no plain value"),
        ("a: 1\na: 2", "more than once"),
        ("a: !!python/object:os.system {}", "could not determine a constructor"),
    ],
)
def test_yaml_that_is_none(tmp_path: pathlib.Path, text: str, reason: str) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(text)
    with pytest.raises(ValueError, match=reason) as caught:
        read_yaml(file)
    assert "\n" not in str(caught.value)


def test_a_checkpoint_that_is_replaced_while_it_is_read(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader beside a training goes on with the newer one; nobody is told to delete any."""
    weights = {"networks": {"policy": {"w": torch.ones(2)}}, "optimisers": {}, "counters": {}}
    for number in range(2):
        checkpoints.save(tmp_path, Checkpoint(number, 0, weights, {}))
    listed, unsealed = iter([[0], [1], [1]]), checkpoints.unseal
    monkeypatch.setattr(checkpoints, "numbers", lambda _: next(listed))

    def gone(content: bytes) -> dict[str, object]:
        shutil.rmtree(tmp_path / "000000", ignore_errors=True)
        return unsealed(content)

    monkeypatch.setattr(checkpoints, "unseal", gone)
    newest = checkpoints.load_newest(tmp_path)
    assert newest is not None
    assert newest.number == 1
    with pytest.raises(DamagedFile, match="found none: a training that goes on replaces") as caught:
        checkpoints.load(tmp_path, 0)
    assert "delete" not in str(caught.value)


def test_numbers_that_another_key_would_bring_are_noticed(begun: fuzz.Place) -> None:
    """A digit of a counter is as good as any other, but not as the one that was saved."""
    newest = max(begun.cut.glob("checkpoints/*/state.json"))
    content = newest.read_bytes()
    digit = content.index(b'"samples"') + content[content.index(b'"samples"') :].index(b": 1") + 2
    newest.write_bytes(content[:digit] + b"2" + content[digit + 1 :])
    with pytest.raises(DamagedFile, match="checkpoint: it was changed; delete it to go on from"):
        admrl.Run.load(begun.cut)._learner()


@pytest.mark.parametrize("suffix", ["json", "safetensors"])
def test_a_damaged_oracle_is_named(begun: fuzz.Place, suffix: str) -> None:
    (file, *_) = sorted(begun.path.glob(f"oracle/*/*.{suffix}"))
    content = bytearray(file.read_bytes())
    content[-9] ^= 1
    file.write_bytes(content)
    with pytest.raises(DamagedFile, match=r"changed|JSON|Expecting|delimiter") as caught:
        admrl.evaluate_run(begun.done, "mine", psis=fuzz._PSIS, **begun.evaluation())
    assert str(caught.value).startswith(f"{file}: expected ")
    assert "to have it learned anew" in str(caught.value)


def test_an_edited_configuration_is_noticed_by_everybody(begun: fuzz.Place) -> None:
    config = begun.done / "config.yaml"
    values = yaml.safe_load(config.read_text())
    values["seed"] = 7
    config.write_text(yaml.safe_dump(values))
    for call in (
        lambda: admrl.Run.load(begun.done)._learner(),
        fuzz.evaluate(begun),
        fuzz.check(begun),
    ):
        with pytest.raises(SettingError, match=r"expected seed: 0 in .*config.yaml, .* got 7"):
            call()


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        ({"event": 5, "wall_seconds": 1.0}, "event: expected a name, got 5"),
        ({"event": "task", "wall_seconds": "soon"}, 'wall_seconds: expected seconds, got "soon"'),
        ({"event": "task"}, "expected a record with its wall_seconds"),
        ({"event": "x", "wall_seconds": 1, "task": -1}, "task: expected the number of a task"),
        ({"event": "x", "wall_seconds": 1, "psi": [None]}, "psi: expected numbers, got"),
        ({"event": "x", "wall_seconds": 1, "real_samples": 3}, "real_samples: expected counts by"),
    ],
)
def test_a_record_of_wrong_types_is_named(
    begun: fuzz.Place, record: dict[str, object], problem: str
) -> None:
    metrics = begun.cut / "metrics.jsonl"
    metrics.write_text(json.dumps(record) + "\n" + metrics.read_text())
    for read in (fuzz.report(begun.cut), fuzz.table(begun.cut), admrl.Run.load(begun.cut).metrics):
        with pytest.raises(DamagedFile) as caught:
            read()
        assert str(caught.value).startswith(f"{metrics}:1: {problem}")


@pytest.mark.parametrize(
    "value", ["NaN", "-Infinity", "1e999", "9" * 400, "[" * 100_000, '{"a": 1, "a": 2}']
)
def test_json_that_nobody_wrote(begun: fuzz.Place, value: str) -> None:
    metrics = begun.cut / "metrics.jsonl"
    metrics.write_text(f'{{"event": "x", "wall_seconds": 1, "value": {value}}}\n')
    with pytest.raises(DamagedFile, match=r"metrics.jsonl:1: expected a JSON object: "):
        admrl.Run.load(begun.cut).metrics()


# Command lines


@pytest.mark.parametrize("first", ["-1e-3", "-1E-3", "-.5e0", "-1_0e-1"])
def test_a_task_with_an_exponent(begun: fuzz.Place, first: str) -> None:
    with pytest.raises(fuzz.Accepted):
        cli.main(["train", "--out", str(begun.path / "new"), "--first-psi", first, "1.5"])
    config = yaml.safe_load((begun.path / "new" / "config.yaml").read_text())
    assert config["first_psi"] == [float(first), 1.5]


@pytest.mark.parametrize("flag", ["--family", "--psi", "--first-psi", "--seed", "--out", "--vary"])
def test_two_dashes_are_no_value(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("train", "sweep", "check-gradient"):
        line = _refused(command, f"{flag}=--", capsys=capsys)
        assert line == f"{flag}: expected a value, got '--'"


@pytest.mark.parametrize("name", ["...csv", "....csv", ".hidden.csv"])
def test_tasks_are_not_evaluated_into_the_run_itself(
    begun: fuzz.Place, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (begun.path / name).write_text("0,1.5\n")
    line = _refused("evaluate", begun.done, "--tasks", name, "--no-oracle", capsys=capsys)
    assert line.startswith("--tasks: expected a name for these tasks of letters, digits and _ . -")
    assert not (begun.done / "finished.jsonl").exists()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("0\n", "expected K=2 numbers (forward velocity, height), got 1"),
        ("0,1.5\n0\n", "expected K=2 numbers in line 2 of"),
        ("# none\n", "expected at least one task in"),
        ("1e38,1.5\n", "expected forward velocity at most 1e+06 widths of [-2, 2] away, got 1e+38"),
        ("nan,1.5\n", "expected a finite forward velocity, got nan"),
        ("1" * 131_073 + "\n", "expected "),
        ("x" * 131_073 + ",1\n", "expected a CSV file: field larger than field limit"),
        ('"a\n', "expected a CSV file: unexpected end of data"),
    ],
)
def test_wrong_tasks_are_blamed_on_their_file(
    begun: fuzz.Place, text: str, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    begun.tasks.write_text(text)
    line = _refused("evaluate", begun.done, "--tasks", begun.tasks, "--no-oracle", capsys=capsys)
    assert line.startswith(f"--tasks: {problem}")
    assert str(begun.tasks) in line
    assert len(line) < 400


def test_figures_do_not_replace_a_part_of_the_run(
    begun: fuzz.Place, capsys: pytest.CaptureFixture[str]
) -> None:
    for part in ("config.yaml", "metrics.jsonl", "checkpoints/x.json", "evaluation/mine/x.json"):
        line = _refused("check-gradient", begun.done, "--json", begun.done / part, capsys=capsys)
        assert line.startswith("--json: expected a file of its own, got ")


def test_a_run_of_a_sweep_with_a_name_that_is_too_long(begun: fuzz.Place) -> None:
    names = ["gae_lambda", "value_learning_rate", "dynamics_learning_rate", "gradient_damping"]
    vary = [f"--vary {name} 0.00012345678 0.00012345679" for name in names]
    vary += [f"--vary policy_hidden {'8,' * 60}8 {'8,' * 60}9"]
    words = ["sweep", "--out", str(begun.path / "new"), *" ".join(vary).split()]
    with pytest.raises(fuzz.Accepted):
        cli.main(words)
    runs = json.loads((begun.path / "new" / "sweep.json").read_text())["runs"]
    assert len(set(runs)) == len(runs) == 2 ** len(vary)
    assert all(len(name) < 200 and name.endswith("-seed0") for name in runs)


def test_an_option_that_the_method_does_not_read(
    begun: fuzz.Place, capsys: pytest.CaptureFixture[str]
) -> None:
    new = begun.path / "new"
    for words in (["--out", new], ["--resume", begun.cut]):
        line = _refused("train", *words, "--maml-iterations", "3", capsys=capsys)
        assert line.startswith("--maml-iterations: expected none for admrl: it is an option of mam")
    line = _refused("sweep", "--out", new, "--maml-iterations", "3", capsys=capsys)
    assert line.startswith("--maml-iterations: expected none for admrl")
    words = ["evaluate", begun.done, "--no-oracle"]
    line = _refused(*words, "--oracle-cache", new, capsys=capsys)
    assert line.startswith("--oracle-cache: expected none without an oracle")
    with pytest.raises(SettingError, match="maml_iterations: expected none for admrl"):
        admrl.train(out=new, maml_iterations=3)
    with pytest.raises(SettingError, match="maml_iterations: expected an option of the task grad"):
        admrl.check_task_gradient(begun.done, maml_iterations=3)


# The border of Python


def test_what_numpy_and_pathlib_make_is_taken(begun: fuzz.Place) -> None:
    with pytest.raises(fuzz.Accepted):
        admrl.train(
            np.str_("Hopper2D"),
            np.str_("admrl"),
            np.str_("quick"),
            begun.path / "new",
            seed=np.int64(3),
            threads=np.int32(1),
            first_psi=np.array([0.5, 1.5], np.float32),
            n_tasks=np.int8(2),
            dynamics_hidden=8,
            policy_hidden=np.array([8]),
            gamma=np.float32(0.5),
            progress=False,
        )
    values = yaml.safe_load((begun.path / "new" / "config.yaml").read_text())
    assert (values["seed"], values["first_psi"]) == (3, [0.5, 1.5])
    assert values["settings"]["networks"]["dynamics_hidden"] == [8]
    tasks = np.array(fuzz._PSIS)
    evaluation = {**begun.evaluation(), "real_samples": np.int64(40), "episodes": np.int64(2)}
    path = admrl.evaluate_run(str(begun.done), "mine", psis=tasks, **evaluation)
    assert path.name == "evaluation.json"
    with pytest.raises(fuzz.Accepted):
        admrl.check_task_gradient(begun.done, np.array([0.0, 1.5]), out=begun.path / "new.jsonl")


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("seed", "1", "expected a whole number, got '1'"),
        ("seed", 1.5, "expected a whole number, got 1.5"),
        ("seed", np.array([1, 2]), r"expected a whole number, got \[1, 2\]"),
        ("threads", None, ""),
        ("method", ["admrl"], "expected one of admrl"),
        ("family", 3, "expected one of Hopper2D"),
        ("first_psi", "0", "expected numbers, got '0'"),
        ("first_psi", [[0.0, 1.5]], "expected numbers, got "),
        ("first_psi", 10**400, "expected numbers that a float can hold"),
        ("gamma", 10**400, "expected numbers that a float can hold"),
        ("gamma", object(), "expected float, got <object"),
        ("n_tasks", pathlib.Path("3"), "expected int, got '3'"),
        ("policy_hidden", "8", "expected int, got '8'"),
        ("policy_hidden", {8}, r"expected int, got \{8\}"),
    ],
)
def test_what_is_no_value_is_one_line(
    begun: fuzz.Place, name: str, value: object, problem: str
) -> None:
    new = begun.path / "new"
    if not problem:
        with pytest.raises(fuzz.Accepted):
            admrl.train(out=new, progress=False, **{name: value})
        return
    with pytest.raises(SettingError, match=f"^{name}: {problem}"):
        admrl.train(out=new, progress=False, **{name: value})
    assert not new.exists()


@pytest.mark.parametrize("episodes", [0, "2", 2.0, None])
def test_episodes_that_are_none(begun: fuzz.Place, episodes: object) -> None:
    with pytest.raises(SettingError, match=r"^episodes: expected "):
        admrl.evaluate_run(begun.done, episodes=episodes, progress=False)


_DECLARATION: dict[str, Any] = {
    "name": "Any", "model": "x.xml", "act_dim": 1, "obs_blocks": (ObsBlock("qpos", 0, 2),),
    "task_names": ("x",), "task_low": (-1.0,), "task_high": (1.0,), "form": "abs",
    "features": (1,), "coefficients": (1.0,),
}  # fmt: skip


def test_a_declaration_takes_what_numpy_makes() -> None:
    expected = Family(**_DECLARATION)
    found = Family(
        **{
            **_DECLARATION, "model": pathlib.Path("x.xml"), "act_dim": np.int64(1),
            "obs_blocks": ObsBlock("qpos", np.int64(0), np.int64(2)),
            "task_names": "x", "task_low": -1, "task_high": np.float32(1),
            "features": np.array([1]), "coefficients": np.array([1.0]),
            "halve_margins": np.bool_(False),
        }
    )  # fmt: skip
    assert found == expected
    assert json.dumps(found.to_dict()) == json.dumps(expected.to_dict())


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("name", ".." , "name: expected a name of a folder"),
        ("name", "x" * 101, "name: expected a name of a folder"),
        ("name", 3, "name: expected a name of a folder"),
        ("act_dim", 1.5, "act_dim: expected a whole number, got 1.5"),
        ("obs_blocks", (("qpos", 0, 2),), "obs_blocks: expected ObsBlock objects"),
        ("features", (0.5,), "features: expected a whole number, got 0.5"),
        ("task_low", ("a",), "task_low: expected numbers, got 'a'"),
        ("task_low", (10**400,), "task_low: expected numbers that a float can hold"),
        ("bonus", "1", "bonus: expected numbers, got '1'"),
        ("healthy", ({"indices": (0,)},), "healthy: expected HealthyRange objects"),
        ("halve_margins", 1, "halve_margins: expected True or False, got 1"),
    ],
)  # fmt: skip
def test_a_wrong_declaration_is_one_line(field: str, value: object, problem: str) -> None:
    with pytest.raises(ValueError, match="^" + problem):
        Family(**{**_DECLARATION, field: value})
