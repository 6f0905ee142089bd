"""The command that trains: `python -m admrl_native.train`, or `admrl train`."""

from __future__ import annotations

import argparse
import contextlib
import pathlib
import signal
import sys
import threading
import types
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from .settings import SettingError

_INTERRUPTED, _TERMINATED, _USAGE = 130, 143, 2

# Options beside --resume that must agree with the run, by their name in its configuration.
_FIXED = ("family", "method", "preset", "seed", "first_psi")


class _Terminated(KeyboardInterrupt):
    """SIGTERM came: end as after Ctrl-C."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit status: 0, 2 (usage), 130 (Ctrl-C) or 143 (SIGTERM)."""
    path: list[pathlib.Path] = []
    try:
        with _interruptible():
            return _main(argv, path)
    except SettingError as error:
        named = f"{_flag(error.name)}: " if error.name else ""
        print(f"admrl train: error: {named}{_in_one_line(error.problem)}", file=sys.stderr)
        return _USAGE
    except KeyboardInterrupt as interrupt:
        print("interrupted", file=sys.stderr, end="")
        if path:
            print(f"; go on with: admrl train --resume {path[0]}", file=sys.stderr, end="")
        print(file=sys.stderr, flush=True)
        return _TERMINATED if isinstance(interrupt, _Terminated) else _INTERRUPTED


def _main(argv: Sequence[str] | None, path: list[pathlib.Path]) -> int:
    from . import api
    from .runs import folder as folders
    from .runs.config import make_config
    from .runs.progress import make_progress
    from .runs.recorder import is_complete
    from .runs.summary import write_summary

    given = vars(_parser().parse_args(argv))
    if "resume" in given:
        folder, config = api.open_to_resume(
            given["resume"], threads=given.get("threads"), device=given.get("device")
        )
        _check_agreement(given, config, folder.path)
    else:
        named = {
            k: given.pop(k)
            for k in ("method", "seed", "threads", "device", "first_psi")
            if k in given
        }
        out, family = given.pop("out", None), given.pop("family", None)
        preset_name = given.pop("preset", "quick")
        families = {} if family is None else {"family": family}
        config = make_config(**families, preset_name=preset_name, **named, overrides=given)
        api.resolve_device(config.device)
        api.check_simulation(config)
        folder = folders.create(folders.default_path(config) if out is None else out, config)
    path.append(folder.path)
    if is_complete(folder):
        print(f"{folder.path} is complete; nothing is left to train", flush=True)
    else:
        print(f"training in {folder.path}; Ctrl-C leaves a run that --resume continues", flush=True)
        api.carry_on(folder, config, make_progress(config))
    picture = write_summary(folder.path, sys.stdout)
    print(f"results in {folder.path}, picture in {picture}", flush=True)
    return 0


def _check_agreement(given: dict[str, Any], config: Any, path: pathlib.Path) -> None:
    """--resume takes everything from the folder; what is said again must be the same."""
    from .runs.options import options

    for name, value in given.items():
        if name in ("resume", "threads", "device"):
            continue
        if name == "out":
            if value.resolve() != path.resolve():
                raise SettingError("out", f"expected none, or {path} as in --resume, got {value}")
            continue
        if name in _FIXED:
            stored = config.family.name if name == "family" else getattr(config, name)
        else:
            stored = options()[name].of(config.training)
        if (tuple(value) if isinstance(value, list) else value) != stored:
            raise SettingError(name, f"expected {_shown(stored)} as in {path}, got {_shown(value)}")


def _shown(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


class _Parser(argparse.ArgumentParser):
    """Reports an error in one line."""

    def error(self, message: str) -> NoReturn:
        # argparse names the option itself: "argument --seed: ..."
        raise SettingError("", message.removeprefix("argument "))


def _parser() -> argparse.ArgumentParser:
    """Every option; one that is not given is absent from the result."""
    from .algorithms.settings import METHODS
    from .families.catalogue import FAMILIES
    from .runs.config import DEFAULT_FAMILY, DEVICES
    from .runs.options import options
    from .runs.presets import PRESETS

    parser = _Parser(
        prog="admrl train",
        usage="admrl train [options]",
        description="Trains one run: AdMRL, or a baseline that differs in how tasks are chosen. "
        "Without any option: a few minutes of AdMRL on Hopper2D.",
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
        formatter_class=_wide,
    )
    run = parser.add_argument_group("the run")
    run.add_argument("--family", metavar="NAME", help=_one_of(FAMILIES, DEFAULT_FAMILY))
    run.add_argument("--method", metavar="NAME", help=_one_of(METHODS, "admrl"))
    run.add_argument(
        "--preset",
        metavar="NAME",
        help=f"{', '.join(PRESETS)}: minutes; about a quarter of an hour on 2 cores; "
        "every value as published (default: quick)",
    )
    run.add_argument(
        "--seed", type=_integer, metavar="N", help="of every random number (default: 0)"
    )
    run.add_argument(
        "--threads",
        type=_integer,
        metavar="N",
        help="simulation threads; the results do not depend on it (default: the CPUs available)",
    )
    run.add_argument(
        "--device", metavar="NAME", help=_one_of(DEVICES, "auto: cuda if there is one")
    )
    run.add_argument(
        "--first-psi",
        type=_number,
        nargs="+",
        metavar="X",
        help="the first task, in the family's units (default: u = --first-u in every coordinate)",
    )
    run.add_argument(
        "--out",
        type=pathlib.Path,
        metavar="DIR",
        help="a new or empty folder for the results (default: a new one in ./runs)",
    )
    run.add_argument(
        "--resume",
        type=pathlib.Path,
        metavar="DIR",
        help="continue the run in this folder, with its own options; "
        "only --threads and --device may differ",
    )
    groups: dict[str, Any] = {}
    for option in options().values():
        if option.group not in groups:
            groups[option.group] = parser.add_argument_group(option.group.replace("_", " "))
        choices = f": {', '.join(option.choices)}" if option.choices else ""
        flag, text = _flag(option.name), f"{option.help}{choices} {_defaults(option)}"
        text = text.replace("%", "%%")
        if option.item is bool:
            groups[option.group].add_argument(
                flag, action=argparse.BooleanOptionalAction, help=text
            )
            continue
        groups[option.group].add_argument(
            flag,
            type={int: _integer, float: _number, str: str}[option.item],
            metavar={int: "N", float: "X", str: "NAME"}[option.item],
            help=text,
            **({"nargs": "+"} if option.many else {}),
        )
    return parser


def _wide(prog: str) -> argparse.HelpFormatter:
    return argparse.HelpFormatter(prog, max_help_position=34)


def _one_of(names: Any, default: str) -> str:
    return f"{', '.join(names)} (default: {default})"


def _defaults(option: Any) -> str:
    """What the presets say: "(default: 0.01 nats)", or "(quick 5, small 6, paper 10 to 20)"."""
    from .families.catalogue import FAMILIES
    from .runs.presets import PRESETS, preset

    found = {}
    for name in PRESETS:
        values = sorted({option.of(preset(name, family)) for family in FAMILIES})
        shown = [_shown(value) for value in values]
        found[name] = shown[0] if len(shown) == 1 else f"{shown[0]} to {shown[-1]} by family"
    unit = f" {option.unit}" if option.unit else ""
    if len(set(found.values())) == 1:
        return f"(default: {found['paper']}{unit})"
    return f"({', '.join(f'{name} {text}{unit}' for name, text in found.items())})"


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a whole number, got {text!r}") from None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a number, got {text!r}") from None


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _in_one_line(text: str) -> str:
    return " ".join(text.split())


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """SIGINT and SIGTERM raise in the main thread, even where a shell script had SIGINT ignored."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: _terminate}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _terminate(signal_number: int, frame: types.FrameType | None) -> None:
    raise _Terminated


class _Command(types.ModuleType):
    """Importing this module names it `admrl_native.train`, which has to stay the function."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        from .api import train

        return train(*arguments, **options)


sys.modules[__name__].__class__ = _Command


if __name__ == "__main__":
    sys.exit(main())
