"""The command that trains: `python -m admrl_native.train`, or `admrl train`."""

from __future__ import annotations

import pathlib
import sys
import types
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from . import command
from .command import integer, real, shown
from .settings import SettingError

if TYPE_CHECKING:
    from .configuration.options import Option

# Options beside --resume that must agree with the run, by their name in its configuration.
_NAMED = ("family", "method", "seed", "threads", "device", "first_psi")  # of `make_config`
_FIXED = ("family", "method", "preset", "seed", "first_psi")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit status: 0, 2 (usage), 130 (Ctrl-C) or 143 (SIGTERM)."""
    return command.run("train", lambda go_on: _main(argv, go_on))


def _main(argv: Sequence[str] | None, go_on: list[str]) -> int:
    from .activities.runs import open_to_compute
    from .activities.training import run as training
    from .configuration.config import make_config

    given = vars(_parser().parse_args(sys.argv[1:] if argv is None else argv))
    if "resume" in given:
        threads, device = given.get("threads"), given.get("device")
        folder, config = open_to_compute(given["resume"], threads=threads, device=device)
        _check_agreement(given, config, folder.path)
        training.resume(folder, config, sys.stdout, go_on)
        return 0
    out = given.pop("out", None)
    named = {k: given.pop(k) for k in _NAMED if k in given}
    preset_name = given.pop("preset", "quick")
    config = make_config(preset_name=preset_name, **named, overrides=given)
    training.begin(config, out, sys.stdout, go_on)
    return 0


def _check_agreement(given: dict[str, Any], config: Any, path: pathlib.Path) -> None:
    """--resume takes everything from the folder; what is said again must be the same."""
    from .configuration.config import check_is_read
    from .configuration.options import options

    for name, value in given.items():
        check_is_read(name, (config.method,))
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
            raise SettingError(name, f"expected {shown(stored)} as in {path}, got {shown(value)}")


def _parser() -> command.Parser:
    from .algorithms.methods import METHODS
    from .configuration.config import DEFAULT_FAMILY, DEVICES
    from .configuration.options import options
    from .configuration.presets import PRESETS
    from .families.catalogue import FAMILIES

    parser = command.Parser(
        "train",
        "[options]",
        "Trains one run: AdMRL, a baseline that differs in how tasks are chosen, or one of the "
        "model-free systems of the paper's comparison. "
        "Without any option: AdMRL on Hopper2D, in about half a minute.",
    )
    run = parser.add_argument_group("the run")
    run.add_argument("--family", metavar="NAME", help=_one_of(FAMILIES, DEFAULT_FAMILY))
    run.add_argument("--method", metavar="NAME", help=_one_of(METHODS, "admrl"))
    run.add_argument(
        "--preset",
        metavar="NAME",
        help=f"{', '.join(PRESETS)}: to try things; large enough to compare methods; every value "
        "as published; docs/durations.md says how long each takes (default: quick)",
    )
    run.add_argument(
        "--seed", type=integer, metavar="N", help="of every random number (default: 0)"
    )
    run.add_argument(
        "--threads",
        type=integer,
        metavar="N",
        help="threads of the simulation and of virtual training; the results do not depend on it "
        "(default: the CPUs available)",
    )
    run.add_argument(
        "--device", metavar="NAME", help=_one_of(DEVICES, "auto: cuda if there is one")
    )
    run.add_argument(
        "--first-psi",
        type=real,
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
    parser.add_settings(options().values(), _defaults)
    return parser


def _one_of(names: Any, default: str) -> str:
    return f"{', '.join(names)} (default: {default})"


def _defaults(option: Option) -> str:
    """What the presets say: "(default: 0.01 nats)", or "(quick 5, small 6, paper 10 to 20)"."""
    from .configuration.presets import PRESETS, preset
    from .families.catalogue import FAMILIES

    found = {}
    for name in PRESETS:
        # numbers by size, and words after them
        values = sorted(
            {option.of(preset(name, family)) for family in FAMILIES},
            key=lambda value: (isinstance(value, str), value),
        )
        texts = [shown(value) for value in values]
        found[name] = texts[0] if len(texts) == 1 else f"{texts[0]} to {texts[-1]} by family"
    unit = f" {option.unit}" if option.unit else ""
    if len(set(found.values())) == 1:
        return f"(default: {found['paper']}{unit})"
    return f"({', '.join(f'{name} {text}{unit}' for name, text in found.items())})"


class _Command(types.ModuleType):
    """Importing this module names it `admrl_native.train`, which has to stay the function."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        from .api import train

        return train(*arguments, **options)


sys.modules[__name__].__class__ = _Command


if __name__ == "__main__":
    sys.exit(main())
