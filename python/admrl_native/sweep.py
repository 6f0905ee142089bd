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
    from .runs.sweep import Cell, Sweep


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command.

    Returns:
        The exit status: 0, 1 (runs failed), 2 (usage), 130 (Ctrl-C) or 143 (SIGTERM).
    """
    arguments = sys.argv[1:] if argv is None else list(argv)
    return command.run("sweep", lambda go_on: _main(arguments, go_on))


def _main(argv: list[str], go_on: list[str]) -> int:
    from .runs import sweep_folder
    from .runs.executor import make_executor
    from .runs.sweep import run_sweep
    from .runs.sweep_progress import make_sweep_progress
    from .sweep_job import make_worker

    given = vars(_parser().parse_args(argv))
    out: pathlib.Path = given.pop("out").resolve()
    kind, address = given.pop("executor", "local"), given.pop("ray_address", None)
    workers = given.pop("workers", None)
    sweep = _read_sweep(given)
    cells = sweep.cells()
    if workers is None:
        workers = _default_workers(sweep.threads)
    trained = {c.name for c in cells if sweep_folder.is_trained(out / c.name, c.config)}
    _check_machine(cells, kind, workers, sweep.device)
    executor = make_executor(
        kind,
        make_worker,
        (out, sweep.evaluation),
        workers,
        address,
        sweep.threads,
    )
    # Whether an evaluation is complete is known to those who would go on with it.
    finished = trained if sweep.evaluation is None else set()
    command_line = f"admrl sweep {shlex.join(argv)}"
    about = {"command": command_line, **sweep.to_dict(), "runs": [cell.name for cell in cells]}
    failures: dict[str, str] = {}
    if len(finished) < len(cells):
        with executor, sweep_folder.locked(out, about):
            go_on.append(command_line)
            print(f"runs in {out}; Ctrl-C leaves a sweep that the same command continues")
            failures = run_sweep(cells, finished, out, executor, make_sweep_progress())
    _print_end(out, len(cells), failures)
    return 1 if failures else 0


def _read_sweep(given: dict[str, Any]) -> Sweep:
    """What is asked for, from the options that are given; other options are the runs' settings."""
    from .runs.config import DEFAULT_FAMILY
    from .runs.sweep import Evaluation, Sweep, parse_vary

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


def _default_workers(threads: int) -> int:
    from .runs.config import available_cpus

    return max(1, available_cpus() // threads)


def _check_machine(cells: Sequence[Cell], executor: str, workers: int, device: str) -> None:
    """Whether this machine can do the runs, which the others are expected to resemble."""
    from . import api
    from .runs.memory import check_memory

    if executor == "ray" and device == "cuda":
        raise SettingError("device", "expected cpu or auto: Ray is not asked for GPUs")
    different = {(c.config.family.name, c.config.training.physics): c.config for c in cells}
    for config in different.values():
        api.check_simulation(config)
    for cell in cells:
        check_memory(cell.config, processes=1 if executor == "ray" else workers)
    if device == "cuda":
        api.resolve_device(device)


def _print_end(out: pathlib.Path, runs: int, failures: dict[str, str]) -> None:
    from .runs.sweep_folder import error_file

    print(f"{runs - len(failures)} of {runs} runs are done, in {out}")
    for name, reason in failures.items():
        print(f"failed: {name}: {reason}  (more in {error_file(out, name)})")
    if failures:
        print("the same command tries them again")
    if len(failures) < runs:
        print(f"compare the runs: admrl report {shlex.quote(str(out))}/*-seed*/", flush=True)


def _parser() -> command.Parser:
    from .algorithms.methods import METHODS
    from .evaluation.grids import GRIDS
    from .families.catalogue import FAMILIES
    from .runs.config import DEFAULT_FAMILY, DEVICES
    from .runs.options import options
    from .runs.presets import PRESETS

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
