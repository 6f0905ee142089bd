"""The command that reports: `python -m admrl_native.report RUN...`, or `admrl report`."""

from __future__ import annotations

import json
import pathlib
import sys
from collections.abc import Sequence

from . import command
from .settings import SettingError


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit status: 0, 2 (usage), 130 (Ctrl-C) or 143 (SIGTERM)."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    return command.run("report", lambda _: _main(arguments), ("run",))


def _main(argv: list[str]) -> int:
    from .reporting.collect import collect, read_runs
    from .reporting.figures import draw_figures
    from .reporting.films import add_films
    from .reporting.page import write_page

    given = _parser().parse_args(argv)
    runs = read_runs(given.run)
    out: pathlib.Path = given.out if "out" in given else pathlib.Path("report")
    figures = out / "figures"
    try:
        figures.mkdir(parents=True, exist_ok=True)
        (out / "index.html").open("a").close()  # known now, not after the work
    except OSError as error:
        raise SettingError("out", f"expected a folder that can be written: {error}") from error
    report = collect(runs)
    pictures = {}
    for family in report["families"]:
        print(f"drawing {family['name']}: {', '.join(family['labels'])}", flush=True)
        add_films(family, runs[family["name"]], figures)
        pictures[family["name"]] = draw_figures(family, figures)
    text = json.dumps(report, indent=1, allow_nan=False, ensure_ascii=False)
    # Of a file's name that is not UTF-8 this makes JSON's own escapes.
    (out / "report.json").write_text(text + "\n", encoding="utf-8", errors="backslashreplace")
    write_page(report, pictures, figures, out / "index.html")
    print(f"page in {out / 'index.html'}, numbers in {out / 'report.json'}", flush=True)
    return 0


def _parser() -> command.Parser:
    parser = command.Parser(
        "report",
        "RUN... [options]",
        "Compares runs on one page: worst-case gaps with intervals, figures, films of what was "
        "learned. Runs are grouped by family, method and the options in which they differ; runs "
        "that were not evaluated yet show how they were trained.",
    )
    parser.add_argument("run", type=pathlib.Path, nargs="+", metavar="RUN", help="a run's folder")
    parser.add_argument(
        "--out",
        type=pathlib.Path,
        metavar="DIR",
        help="folder for index.html, report.json and figures/ (default: report)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
