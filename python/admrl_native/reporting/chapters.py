"""What the page shows of one family."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..store.accounts import ACCOUNTS
from .markup import Markup, badge, element, figure, image, joined, paragraph, table
from .numbers import Numbers
from .opening import anchor, unknown_gaps
from .style import Look, Picture, looks

_Show = Callable[..., Markup]


def family_chapter(
    report: Mapping[str, Any],
    numbers: Numbers,
    index: int,
    pictures: Sequence[Picture],
    figures: pathlib.Path,
) -> Markup:
    """Gaps, adaptation, tasks, model, behaviours, training, gradients and the best known returns.

    Args:
        report: the content of report.json.
        numbers: of it.
        index: of the family.
        pictures: what was drawn for it.
        figures: the folder of their files.
    """
    family = report["families"][index]
    style = looks(family["labels"])

    def show(*path: str | int) -> Markup:
        return Markup(numbers.show("families", index, *path))

    def drawn(section: str) -> list[str]:
        found = [p for p in pictures if p.section == section]
        return [
            paragraph(f"{p.title}: not drawn: {p.problem}", class_="warning")
            if p.problem
            else figure(image(figures / f"{p.name}.svg", p.title), p.caption)
            for p in found
        ]

    parts: list[str] = [element("h2", family["name"], id=anchor(family["name"]))]
    if not family["grids"]:
        parts.append(
            paragraph("These runs have not been evaluated: no gaps are known.", class_="warning")
        )
    for j, grid in enumerate(family["grids"]):
        parts += [paragraph(why, class_="warning") for why in unknown_gaps(grid)]
        parts += _section(
            f"Where the gaps are: {grid['title']}", _GAPS, drawn(f"gaps/{grid['grid']}")
        )
        parts += _section(
            f"What real samples bring: {grid['title']}", _ADAPTATION,
            [*drawn(f"adaptation/{grid['grid']}"), _costs(family, style, show)] if j == 0
            else drawn(f"adaptation/{grid['grid']}"),
        )  # fmt: skip
    parts += _section("Which tasks were trained on", _TASKS, drawn("tasks"))
    parts += _section("How wrong the model is", _MODEL, drawn("model"))
    if family["grids"]:
        parts += _section("What it looks like", _FILMS, _films(family, style, show, figures))
    costs = [] if family["grids"] else [_costs(family, style, show)]
    parts += _section("How training went", _TRAINING, [*drawn("training"), *costs])
    health = drawn("gradients")
    if health:
        parts += _section("Can the task gradients be trusted?", _GRADIENTS,
                          [*health, _gradients(family, style, show)])  # fmt: skip
    if family["grids"]:
        parts += _section("The best known returns", _ORACLE, _best_known(family, show))
    return element("section", *parts)


_GAPS = (
    "Each field or point is a test task. The claim of the paper is about the darkest one: an "
    "adversary in training should leave no task with a large gap."
)
_ADAPTATION = (
    "With n = 0 a policy is made from what was learned alone. Then real samples of the test task "
    "are collected: a model is corrected with them, a method without a model learns from them in "
    "its own way."
)
_ACCOUNTS = (
    "Real samples of a run until its training ended. Training: what models, policies and value "
    "functions learn from. Gradient: what task gradients are estimated from. Evaluation: episodes "
    "and held-out samples that only measure; nothing learns from them."
)
_TASKS = (
    "AdMRL moves the task of training to where the gap grows; MB-Unif and MB-Gauss draw it at "
    "random, uniformly from Ψ or from a normal distribution around its centre. Methods without a "
    "model draw all theirs beforehand, uniformly; they are not shown."
)
_MODEL = "A policy can only be as good as the model that it was made in."
_FILMS = (
    "One real episode on the best and on the worst test task of each method, first seed, without "
    "a real sample of the task where that was evaluated."
)
_TRAINING = "Real returns and, of a model, the error on samples that it was not fitted to."
_GRADIENTS = (
    "AdMRL chooses the next task by the gradient of the gap with respect to the task. It is an "
    "estimate from samples, and each estimate comes with a report on itself."
)
_ORACLE = (
    "A gap is measured from the best return known for its task: that of a learner trained on this "
    "one task in the real environment, or of a method's policy where that one is better."
)


def _section(title: str, sentence: str, content: Sequence[str]) -> list[str]:
    """A heading, a sentence and what there is to show; nothing if there is nothing."""
    if not content:
        return []
    return [element("h3", title), paragraph(sentence), *content]


def _costs(family: Mapping[str, Any], style: Mapping[str, Look], show: _Show) -> Markup:
    """Samples and minutes of every run."""
    rows = [
        [
            badge(run["label"], style[run["label"]]),
            show("runs", i, "seed"),
            show("runs", i, "preset"),
            *(show("runs", i, "samples", name) for name in ACCOUNTS),
            *(
                show("runs", i, name)
                for name in ("virtual_samples", "training_minutes", "evaluation_minutes")
            ),
        ]
        for i, run in enumerate(family["runs"])
    ]
    head = ["method", "seed", "preset", *(f"{name} samples" for name in ACCOUNTS)]
    head += ["virtual samples", "minutes of training", "minutes of evaluation"]
    return joined([paragraph(_ACCOUNTS, class_="soft"), table(head, rows)])


def _films(
    family: Mapping[str, Any], style: Mapping[str, Look], show: _Show, figures: pathlib.Path
) -> list[str]:
    parts: list[str] = []
    if family["films_missing"] is not None:
        parts.append(paragraph("Films are missing: ", show("films_missing"), ".", class_="warning"))
    for i, film in enumerate(family["films"]):

        def of(name: str, i: int = i) -> Markup:
            return show("films", i, name)

        text, slow = f"{film['label']}, {film['kind']} task", film["slowed"] > 1
        caption = joined(
            [
                badge(film["label"], style[film["label"]]),
                f", {film['kind']} task by {film['by']}: ψ = ",
                of("psi"),
                ", gap ",
                of("gap"),
                ". This episode: return ",
                of("return"),
                ", it ",
                of("ended"),
                " after ",
                of("seconds"),
                " s.",
                *([" The video is slowed down ", of("slowed"), " times."] if slow else []),
            ]
        )
        video = element(
            "div", image(figures / f"{film['name']}.webp", f"{text}, video"), class_="video"
        )
        strip = image(figures / f"{film['name']}.png", f"{text}, film strip")
        parts.append(figure(element("div", strip, video, class_="films"), caption, "film"))
    return parts


def _gradients(family: Mapping[str, Any], style: Mapping[str, Look], show: _Show) -> Markup:
    """Every task gradient of every run."""
    rows = []
    for i, run in enumerate(family["runs"]):
        for k in range(len(run["gradients"])):

            def of(name: str, i: int = i, k: int = k) -> Markup:
                return show("runs", i, "gradients", k, name)

            rows.append(
                [
                    badge(run["label"], style[run["label"]]),
                    show("runs", i, "seed"),
                    of("task"),
                    of("norm"),
                    joined([of("trusted"), " of ", of("components")]),
                    of("halves_cosine"),
                    of("damping"),
                    joined([of("solver"), ", ", of("status")]),
                    of("iterations"),
                    of("residual"),
                    of("verdict"),
                ]
            )
    head = ["method", "seed", "task", "length", "sure of sign", "cosine of halves", "damping"]
    return table(
        [*head, "solve", "products", "residual", "verdict"],
        rows,
        words=(0, len(head), len(head) + 3),
    )


def _best_known(family: Mapping[str, Any], show: _Show) -> list[str]:
    """Who gives A* on each grid, how well it is known, and all of it task by task."""
    parts: list[str] = []
    rows, details = [], []
    for j, grid in enumerate(family["grids"]):
        oracle = ("grids", j, "oracle")
        given = [
            joined([show(*oracle, "given_by", who), f" by {who}"])
            for who in grid["oracle"]["given_by"]
        ]
        rows.append(
            [
                grid["title"],
                joined(given, ", "),
                *(
                    show(*oracle, name)
                    for name in (
                        "mean_standard_error",
                        "largest_standard_error",
                        "samples",
                        "learner",
                    )
                ),
            ]
        )
        details.append(_task_by_task(grid, j, show))
        if grid["oracle"]["learner"] is None and grid["gaps_known"]:
            parts.append(
                paragraph(
                    f"There is no oracle on the {grid['title']}: the best known return is the best "
                    "of the compared methods, and the true gaps are larger.", class_="warning",
                )
            )  # fmt: skip
    head = ["tasks", "best known returns given", "standard error, mean", "largest"]
    head += ["real samples of an oracle, at most", "oracle"]
    return [*parts, table(head, rows, words=(0, 1, len(head) - 1)), *details]


def _task_by_task(grid: Mapping[str, Any], j: int, show: _Show) -> Markup:
    rows = [
        [
            show("grids", j, "best", k, "learner"),
            str(k + 1),
            show("grids", j, "psis", k),
            *(show("grids", j, "best", k, name) for name in ("value", "standard_error", "oracle")),
        ]
        for k in range(len(grid["best"]))
    ]
    head = ["given by", "task", "ψ", "best known return", "standard error", "oracle"]
    summary = element("summary", f"Task by task: {grid['title']}")
    return element("details", summary, table(head, rows))
