"""The command that evaluates a run: `python -m admrl_native.evaluate RUN`."""

from __future__ import annotations

import csv
import math
import pathlib
import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from . import command
from .command import integer
from .settings import SettingError

if TYPE_CHECKING:
    from .evaluation.metrics import Estimate
    from .store.returns import StoredEvaluation


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit status: 0, 2 (usage), 130 (Ctrl-C) or 143 (SIGTERM)."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    return command.run("evaluate", lambda go_on: _main(arguments, go_on), ("run",))


def _main(argv: list[str], go_on: list[str]) -> int:
    from .activities.evaluating.run import evaluate_run
    from .store.returns import read_evaluation

    given = vars(_parser().parse_args(argv))
    tasks: pathlib.Path | None = given.pop("tasks", None)
    if tasks is not None:
        if "grid" in given:
            raise SettingError("tasks", "expected no --grid beside it: both say what is tested")
        given["psis"], given["grid"] = read_tasks(tasks), tasks.stem
    given["oracle"] = command.take_oracle(given)
    if given["oracle"] is None and "oracle_cache" in given:
        raise SettingError("oracle_cache", "expected none without an oracle")
    go_on.append(f"admrl evaluate {shlex.join(argv)}")
    try:
        result = evaluate_run(**given)
    except SettingError as error:
        if tasks is not None and error.name in ("psis", "grid"):  # what was typed
            raise SettingError("tasks", f"{error.problem}, in {tasks}") from None
        raise
    print(_table(read_evaluation(result.parent)), flush=True)
    print(f"results in {result}; figures: admrl report {given['run']}", flush=True)
    return 0


def read_tasks(path: pathlib.Path) -> list[tuple[float, ...]]:
    """Tasks (M, K) of a CSV file, one a line; lines that begin with # are left out.

    Raises:
        SettingError: it cannot be read, or has something else than numbers.
    """
    tasks: list[tuple[float, ...]] = []
    try:
        text = path.read_text("utf-8-sig")  # with or without a byte order mark
        for number, line in enumerate(text.splitlines(), 1):
            row = next(csv.reader([line], strict=True), [])
            if not row or row[0].startswith("#"):
                continue
            try:
                tasks.append(tuple(map(float, row)))
            except ValueError:
                got = line if len(line) <= 60 else f"{line[:57]}..."
                problem = f"expected numbers in line {number} of {path}, got {got!r}"
                raise SettingError("tasks", problem) from None
            if len(tasks[-1]) != len(tasks[0]):
                problem = f"expected K={len(tasks[0])} numbers in line {number} of {path}, as above"
                raise SettingError("tasks", f"{problem}, got {len(tasks[-1])}")
    except SettingError:
        raise
    except (OSError, ValueError, csv.Error) as error:
        raise SettingError("tasks", f"expected a CSV file: {error} ({path})") from None
    if not tasks:
        raise SettingError("tasks", f"expected at least one task in {path}, found none")
    return tasks


def _table(evaluation: StoredEvaluation) -> str:
    """A line for each n: mean and worst return and, where known, gaps; then who gives A*."""
    from .evaluation.comparison import ORACLE, compare
    from .store.returns import best_oracle, run_returns

    psis = evaluation.psis
    found = compare(
        "", evaluation.grid, psis, [run_returns(evaluation, "run")], best_oracle([evaluation])
    )
    gaps = found.methods["run"]
    lines = [f"{len(psis)} tasks; gap = best known return - return"]
    lines.append(f"{'n':>6}  {'mean return':>20}  {'worst gap':>20}  {'mean gap':>20}  worst task")
    for n in found.real_samples:
        s = gaps.statistics[n]
        worst = "-"
        if gaps.worst_tasks[n]:
            worst = f"({', '.join(f'{x:.3g}' for x in psis[gaps.worst_tasks[n][0]])})"
        cells = [_cell(e) for e in (gaps.mean_returns[n], s["max"], s["mean"])]
        lines.append("  ".join([f"{n:>6}", *(f"{cell:>20}" for cell in cells), worst]))
    lines.append(
        "in brackets: 95 %, of the noise of the test episodes alone; another run of the method may "
        "come out differently"
    )
    if evaluation.oracle is not None:
        oracles = sum(best.learner == ORACLE for best in found.best)
        lines.append(
            f"best known return: by the oracle ({evaluation.oracle.learner}) on {oracles} tasks, "
            f"by this run itself on {len(psis) - oracles}, where its gap is 0 by definition"
        )
    for why, which in _reasons(gaps.unknown).items():
        lines.append(
            f"no gap is known at n = {', '.join(which)}: {why}, so that the best known return is "
            "the run's own"
        )
    return "\n".join(lines)


def _cell(estimate: Estimate) -> str:
    """A figure with its interval, as far as they are known."""
    if math.isnan(estimate.value):
        return "-"
    if math.isnan(estimate.low):
        return f"{estimate.value:.0f}"
    return f"{estimate.value:.0f} ({estimate.low:.0f} to {estimate.high:.0f})"


def _reasons(unknown: Mapping[int, str]) -> dict[str, list[str]]:
    """The n that each reason holds for."""
    found: dict[str, list[str]] = {}
    for n, why in unknown.items():
        if why:
            found.setdefault(why, []).append(str(n))
    return found


def _parser() -> command.Parser:
    from .configuration.config import DEVICES
    from .evaluation.grids import GRIDS

    parser = command.Parser(
        "evaluate",
        "RUN [options]",
        "Adapts the meta-trained model of a run to every task of a test set, with 0 and more real "
        "samples, and compares the returns with the best known for each task (Section 5). The "
        "same command goes on where it was interrupted, also with more --real-samples.",
    )
    parser.add_argument("run", type=pathlib.Path, metavar="RUN", help="the run's folder")
    what = parser.add_argument_group("the evaluation")
    what.add_argument(
        "--grid",
        choices=GRIDS,
        help="tasks: in the family's box, or around it (out of distribution) (default: grid)",
    )
    what.add_argument(
        "--tasks",
        type=pathlib.Path,
        metavar="FILE",
        help="tasks of one's own: a CSV file, a task in the family's units on each line",
    )
    what.add_argument(
        "--real-samples",
        type=integer,
        nargs="+",
        metavar="N",
        help="real samples of adaptation, multiples of the run's n_adapt (default: 0)",
    )
    what.add_argument(
        "--episodes",
        type=integer,
        metavar="N",
        help="real episodes of each policy, twice: to select the worst task by, and fresh ones "
        "(default: 50)",
    )
    what.add_argument(
        "--seed", type=integer, metavar="N", help="of every random number (default: the run's)"
    )
    what.add_argument(
        "--batch",
        type=integer,
        metavar="N",
        help="most tasks that zero-shot adaptation takes at once, and so most of it that is lost "
        "when it stops (default: all, or a share for each worker)",
    )
    what.add_argument(
        "--workers",
        type=integer,
        metavar="N",
        help="processes; natively the results do not depend on it (default: 1)",
    )
    what.add_argument(
        "--threads",
        type=integer,
        metavar="N",
        help="of each process (default: the CPUs available, shared out; with Ray, 1)",
    )
    command.add_executor(what)
    what.add_argument(
        "--device", metavar="NAME", help=f"{', '.join(DEVICES)} (default: as the run was started)"
    )
    what.add_argument(
        "--oracle-cache",
        type=pathlib.Path,
        metavar="DIR",
        help="finished oracles, shared between runs (default: oracle beside RUN)",
    )
    command.add_oracle(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
