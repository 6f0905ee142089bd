"""Every shell block of the documents is of commands that exist; the README's run, at reduced size.

A block below `<!-- ran: YYYY-MM-DD -->` is a record of what ran on that day, and is left alone.
"""

import argparse
import json
import pathlib
import re
import shlex
import tomllib

import pytest

from admrl_native import cli

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCUMENTS = sorted(
    path.relative_to(ROOT)
    for path in [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "benchmarks").glob("*.md"),
    ]
)
# Of one run of two tasks, in seconds; the last of two values counts.
REDUCED = {
    "train": "--n-tasks 2 --n-slbo-first 1 --n-slbo 1 --n-inner 1 --n-zeroshot 1 --n-policy 1"
    " --n-model 5 --n-trpo 1000 --n-virtual-envs 5 --evaluation-episodes 2"
    " --gradient-real-samples 1000 --gradient-virtual-samples 1000 --gradient-jackknife-groups 2",
    "evaluate": "--tasks one.csv --real-samples 0 --episodes 2 --oracle-samples 10000",
    "check-gradient": "--repeats 2 --workers 1 --episodes 2",
    "report": "",
}
REDUCED["sweep"] = REDUCED["train"] + " --methods mb-unif --seeds 0 --workers 1"


class ParsedError(Exception):
    """Raised instead of the work, once a command line was parsed."""


def blocks(document: pathlib.Path) -> list[tuple[str, str]]:
    """(marker above or "", commands) of every shell block."""
    text = (ROOT / document).read_text(encoding="utf-8")
    return re.findall(r"(?:<!-- (.*?) -->\n)?```sh\n(.*?)```", text, flags=re.DOTALL)


def commands(block: str) -> list[list[str]]:
    """The words of each command; what stands for a run of one's own becomes a word."""
    lines = block.replace("\\\n", " ").replace(" …", "").splitlines()
    words = [shlex.split(line, comments=True) for line in lines]
    found: list[list[str]] = [[]]
    for line in words:
        for word in line:
            if word == "&&":
                found.append([])
            else:
                found[-1].append(word)
        found.append([])
    return [words for words in found if words]


def of_package(words: list[str]) -> list[str] | None:
    """The arguments of `admrl`, if it is one of its commands."""
    if words[0] == "admrl":
        return words[1:]
    if words[:2] == ["python", "-m"] and words[2].startswith("admrl_native."):
        return [words[2].removeprefix("admrl_native.").replace("_", "-"), *words[3:]]
    return None


def check_script(words: list[str]) -> None:
    """A Python script of the repository and its options."""
    script = ROOT / words[1]
    text = script.read_text(encoding="utf-8")
    if "common." in text and script.parent.name == "benchmarks":
        text += (script.parent / "common.py").read_text(encoding="utf-8")
    for word in words[2:]:
        assert not word.startswith("--") or f'"{word}"' in text, f"{words[1]} does not know {word}"


def check_other(words: list[str]) -> None:
    """What is not a command of the package."""
    match words:
        case ["pip", "install", *what]:
            extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
            known = extras["project"]["optional-dependencies"]
            for name in re.findall(r"\[(.*?)\]", " ".join(what)):
                assert set(name.split(",")) <= set(known)
        case ["python", script, *_] if script.endswith(".py"):
            check_script(words)
        case ["pytest", *what]:
            for name in what:
                assert name.startswith("-") or (ROOT / name).exists(), name
        case ["cmake" | "ctest", *what] if "--preset" in what:
            presets = json.loads((ROOT / "CMakePresets.json").read_text(encoding="utf-8"))
            names = {p["name"] for kind in presets.values() if isinstance(kind, list) for p in kind}
            assert what[what.index("--preset") + 1] in names
        case [script] if script.startswith("."):
            assert (ROOT / script).exists()
        case ["ruff" | "ray" | "mypy" | "clang-format" | "git", *_]:
            pass
        case _:
            pytest.fail(f"no check for {shlex.join(words)}")


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_every_command_is_one(document, monkeypatch):
    parse = argparse.ArgumentParser.parse_args

    def parse_only(self, *args, **options):
        parse(self, *args, **options)
        raise ParsedError

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_only)
    for marker, block in blocks(document):
        if marker:
            assert re.fullmatch(r"ran: \d{4}-\d\d-\d\d", marker)
            continue
        for words in commands(block):
            arguments = of_package(words)
            if arguments is None:
                check_other(words)
            else:
                with pytest.raises(ParsedError):
                    cli.main(arguments)


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_the_settings_of_every_training_are_valid(document, tmp_path, capsys):
    """All is checked before the folder for the results, which cannot be made here."""
    (tmp_path / "file").touch()
    for marker, block in blocks(document):
        for words in [] if marker else commands(block):
            arguments = of_package(words)
            if arguments is None or arguments[0] not in ("train", "sweep"):
                continue
            arguments = [word for word in arguments if word not in ("--ray-address", "auto")]
            for executor in (i for i, word in enumerate(arguments) if word == "--executor"):
                arguments[executor + 1] = "local"
            status = cli.main([*arguments, "--out", str(tmp_path / "file/below")])
            error = capsys.readouterr().err
            assert status != 0
            assert "Not a directory" in error, error


def test_the_commands_of_the_readme_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MUJOCO_GL", "disabled")  # no films
    pathlib.Path("one.csv").write_text("0.5, 1.6\n")
    ran = []
    for _, block in blocks(pathlib.Path("README.md")):
        for words in commands(block):
            arguments = of_package(words)
            if arguments is not None:
                name = arguments[0]
                assert cli.main([*arguments, *REDUCED[name].split()]) == 0, capsys.readouterr()
                ran.append(name)
    assert ran == ["train", "evaluate", "report", "sweep", "check-gradient"]
