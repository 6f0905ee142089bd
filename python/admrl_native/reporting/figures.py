"""Draws every figure of a report into its folder."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from functools import partial
from typing import Any

from ..errors import reason
from .curves import adaptation_figure, has_model_errors, model_error_figure
from .heat_maps import gap_figures
from .style import Draw, Picture, save, styled
from .training_figures import (
    gradient_figure,
    iterations_figure,
    training_figure,
    visited_tasks_figure,
)


def draw_figures(family: Mapping[str, Any], folder: pathlib.Path) -> list[Picture]:
    """Writes NAME.png and NAME.svg of every figure that a family's runs have the numbers for.

    One that cannot be drawn is replaced by the reason.

    Args:
        family: of report.json.
        folder: is there.
    """
    found: list[Picture] = []
    stem = family["name"].lower()

    def keep(draw: Draw, section: str, name: str, title: str, caption: str) -> None:
        problem = ""
        try:
            save(draw(), folder, f"{stem}-{name}")
        except Exception as error:  # whatever fonts, numbers and disks do to it
            problem = reason(error)
        found.append(Picture(section, f"{stem}-{name}", title, caption, problem))

    with styled():
        for grid in family["grids"]:
            name, title = grid["grid"], grid["title"]
            for part, draw in gap_figures(family, grid) if grid["gaps_known"] else ():
                keep(draw, f"gaps/{name}", f"{name}-gaps{part}", f"Gap over the {title}",
                     _gap_caption(family, grid))  # fmt: skip
            keep(
                partial(adaptation_figure, family, grid),
                f"adaptation/{name}", f"{name}-adaptation",
                f"Return and worst case, {title}", _adaptation_caption(grid),
            )  # fmt: skip
        if has_model_errors(family):
            keep(
                partial(model_error_figure, family),
                "model", "model-errors", "Error of the learned model",
                "How far one predicted step is from the real one, where good policies go. "
                "Bars are 95 % intervals over seeds; with one seed there are none.",
            )  # fmt: skip
        if any(run["tasks"] for run in family["runs"]):
            keep(
                partial(visited_tasks_figure, family), "tasks", "tasks",
                "Tasks visited in training", _tasks_caption(family),
            )  # fmt: skip
            keep(
                partial(training_figure, family), "training", "training", "Training",
                "Thin lines are seeds, thick ones their mean. Each method trains on tasks of its "
                "own, so a lower return may be a harder task rather than worse learning.",
            )  # fmt: skip
        if any(run["iterations"] for run in family["runs"]):
            keep(
                partial(iterations_figure, family), "training", "iterations",
                "Training without a model",
                "Mean return of the samples of training, each line a run, as far as it was; their "
                "numbers are in the table. Left: with the policy that adaptation begins with. "
                "Right: after one adaptation.",
            )  # fmt: skip
        if any(run["gradients"] for run in family["runs"]):
            keep(
                partial(gradient_figure, family),
                "gradients", "gradients", "Health of the task gradients",
                "Left: length of each gradient. Right: whether two halves of its data agree on "
                "the direction; 1 is agreement, 0 none. Filled: every component is more than two "
                "standard errors from 0. Hollow: some are not.",
            )  # fmt: skip
    return found


def _adaptation_caption(grid: Mapping[str, Any]) -> str:
    returns, gaps = "mean return of the adapted policies", ""
    if grid["gaps_known"]:
        returns = f"Left: {returns}; the dashed line is the best known."
        gaps = "Right: the gap of the worst task; 0 would be a policy as good as the best known. "
    else:
        returns = f"{returns.capitalize()}."
    lone = [label for label, number in grid["seeds"].items() if number == 1]
    alone = f"; of {', '.join(lone)} they show the noise of the episodes alone" if lone else ""
    return f"{returns} {gaps}Bands and bars are 95 % intervals{alone}."


def _gap_caption(family: Mapping[str, Any], grid: Mapping[str, Any]) -> str:
    common = (
        "Return lost to the best known policy, mean over seeds; darker is worse, on one scale. "
    )
    if len(family["task_names"]) not in (2, 3):
        return f"{common}A ring marks the worst task of a seed. n: real samples of the task."
    if grid["inside"]:
        return f"{common}A black frame marks the worst task of a seed. n: real samples of the task."
    return (
        f"{common}A ring marks the worst task of a seed. The red box holds all tasks of training. "
        "n: real samples of the task."
    )


def _tasks_caption(family: Mapping[str, Any]) -> str:
    dimensions = len(family["task_names"])
    if dimensions > 3:
        where = (
            f"The {dimensions} numbers of a task are shown by the two directions in which the "
            "visited ones differ most."
        )
    elif dimensions == 3:
        where = f"The darker, the larger the {family['task_names'][2]}. The red box is Ψ."
    else:
        where = "The red box is Ψ."
    return (
        f"{where} Markers grow from the first task to the last, a line for each seed. "
        "Last panel: the largest coordinate of the normalised task; an adversary is expected to "
        "go to the boundary."
    )
