"""The command that checks the task gradient: `python -m admrl_native.check_gradient RUN`."""

from __future__ import annotations

import json
import pathlib
import shlex
import sys
from collections.abc import Sequence

from . import command
from .command import integer, real, shown
from .settings import SettingError


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit status: 0, 2 (usage), 130 (Ctrl-C) or 143 (SIGTERM)."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    return command.run("check-gradient", lambda go_on: _main(arguments, go_on), ("run",))


def _main(argv: list[str], go_on: list[str]) -> int:
    from .activities.checking import check_task_gradient
    from .configuration.config import available_cpus
    from .store.folder import is_part_of_run
    from .store.metrics import finite

    given = vars(_parser().parse_args(argv))
    figures: pathlib.Path | None = given.pop("json", None)
    if figures is not None:
        if is_part_of_run(figures, given["run"]):
            raise SettingError("json", f"expected a file of its own, got {figures}, of the run")
        try:
            figures.open("a").close()  # known now, not after the work
        except OSError as error:
            raise SettingError("json", f"expected a file that can be written: {error}") from error
    given.setdefault("workers", available_cpus())
    go_on.append(f"admrl check-gradient {shlex.join(argv)}")
    check = check_task_gradient(**given)
    if figures is not None:  # before anything is shown
        figures.write_text(json.dumps(finite(check.to_dict()), indent=1) + "\n")
    task = ", ".join(f"{x:.4g}" for x in check.psi)
    print(f"\nTask gradient at psi = ({task}); returns per time step, derivatives per unit of u")
    print(f"\n{check.table()}\n\n{check.conclusion()}", flush=True)
    return 0


def _parser() -> command.Parser:
    from .activities.checking import GROUP
    from .algorithms.settings import GradientCheckSettings
    from .configuration.config import DEVICES
    from .configuration.options import options, options_of

    parser = command.Parser(
        "check-gradient",
        "RUN [options]",
        "Compares the task gradient (Eq. 2) with finite differences of the sub-optimality gap, "
        "adapting policies anew at every task, from the model of a run's newest checkpoint. "
        "Returns are per time step, derivatives per unit of the normalised task u in [-1, 1]. "
        "The same command goes on where it was interrupted, also with more --repeats.",
    )
    parser.add_argument("run", type=pathlib.Path, metavar="RUN", help="the run's folder")
    check = parser.add_argument_group("the check")
    check.add_argument(
        "--psi",
        type=real,
        nargs="+",
        metavar="X",
        help="the task, in the family's units "
        "(default: the last visited one, moved into the box by --epsilon)",
    )
    check.add_argument(
        "--seed", type=integer, metavar="N", help="of every random number (default: the run's)"
    )
    check.add_argument(
        "--workers",
        type=integer,
        metavar="N",
        help="processes; the results do not depend on it (default: the CPUs available)",
    )
    command.add_executor(check)
    check.add_argument(
        "--device", metavar="NAME", help=f"{', '.join(DEVICES)} (default: as the run was started)"
    )
    check.add_argument(
        "--out",
        type=pathlib.Path,
        metavar="FILE",
        help="keeps the finished jobs (default: gradient_check.jsonl in RUN)",
    )
    check.add_argument(
        "--json", type=pathlib.Path, metavar="FILE", help="all figures of the result (default: no)"
    )
    defaults = GradientCheckSettings()
    parser.add_settings(
        options_of(GradientCheckSettings, "finite difference"),
        lambda option: (
            f"(default: {shown(getattr(defaults, option.field))} {option.unit}".rstrip() + ")"
        ),
    )
    parser.add_settings(
        (o for o in options().values() if o.group == GROUP), lambda _: "(default: the run's)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
