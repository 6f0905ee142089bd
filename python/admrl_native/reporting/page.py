"""One self-contained HTML page."""

from __future__ import annotations

import importlib.resources
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from .chapters import family_chapter
from .markup import Markup, element, joined
from .numbers import Numbers
from .opening import head, numbers_table
from .origins import origins
from .style import Picture


def write_page(
    report: Mapping[str, Any],
    pictures: Mapping[str, Sequence[Picture]],
    figures: pathlib.Path,
    path: pathlib.Path,
) -> None:
    """Writes the page; every number on it carries its place in report.json.

    Args:
        report: the content of report.json.
        pictures: what was drawn for each family.
        figures: the folder of their files.
        path: an .html file.
    """
    numbers = Numbers(report)
    families = [f["name"] for f in report["families"]]
    parts = [
        head(report, numbers),
        numbers_table(report, numbers),
        *(
            family_chapter(report, numbers, index, pictures[name], figures)
            for index, name in enumerate(families)
        ),
        origins(report, numbers),
    ]
    style = importlib.resources.files(__package__).joinpath("page.css").read_text("utf-8")
    title = f"Worst cases of {', '.join(families)}"
    document = joined(
        [
            Markup('<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'),
            Markup('<meta name="viewport" content="width=device-width, initial-scale=1">'),
            element("title", title),
            Markup(f"<style>\n{style}</style></head>\n<body>"),
            *(joined([Markup("\n"), part]) for part in parts),
            Markup("\n</body></html>\n"),
        ]
    )
    # A name of a file that is not UTF-8 cannot be written as it is.
    path.write_text(document, encoding="utf-8", errors="backslashreplace")
