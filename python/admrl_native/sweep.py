"""The command that trains and evaluates many runs: `python -m admrl_native.sweep --out DIR`."""

from __future__ import annotations

import pathlib
import shlex
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from . import command
from .command import integer
from .settings import SettingError

if TYPE_CHECKING:
    from .configuration.cells import Sweep


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command.

    Returns:
        The exit status: 0, 1 (runs failed), 2 (usage), 130 (Ctrl-C) or 143 (SIGTERM).
    """
    arguments = sys.argv[1:] if argv is None else list(argv)
    return command.run("sweep", lambda go_on: _main(arguments, go_on))


def _main(argv: list[str], go_on: list[str]) -> int:
    from .activities.sweeping.run import run

    given = vars(_parser().parse_args(argv))
    out = given.pop("out").resolve()
    machine = {k: given.pop(k) for k in ("executor", "workers", "ray_address") if k in given}
    command_line = f"admrl sweep {shlex.join(argv)}"
    failures = run(_read_sweep(given), out, command_line, sys.stdout, go_on, **machine)
    return 1 if failures else 0


def _read_sweep(given: dict[str, Any]) -> Sweep:
    """What is asked for, from the options that are given; other options are the runs' settings."""
    from .configuration.cells import Evaluation, Sweep, parse_vary
    from .configuration.config import DEFAULT_FAMILY

    of_evaluation = ("real_samples", "episodes", "oracle")
    grids = given.pop("evaluate", None)
    for name in given:
        if grids is None and (name in of_evaluation or name.startswith("oracle_")):
            raise SettingError(name, "expected none without --evaluate")
    oracle = command.take_oracle(given)
    asked = {k: given.pop(k) for k in ("real_samples", "episodes") if k in given}
    if "real_samples" in asked:
        asked["real_samples"] = tuple(asked["real_samples"])
    return Sweep(
        families=tuple(given.pop("families", (DEFAULT_FAMILY,))),
        methods=tuple(given.pop("methods", ("admrl",))),
        seeds=tuple(given.pop("seeds", (0,))),
        preset=given.pop("preset", "quick"),
        threads=given.pop("threads", 1),
        device=given.pop("device", "auto"),
        evaluation=None if grids is None else Evaluation(tuple(grids), oracle=oracle, **asked),
        vary=parse_vary(given.pop("vary", [])),
        settings=given,
    )


def _parser() -> command.Parser:
    from .algorithms.methods import METHODS
    from .configuration.config import DEFAULT_FAMILY, DEVICES
    from .configuration.options import options
    from .configuration.presets import PRESETS
    from .evaluation.grids import GRIDS
    from .families.catalogue import FAMILIES

    parser = command.Parser(
        "sweep",
        "--out DIR [options]",
        "Trains, and evaluates with --evaluate, a run for each combination of families, methods, "
        "seeds and varied options, several at a time, here or on a Ray cluster. The same command "
        "goes on where it was interrupted, also with more values.",
    )
    table = parser.add_argument_group("the runs")
    table.add_argument(
        "--out",
        type=pathlib.Path,
        metavar="DIR",
        required=True,
        help="the folder for the runs' folders; with Ray, one that all machines share",
    )
    table.add_argument(
        "--families",
        nargs="+",
        metavar="NAME",
        help=f"{', '.join(FAMILIES)} (default: {DEFAULT_FAMILY})",
    )
    table.add_argument(
        "--methods", nargs="+", metavar="NAME", help=f"{', '.join(METHODS)} (default: admrl)"
    )
    table.add_argument(
        "--seeds", nargs="+", type=integer, metavar="N", help="of each combination (default: 0)"
    )
    table.add_argument("--preset", metavar="NAME", help=f"{', '.join(PRESETS)} (default: quick)")
    table.add_argument(
        "--vary",
        nargs="+",
        action="append",
        metavar="WORD",
        help="an option's name and its values, as in --vary step_size 1 2 4; can be repeated; "
        "values with several numbers have commas, as in dynamics_hidden 128,128 256,256",
    )
    work = parser.add_argument_group("the work")
    work.add_argument(
        "--workers",
        type=integer,
        metavar="N",
        help="runs at a time (default: the CPUs available, divided by --threads)",
    )
    work.add_argument(
        "--threads",
        type=integer,
        metavar="N",
        help="of each run; the results do not depend on it (default: 1)",
    )
    work.add_argument(
        "--device", metavar="NAME", help=f"{', '.join(DEVICES)} (default: auto; cpu with Ray)"
    )
    command.add_executor(work)
    evaluation = parser.add_argument_group("the evaluation")
    evaluation.add_argument(
        "--evaluate",
        nargs="+",
        choices=GRIDS,
        metavar="GRID",
        help=f"test sets on which each trained run is evaluated: {', '.join(GRIDS)} "
        "(default: none)",
    )
    evaluation.add_argument(
        "--real-samples",
        nargs="+",
        type=integer,
        metavar="N",
        help="real samples of adaptation, multiples of --n-adapt (default: 0)",
    )
    evaluation.add_argument(
        "--episodes",
        type=integer,
        metavar="N",
        help="real episodes of each policy, twice: to select the worst task by, and fresh ones "
        "(default: 50)",
    )
    command.add_oracle(parser)
    parser.add_settings(options().values(), lambda _: "(default: the preset's)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
