"""Damages what the commands read, input by input, and reports what is not dealt with in one line.

    python tests/fuzz.py --inputs 100000 --seed 0 [--only "command line" state ...]

Small real runs are made once; then every input is one mutation: of a command line, or of one file
of a run, after which a command that reads the file runs in this process, up to where its work would
begin. It must end with a result, or with exit status 1 or 2 and one line; for a file the line names
it, or its run. A finding is anything else: a traceback, a hang (20 s), no line or several, a line
that does not name the file, and a result from a file that is kept with a digest and was changed.
(A number that became another one in metrics.jsonl, tables, evaluation.json, adapted policies and
files of finished jobs, which have no digest, cannot be noticed.) Input number i depends on the
seed, its kind and i alone.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import io
import json
import os
import pathlib
import re
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import numpy as np
import yaml

import admrl_native as admrl
from admrl_native import cli
from admrl_native.algorithms.methods import METHODS
from admrl_native.command import shown
from admrl_native.configuration.options import options
from admrl_native.configuration.presets import preset
from admrl_native.evaluation.settings import OracleSettings
from admrl_native.families.native import model_content
from admrl_native.reporting import collect as collecting
from admrl_native.reporting import episodes as films
from admrl_native.reporting import run_summary as summary
from admrl_native.reporting import run_table
from admrl_native.settings import SettingError
from admrl_native.store import checkpoint as checkpoints
from admrl_native.store import files as storage
from model_free import tiny_options
from mutations import Generator, mutated_bytes, mutated_json, mutated_text, mutated_words
from toy import OPTIONS

HANG_SECONDS = 20
_QUICK = {"threads": 1, "progress": False}
_ORACLE = OracleSettings(samples=800, batch=400, patience=9, window=1, episodes=5)
_PSIS = ((-0.5, 1.3), (0.5, 1.5))


class Accepted(BaseException):
    """Raised where the work of a command would begin."""


class Hang(BaseException):
    """Raised by the watchdog."""


def accept(*_: Any, **__: Any) -> Any:
    raise Accepted


class Place:
    """The runs that were made once, and how to put them back."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path, self.cut, self.pearl = path, path / "cut", path / "pearl"
        self.done, self.tasks = path / "done", path / "tasks.csv"
        small = {**OPTIONS, "n_tasks": 2, "n_adapt": 40}
        for run, method, changes in (
            (self.cut, "admrl", small),
            (self.pearl, "pearl", tiny_options("pearl")),
        ):
            with _stopped_after(3), contextlib.suppress(KeyboardInterrupt):
                admrl.train(method=method, out=run, **changes, **_QUICK)
        admrl.train(out=self.done, **small, **_QUICK)
        admrl.evaluate_run(self.done, "mine", psis=_PSIS, **self.evaluation())
        admrl.check_task_gradient(self.done, **self.check())
        self.tasks.write_text("# tasks\n" + "".join(f"{a},{b}\n" for a, b in _PSIS))
        self.files = {p: p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()}

    def evaluation(self) -> dict[str, Any]:
        return {"real_samples": (40,), "episodes": 2, "oracle": _ORACLE, **_QUICK}

    def check(self) -> dict[str, Any]:
        return {"repeats": 2, "episodes": 2, "workers": 1, "progress": False}

    def restore(self) -> None:
        known = {self.path / p.relative_to(self.path).parts[0] for p in self.files}
        for path in set(self.path.iterdir()) - known:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        for path in self.path.rglob("*"):
            if path not in self.files and path.is_file():
                path.unlink()
        for path, content in self.files.items():
            if not path.is_file() or path.read_bytes() != content:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)

    def some(self, rng: Generator, *patterns: str) -> pathlib.Path:
        found = [p for p in self.files if any(p.match(pattern) for pattern in patterns)]
        return found[rng.integers(len(found))]


@contextlib.contextmanager
def _stopped_after(count: int) -> Iterator[None]:
    save, saved = checkpoints.save, []

    def some(*arguments: Any) -> pathlib.Path:
        saved.append(save(*arguments))
        if len(saved) == count:
            raise KeyboardInterrupt
        return saved[-1]

    with mock.patch.object(checkpoints, "save", some):
        yield


# What reads a damaged file: an exit status, or an exception that a command would show.


def command(*words: object) -> Callable[[], int]:
    return lambda: cli.main([str(word) for word in words])


def resume(run: pathlib.Path) -> Callable[[], int]:
    return command("train", "--resume", run)


def learner(run: pathlib.Path) -> Callable[[], int]:
    """What evaluate, check-gradient and `Run.adapt` begin with."""

    def load() -> int:
        admrl.Run.load(run, threads=1)._learner()
        return 0

    return load


def report(run: pathlib.Path) -> Callable[[], int]:
    """`admrl report` without its pictures."""

    def numbers() -> int:
        runs = collecting.read_runs([run])
        json.dumps(collecting.collect(runs), allow_nan=False)
        for policy in sorted(run.glob("evaluation/*/policies/*.safetensors")):
            films.load_policy(policy)
        return 0

    return numbers


def table(run: pathlib.Path) -> Callable[[], int]:
    """What a training prints at its end, without the picture."""

    def show() -> int:
        with storage.reading(run / "metrics.jsonl", "records"):
            run_table.print_table(summary.summarise(run), sys.stdout)
        return 0

    return show


def evaluate(place: Place) -> Callable[[], int]:
    def run() -> int:
        admrl.evaluate_run(place.done, "mine", psis=_PSIS, **place.evaluation())
        return 0

    return run


def check(place: Place) -> Callable[[], int]:
    def run() -> int:
        admrl.check_task_gradient(place.done, **place.check())
        return 0

    return run


class Damage:
    """One input: a file, its new content, and who reads it."""

    def __init__(
        self,
        path: pathlib.Path,
        content: bytes,
        reader: Callable[[], int],
        harmless: Callable[[bytes], bool] | None = None,
    ) -> None:
        self.path, self.content, self.reader = path, content, reader
        self.harmless = harmless  # whether a changed content may be taken


def _always(_: bytes) -> bool:
    return True


def _same_json(before: bytes) -> Callable[[bytes], bool]:
    def same(content: bytes) -> bool:
        without = storage._without_times
        return bool(without(json.loads(content)) == without(json.loads(before)))

    return same


def _same_config(before: bytes) -> Callable[[bytes], bool]:
    names = ("family", "method", "preset", "seed", "first_psi", "settings")

    def same(content: bytes) -> bool:
        old, new = yaml.safe_load(before), yaml.safe_load(content)
        return all(old[name] == new[name] for name in names)

    return same


def state(place: Place, rng: Generator) -> Damage:
    path = place.some(rng, "checkpoints/*/state.json")
    run = path.parents[2]
    newest = max(p for p in place.files if p.match(f"{run.name}/checkpoints/*/state.json"))
    before = place.files[newest]
    content = (mutated_bytes, mutated_text, mutated_json)[rng.integers(3)](rng, before)
    reader = (resume, learner)[rng.integers(2)](run)
    if run == place.done and reader is not None:
        reader = learner(run)
    return Damage(newest, content, reader, _same_json(before))


def forged_state(place: Place, rng: Generator) -> Damage:
    """Damage that carries a right digest: what is behind it is dealt with, too."""
    path = place.some(
        rng, "cut/checkpoints/000002/state.json", "pearl/checkpoints/000002/state.json"
    )
    values = json.loads(mutated_json(rng, place.files[path], 1))
    if isinstance(values, dict):
        values.pop("digest", None)
        content = storage.seal(values)
    else:
        content = json.dumps(values).encode()
    return Damage(path, content, (resume, learner)[rng.integers(2)](path.parents[2]), _always)


def weights(place: Place, rng: Generator) -> Damage:
    path = place.some(rng, "checkpoints/000002/*/*.safetensors")
    run = path.parents[3]
    if run == place.done:
        newest = max(place.done.glob("checkpoints/0*"))
        path = newest / path.relative_to(path.parents[1])
        if path not in place.files:
            return weights(place, rng)
    content = mutated_bytes(rng, place.files[path])
    readers = (learner,) if run == place.done else (resume, learner)
    return Damage(path, content, readers[rng.integers(len(readers))](run))


def shards(place: Place, rng: Generator) -> Damage:
    path = place.some(rng, "data/*.safetensors")
    run = path.parents[1]
    readers = (learner,) if run == place.done else (resume, learner)
    return Damage(
        path, mutated_bytes(rng, place.files[path]), readers[rng.integers(len(readers))](run)
    )


def configuration(place: Place, rng: Generator) -> Damage:
    path = place.some(rng, "config.yaml")
    run = path.parent
    before = place.files[path]
    content = (mutated_bytes, mutated_text)[rng.integers(2)](rng, before)
    if rng.random() < 0.3:
        values = yaml.safe_load(before)
        content = yaml.safe_dump(
            json.loads(mutated_json(rng, json.dumps(values).encode()))
        ).encode()
    readers = [learner(run)] if run == place.done else [resume(run), learner(run)]
    reader = readers[rng.integers(len(readers))]
    if rng.random() < 0.3:
        return Damage(path, content, report(run), _always)
    return Damage(path, content, reader, _same_config(before))


def metrics(place: Place, rng: Generator) -> Damage:
    path = place.some(rng, "metrics.jsonl")
    run = path.parent
    content = _mutated_lines(rng, place.files[path])
    readers = (report, table, resume)
    return Damage(path, content, readers[rng.integers(3)](run), _always)


def finished(place: Place, rng: Generator) -> Damage:
    path = place.done / "evaluation/mine/finished.jsonl"
    return Damage(path, _mutated_lines(rng, place.files[path]), evaluate(place), _always)


def checked(place: Place, rng: Generator) -> Damage:
    path = place.done / "gradient_check.jsonl"
    return Damage(path, _mutated_lines(rng, place.files[path]), check(place), _always)


def evaluation(place: Place, rng: Generator) -> Damage:
    path = place.done / "evaluation/mine/evaluation.json"
    content = (mutated_bytes, mutated_text, mutated_json)[rng.integers(3)](rng, place.files[path])
    return Damage(path, content, report(place.done), _always)


def policies(place: Place, rng: Generator) -> Damage:
    path = place.some(rng, "policies/*.safetensors")
    return Damage(path, mutated_bytes(rng, place.files[path]), report(place.done), _always)


def oracle(place: Place, rng: Generator) -> Damage:
    path = place.some(rng, "oracle/*/*.json", "oracle/*/*.safetensors")
    before = place.files[path]
    if path.suffix == ".safetensors":
        return Damage(path, mutated_bytes(rng, before), evaluate(place))
    content = (mutated_bytes, mutated_text, mutated_json)[rng.integers(3)](rng, before)
    return Damage(path, content, evaluate(place), _same_json(before))


def rows(place: Place, rng: Generator) -> Damage:
    path = place.some(rng, "cut/tasks.csv", "pearl/tasks.csv")
    content = (mutated_bytes, mutated_text)[rng.integers(2)](rng, place.files[path])
    return Damage(path, content, resume(path.parent), _always)


def list_of_tasks(place: Place, rng: Generator) -> Damage:
    content = (mutated_bytes, mutated_text)[rng.integers(2)](rng, place.files[place.tasks])
    reader = command("evaluate", place.done, "--tasks", place.tasks, "--no-oracle")
    return Damage(place.tasks, content, reader, _always)


def robot(place: Place, rng: Generator) -> Damage:
    path = place.some(rng, "cut/robot/*.xml", "done/robot/*.xml")
    before = place.files[path]

    def same(_: bytes) -> bool:
        return bool(model_content(path) == models[path])

    models = {path: _content_of(before)}
    content = (mutated_bytes, mutated_text)[rng.integers(2)](rng, before)
    return Damage(path, content, learner(path.parents[1]), same)


_MODELS: dict[bytes, Any] = {}


def _content_of(xml: bytes) -> Any:
    if xml not in _MODELS:
        with tempfile.NamedTemporaryFile(suffix=".xml") as file:
            file.write(xml)
            file.flush()
            _MODELS[xml] = model_content(pathlib.Path(file.name))
    return _MODELS[xml]


def _mutated_lines(rng: Generator, content: bytes) -> bytes:
    """Damage to one line of a file of JSON, or to the file."""
    if rng.random() < 0.4:
        return (mutated_bytes, mutated_text)[rng.integers(2)](rng, content)
    lines = content.splitlines(keepends=True)
    i = rng.integers(len(lines))
    lines[i] = mutated_json(rng, lines[i]).rstrip(b"\n") + b"\n"
    return b"".join(lines)


FILES: dict[str, Callable[[Place, Generator], Damage]] = {
    "state": state,
    "forged state": forged_state,
    "weights": weights,
    "shards": shards,
    "config": configuration,
    "metrics": metrics,
    "finished jobs": finished,
    "gradient check": checked,
    "evaluation": evaluation,
    "policies": policies,
    "oracle": oracle,
    "tasks.csv": rows,
    "test tasks": list_of_tasks,
    "robot": robot,
}
COMMAND_LINE = "command line"


def words_of(place: Place, rng: Generator) -> list[str]:
    """A command line that is nearly right, with one to three mutations."""
    new, run = str(place.path / "new"), str(place.done)
    begin = (
        ["train", "--out", new],
        ["train", "--out", new, "--first-psi", "-1e-1", "1.5"],
        ["train", "--resume", str(place.cut)],
        ["sweep", "--out", new, "--seeds", "0", "1"],
        ["sweep", "--out", new, "--vary", "step_size", "1", "2", "--evaluate", "grid"],
        ["evaluate", run, "--no-oracle"],
        ["evaluate", run, "--tasks", str(place.tasks), "--real-samples", "0", "40"],
        ["check-gradient", run, "--psi", "-1e-1", "1.5", "--out", new, "--json", f"{new}.json"],
        ["report", run, "--out", new],
    )[rng.integers(9)]
    words = list(begin)
    if begin[0] in ("train", "sweep") and "--resume" not in begin:
        training = preset("quick", "Hopper2D")
        known = [o for o in options().values() if METHODS["admrl"].reads(o.group, o.field)]
        for i in rng.integers(len(known), size=rng.integers(4)):
            words += ["--" + known[i].name.replace("_", "-"), *shown(known[i].of(training)).split()]
            if known[i].item is bool:
                words.pop()
    return mutated_words(rng, words)


def run_one(call: Callable[[], int]) -> tuple[int | None, str, str | None]:
    """Its exit status (None: the work would begin), what it printed as an error, what is wrong."""
    out, err = io.StringIO(), io.StringIO()
    signal.setitimer(signal.ITIMER_REAL, HANG_SECONDS)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                status: int | None = call()
            except SettingError as error:  # of Python, where no command is
                status = 2
                err.write(f"error: {error}\n")
            except SystemExit as error:
                status = int(error.code or 0)
            except Accepted:
                status = None
        signal.setitimer(signal.ITIMER_REAL, 0)
    except Hang:
        return 0, err.getvalue(), "a hang: " + "".join(traceback.format_exc().splitlines()[-8:])
    except BaseException as error:
        signal.setitimer(signal.ITIMER_REAL, 0)
        if isinstance(error, KeyboardInterrupt):
            raise
        where = traceback.extract_tb(error.__traceback__)
        frames = " < ".join(f"{f.name}:{f.lineno}" for f in where[::-1][:4])
        return 1, err.getvalue(), f"{type(error).__name__}: {str(error)[:120]} in {frames}"
    text = err.getvalue()
    if status not in (None, 0):
        if text.count("\n") != 1:
            return status, text, f"{text.count(chr(10))} lines: {text[:200]!r}"
        if re.search(r"error: (--\S+: )?(: |expected\s*$)", text):
            return status, text, f"a line without a beginning: {text[:200]!r}"
    return status, text, None


class Fuzz:
    """All kinds of inputs, and what was found."""

    def __init__(self, place: Place, seed: int) -> None:
        self._place, self._seed = place, seed
        self.counts: dict[str, Counter[str]] = {}

    def check(self, kind: str) -> None:
        """Whether what reads a kind of file takes all of them as they are.

        Raises:
            RuntimeError: it does not, so that nothing would be tested.
        """
        rng = np.random.default_rng(0)
        for _ in range(5) if kind in FILES else ():
            damage = FILES[kind](self._place, rng)
            status, text, problem = run_one(damage.reader)
            self._place.restore()
            if status not in (None, 0) or problem:
                raise RuntimeError(f"{damage.path} is not taken undamaged: {problem or text}")

    def one(self, kind: str, number: int) -> str | None:
        """What is wrong with an input, if anything."""
        rng = np.random.default_rng([self._seed, *kind.encode(), number])
        place = self._place
        count = self.counts.setdefault(kind, Counter())
        count["inputs"] += 1
        if kind == COMMAND_LINE:
            words = words_of(place, rng)
            status, _, problem = run_one(lambda: cli.main(words))
            count["taken" if status in (None, 0) else "refused"] += 1
            place.restore()
            return problem and f"{problem}: {' '.join(words)[:400]!r}"
        damage = FILES[kind](place, rng)
        unchanged = damage.content == place.files[damage.path]
        try:
            damage.path.write_bytes(damage.content)
            status, text, problem = run_one(damage.reader)
            taken = status in (None, 0)
            count["taken" if taken else "refused"] += 1
            if problem is None and not taken and not _named(damage.path, place, text):
                problem = f"does not name the file: {text[:300]!r}"
            if problem is None and taken and not unchanged:
                fine = damage.harmless is not None and damage.harmless(damage.content)
                problem = None if fine else "not noticed"
        finally:
            place.restore()
        return problem and f"{problem}: {damage.path.relative_to(place.path)}"


def _named(path: pathlib.Path, place: Place, text: str) -> bool:
    """Whether a message says which file, or which run or folder of it."""
    folder = next(p for p in path.parents if p.parent == place.path or p == place.path)
    return str(folder) in text and (folder != place.path or str(path) in text)


def patches() -> contextlib.ExitStack:
    """Commands end where their work would begin."""
    stack = contextlib.ExitStack()
    from admrl_native import check_gradient, report, sweep  # noqa: F401
    from admrl_native.algorithms.admrl import learner as ours
    from admrl_native.algorithms.iterative import IterativeLearner
    from admrl_native.jobs.workers import Workers
    from admrl_native.reporting import films as filmed

    for owner, name in (
        (ours.MetaTrainer, "train"),
        (IterativeLearner, "train"),
        (Workers, "run"),
        (filmed, "add_films"),
    ):
        stack.enter_context(mock.patch.object(owner, name, accept))
    return stack


def watch() -> None:
    def alarm(*_: object) -> None:
        raise Hang

    signal.signal(signal.SIGALRM, alarm)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    kinds = [COMMAND_LINE, *FILES]
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", default=kinds, choices=kinds)
    arguments = parser.parse_args()
    faulthandler.enable()
    watch()
    began, wrong = time.monotonic(), Counter[str]()
    shared = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with tempfile.TemporaryDirectory(dir=shared) as work, contextlib.redirect_stderr(sys.stderr):
        fuzz = Fuzz(Place(pathlib.Path(work).resolve()), arguments.seed)
        with patches(), contextlib.chdir(work):
            per_kind = -(-arguments.inputs // len(arguments.only))
            for kind in arguments.only:
                fuzz.check(kind)
                since = time.monotonic()
                for number in range(arguments.first, arguments.first + per_kind):
                    if problem := fuzz.one(kind, number):
                        wrong[kind] += 1
                        print(f"{kind} {number}: {problem}", file=sys.stderr, flush=True)
                seconds = time.monotonic() - since
                report = {**fuzz.counts[kind], "wrong": wrong[kind], "seconds": round(seconds)}
                print(f"{kind}: {json.dumps(report)}", flush=True)
    total = sum(c["inputs"] for c in fuzz.counts.values())
    print(f"{total} inputs, {wrong.total()} wrong, {time.monotonic() - began:.0f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
