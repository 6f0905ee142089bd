"""The head of the page: what was compared and what came out; then the table of all numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .markup import Markup, badge, element, escaped, joined, paragraph, table
from .numbers import Numbers
from .style import looks

STATISTICS = {
    "max": "worst task",
    "cvar10": "worst 10 %",
    "cvar25": "worst 25 %",
    "mean": "mean",
    "iqm": "middle half",
}


def anchor(text: str) -> str:
    """The id of a heading."""
    return "".join(c if c.isalnum() else "-" for c in text.lower())


def head(report: Mapping[str, Any], numbers: Numbers) -> Markup:
    """One sentence, the main numbers, and how far they go."""
    families = report["families"]
    labels = list(dict.fromkeys(label for f in families for label in f["labels"]))
    evaluated = any(f["grids"] for f in families)
    compared = _listed([escaped(label) for label in labels])
    where = _listed([escaped(f["name"]) for f in families])
    counts = joined((_seeds(f, i, numbers) for i, f in enumerate(families)), "; ")
    parts: list[str] = [
        element("h1", f"{', '.join(f['name'] for f in families)}: how bad is the worst task?"),
        paragraph(
            joined([compared, Markup(" on "), where, Markup(": each learned ")]),
            f"{_what_was_learned(families)} any task of a family. The question is how much return "
            "the worst task loses to the best return known for it: the gap of the worst task, 0 at "
            "best.",
            class_="lead",
        ),
        paragraph("Runs: ", counts, ". Brackets hold 95 % intervals: over runs, or, where a method "
                  "has one run, over its test episodes.", class_="soft"),
    ]  # fmt: skip
    if evaluated:
        cards = [
            _card(f, g, i, j, numbers)
            for i, f in enumerate(families)
            for j, g in enumerate(f["grids"])
        ]
        parts.append(element("div", *cards, class_="cards"))
    else:
        parts.append(
            paragraph(
                "None of these runs has been evaluated yet (admrl evaluate RUN): the page shows "
                "how they were trained, and no gap.", class_="warning",
            )
        )  # fmt: skip
    if any(g["one_seed"] for f in families for g in f["grids"]):
        parts.append(
            paragraph(
                element("b", "One seed only. "),
                "Where a method has a single run, its interval shows the noise of the test "
                "episodes alone: another run of the same method may come out differently. Who "
                "is better is not decided by one run.",
                class_="warning",
            )
        )
    for family in families:
        unfinished = [r["path"] for r in family["runs"] if not r["complete"]]
        if unfinished:
            parts.append(
                paragraph(f"Not trained to the end: {', '.join(unfinished)}.", class_="warning")
            )
    links = [("numbers", "All numbers")] if evaluated else []
    links += [(anchor(f["name"]), f["name"]) for f in families]
    links.append(("runs", "Runs and versions"))
    parts.append(element("nav", *(element("a", text, href=f"#{to}") for to, text in links)))
    return element("header", *parts)


def _what_was_learned(families: Sequence[Mapping[str, Any]]) -> str:
    if all(run["model_based"] for family in families for run in family["runs"]):
        return "one model of the robot, from which a policy is made for"
    return "what it takes to make, with few or no samples, a policy for"


def _card(
    family: Mapping[str, Any], grid: Mapping[str, Any], i: int, j: int, numbers: Numbers
) -> Markup:
    """The worst case of each method on one grid, and whether the first is better."""
    here = ("families", i, "grids", j)
    style = looks(family["labels"])
    first = next(iter(grid["methods"]))
    samples = grid["real_samples"]
    rows = [
        [
            badge(label, style[label]),
            *(
                Markup(numbers.show(*here, "methods", label, "statistics", str(n), "max"))
                for n in samples
            ),
        ]
        for label in grid["methods"]
    ]
    heads = [
        joined(["n = ", Markup(numbers.show(*here, "real_samples", k))])
        for k in range(len(samples))
    ]
    sentences = [
        _sentence(difference, (*here, "differences", k), numbers)
        for k, difference in enumerate(grid["differences"])
        if difference["real_samples"] == samples[0]
        and first in (difference["first"], difference["second"])
    ]
    return element(
        "section",
        element("h3", f"{family['name']}, {grid['title']}"),
        paragraph("Gap of the worst task after n real samples of it", class_="soft"),
        table(["", *heads], rows),
        *(paragraph(why, class_="soft") for why in unknown_gaps(grid)),
        *([paragraph("At ", heads[0], ":", class_="soft"), *sentences] if sentences else []),
        class_="card",
    )


def unknown_gaps(grid: Mapping[str, Any]) -> list[str]:
    """Whose gaps are not known, and why: a sentence for each reason."""
    whose: dict[str, list[str]] = {}
    for label, method in grid["methods"].items():
        for n, why in method["unknown"].items():
            if why:
                whose.setdefault(why, []).append(f"{label} at n = {n}")
    return [
        f"The gaps of {', '.join(which)} on the {grid['title']} are not known: {why}, so that "
        "the best return known is its own."
        for why, which in whose.items()
    ]


def _sentence(
    difference: Mapping[str, Any], place: tuple[str | int, ...], numbers: Numbers
) -> Markup:
    """The difference of two worst cases, said as it is."""
    return paragraph(
        f"{difference['first']} − {difference['second']}: ",
        Markup(numbers.show(*place, "statistics", "max")),
        ": ",
        element("b", Markup(numbers.show(*place, "verdict"))),
        ".",
    )


def _seeds(family: Mapping[str, Any], i: int, numbers: Numbers) -> Markup:
    """How many runs each method has."""
    parts = []
    for label, number in family["seeds"].items():
        shown = Markup(numbers.show("families", i, "seeds", label))
        parts.append(joined([f"{label} ", shown, " seeds" if number > 1 else " seed"]))
    return joined([f"{family['name']}: ", _listed(parts)])


def _listed(parts: Sequence[str]) -> Markup:
    """a, b and c."""
    if len(parts) < 2:
        return joined(parts)
    return joined([joined(parts[:-1], ", "), Markup(" and "), parts[-1]])


# All numbers


def numbers_table(report: Mapping[str, Any], numbers: Numbers) -> Markup:
    """Every statistic of every method, and every pair of methods beside one another."""
    if not any(f["grids"] for f in report["families"]):
        return Markup("")
    parts: list[str] = [
        element("h2", "All numbers", id="numbers", class_="first"),
        paragraph(
            "A gap is the best return known for a task less the return of the method; smaller is "
            "better. Worst 10 % and 25 %: mean gap of that part of the tasks (CVaR). Middle half: "
            "mean without the best and the worst quarter of the tasks. The worst tasks are chosen "
            "on one set of episodes and measured on another, so their gaps are not "
            "exaggerated by the choice. n: real samples of the test task."
        ),
    ]
    for i, family in enumerate(report["families"]):
        for j, grid in enumerate(family["grids"]):
            parts += _grid_tables(family, grid, ("families", i, "grids", j), numbers)
    return element("section", *parts)


def _grid_tables(
    family: Mapping[str, Any],
    grid: Mapping[str, Any],
    here: tuple[str | int, ...],
    numbers: Numbers,
) -> list[str]:
    style = looks(family["labels"])

    def show(*path: str | int) -> Markup:
        return Markup(numbers.show(*here, *path))

    parts: list[str] = [
        element("h3", f"{family['name']}, {grid['title']}"),
        paragraph(show("tasks"), " tasks, ", show("episodes"), " episodes of each policy for the "
                  "choice and as many for the measurement.", class_="soft"),
    ]  # fmt: skip
    if grid["left_out"]:
        parts.append(
            paragraph("Left out, because not every run has it: n = ", show("left_out"), ".",
                      class_="warning")
        )  # fmt: skip
    rows = []
    for at, n in enumerate(grid["real_samples"]):
        for label in grid["methods"]:
            of = ("methods", label)
            rows.append(
                [
                    badge(label, style[label]),
                    show("real_samples", at),
                    show("seeds", label),
                    *(show(*of, "statistics", str(n), s) for s in STATISTICS),
                    show(*of, "mean_returns", str(n)),
                    show(*of, "model_error"),
                ]
            )
    heads = ["method", "n", "seeds", *STATISTICS.values(), "mean return", "model error"]
    parts.append(table(heads, rows))
    pairs = [
        [
            f"{d['first']} − {d['second']}",
            show("differences", k, "real_samples"),
            *(show("differences", k, "statistics", s) for s in STATISTICS),
            show("differences", k, "improvement"),
            show("differences", k, "verdict"),
        ]
        for k, d in enumerate(grid["differences"])
    ]
    if pairs:
        parts += [
            paragraph(
                "Differences of gaps; below 0, the first method is better. An interval that "
                "contains 0 shows no difference. P: probability that a run of the first method "
                "earns more than one of the second on a task drawn at random."
            ),
            table(
                ["methods", "n", *STATISTICS.values(), "P", "verdict on the worst task"],
                pairs,
                words=(0, len(STATISTICS) + 3),
            ),
        ]
    return parts
