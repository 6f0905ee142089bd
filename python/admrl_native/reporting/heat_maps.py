"""Figures 1, 3a and 5a: the gap over the tasks, panels of methods and real samples."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .numbers import text
from .style import GREY, RED, WIDTH, Draw, gap_colours, looks, new_figure, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = npt.NDArray[np.float64]

_MOST_METHODS = 3  # side by side
_ALIKE = 1e-9  # coordinates that differ by less are one


def gap_figures(family: Mapping[str, Any], grid: Mapping[str, Any]) -> list[tuple[str, Draw]]:
    """Mean gap over seeds of each method: one figure, or one for each n of three dimensions.

    Args:
        family: of report.json.
        grid: of the family.

    Returns:
        Pairs of what to add to the name, and what draws the figure.
    """
    samples = [str(n) for n in grid["real_samples"]]
    dimensions = len(family["task_names"])
    if dimensions == 2:
        return [("", partial(_panels, family, grid, [(n, None) for n in samples]))]
    if dimensions == 3:
        levels = np.unique(np.round(np.array(grid["psis"])[:, 2], 9))
        return [
            (f"-{n}", partial(_panels, family, grid, [(n, z) for z in levels])) for n in samples
        ]
    return [("", partial(_strips, family, grid, samples))]


def mean_gaps(grid: Mapping[str, Any], method: str, n: str) -> Array:
    """(M,) mean over the seeds; NaN where they are not known."""
    return np.asarray(np.mean(np.array(grid["methods"][method]["gaps"][n], dtype=float), axis=0))


def _panels(
    family: Mapping[str, Any], grid: Mapping[str, Any], slices: Sequence[tuple[str, float | None]]
) -> Figure:
    """Methods down, slices (real samples, or the third coordinate) across; one slice: in rows."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    psis, methods = np.array(grid["psis"]), list(grid["methods"])
    places, rows, columns = _arranged(len(methods), len(slices))
    side = min(2.9, (WIDTH - 0.9) / columns)
    figure = new_figure(max(side * columns + 0.9, 4.6), (side * 0.92 + 0.25) * rows + 0.3)
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    scale = ScalarMappable(Normalize(0, _largest(grid)), cmap=gap_colours())
    for i, method in enumerate(methods):
        for j, (n, level) in enumerate(slices):
            row, column = places[i, j]
            here = axes[row][column]
            shown = np.ones(len(psis), bool) if level is None else abs(psis[:, 2] - level) < 1e-6
            gaps = mean_gaps(grid, method, n)
            worst = set(grid["methods"][method]["worst_tasks"][n])
            _draw_tasks(here, family, grid, gaps, shown, worst, scale, side)
            title = wrapped(f"{method}, n\u00a0=\u00a0{n}", side - 0.1)
            if level is not None:
                title += f"\n{family['task_names'][2]} {level:.3g}"
            here.set_title(title, fontsize=8.5)
            if (row + 1, column) not in places.values():
                here.xaxis.set_tick_params(labelbottom=True)
                here.set_xlabel(family["task_names"][0])
            if column == 0:
                here.set_ylabel(family["task_names"][1])
    for row, column in np.ndindex(rows, columns):
        if (row, column) not in places.values():
            axes.item((row, column)).set_visible(False)
    figure.colorbar(scale, ax=axes, label="gap to the best\nknown return", shrink=0.85, pad=0.02)
    return figure


def _arranged(methods: int, slices: int) -> tuple[dict[tuple[int, int], tuple[int, int]], int, int]:
    """The row and column of each (method, slice), and how many rows and columns there are."""
    pairs = itertools.product(range(methods), range(slices))
    if slices == 1:
        columns = -(-methods // -(-methods // _MOST_METHODS))
        return {(i, j): divmod(i, columns) for i, j in pairs}, -(-methods // columns), columns
    if slices <= methods <= _MOST_METHODS:  # the longer list runs across
        return {(i, j): (j, i) for i, j in pairs}, slices, methods
    return {(i, j): (i, j) for i, j in pairs}, methods, slices


def _largest(grid: Mapping[str, Any]) -> float:
    """The upper end of the colour scale, the same for every method and n."""
    gaps = [
        mean_gaps(grid, method, str(n)).max()
        for method in grid["methods"]
        for n in grid["real_samples"]
    ]
    return max(float(np.nanmax(gaps)), 1e-9)


def _draw_tasks(
    axes: Axes,
    family: Mapping[str, Any],
    grid: Mapping[str, Any],
    gaps: Array,
    shown: npt.NDArray[np.bool_],
    worst: set[int],
    scale: Any,
    side: float,
) -> None:
    """Tasks by two coordinates: cells where they fill a grid in Ψ, else points around Ψ."""
    psis = np.array(grid["psis"])
    x, y = (_levels(psis[shown, k]) for k in (0, 1))
    filled = grid["inside"] and len(x) * len(y) == shown.sum() and min(len(x), len(y)) > 1
    axes.grid(False)
    if filled:
        half = [float(np.diff(v).min()) / 2 for v in (x, y)]
        size = _cell_font(side, len(x))
        for index in np.flatnonzero(shown):
            _draw_cell(axes, psis[index], gaps[index], half, scale, size, index in worst)
        for levels, h, limit in ((x, half[0], axes.set_xlim), (y, half[1], axes.set_ylim)):
            limit(levels[0] - h, levels[-1] + h)
        axes.set_xticks(x, [f"{v:.3g}" for v in x], rotation=45 if len(x) > 5 else 0)
        axes.set_yticks(y, [f"{v:.3g}" for v in y])
        axes.tick_params(length=0, labelsize=7.5)
        for spine in axes.spines.values():
            spine.set_visible(False)
        return
    low, high = family["task_low"], family["task_high"]
    corners = ((0, 0), (1, 0), (1, 1), (0, 1), (0, 0))
    box = np.array([[(low, high)[i][0], (low, high)[j][1]] for i, j in corners])
    axes.plot(box[:, 0], box[:, 1], color=RED, linewidth=1.6, linestyle="--", zorder=1)
    if len(low) == 2:  # of three, slices have tasks here
        axes.text(
            (low[0] + high[0]) / 2, (low[1] + high[1]) / 2, "tasks of\ntraining", color=RED,
            ha="center", va="center", fontsize=8,
        )  # fmt: skip
    points = psis[shown]
    colours = scale.to_rgba(gaps[shown])
    axes.scatter(
        points[:, 0], points[:, 1], c=colours, s=78, edgecolors="black", linewidths=0.6, zorder=3,
        clip_on=False,
    )  # fmt: skip
    for place in psis[sorted(worst & set(np.flatnonzero(shown).tolist()))]:
        axes.scatter(
            place[0], place[1], s=210, facecolors="none", edgecolors="black", linewidths=1.8,
            zorder=4, clip_on=False,
        )  # fmt: skip
    for k, limit in ((0, axes.set_xlim), (1, axes.set_ylim)):
        ends = [*psis[:, k], low[k], high[k]]
        margin = 0.08 * (max(ends) - min(ends))
        limit(min(ends) - margin, max(ends) + margin)


def _draw_cell(
    axes: Axes, psi: Array, gap: float, half: Sequence[float], scale: Any, size: float, worst: bool
) -> None:
    """A coloured field with its number; a frame where the task is a run's worst."""
    from matplotlib.patches import Rectangle

    inset = 0.92 if worst else 1.0
    colour = (1.0, 1.0, 1.0, 1.0) if math.isnan(gap) else scale.to_rgba(gap)
    axes.add_patch(
        Rectangle(
            (psi[0] - half[0] * inset, psi[1] - half[1] * inset),
            2 * half[0] * inset,
            2 * half[1] * inset,
            facecolor=colour,
            edgecolor="black" if worst else "white",
            linewidth=2.0 if worst else 0.8,
            zorder=3 if worst else 2,
        )
    )
    dark = float(np.dot(colour[:3], (0.299, 0.587, 0.114))) < 0.55
    shown = "–" if math.isnan(gap) else text(round(gap))
    if size >= 4:
        axes.text(
            psi[0], psi[1], shown, ha="center", va="center", fontsize=size, zorder=4,
            color="white" if dark else "black", fontweight="bold" if worst else "normal",
        )  # fmt: skip


def _cell_font(side: float, cells: int) -> float:
    """Points of the number in a cell: about a third of its width."""
    return min(7.5, 72 * 0.8 * side / cells * 0.3)


def _levels(values: Array) -> Array:
    """The different values, in order."""
    ordered = np.sort(values)
    return np.asarray(ordered[np.concatenate([[True], np.diff(ordered) > _ALIKE])])


def _strips(family: Mapping[str, Any], grid: Mapping[str, Any], samples: Sequence[str]) -> Figure:
    """Tasks in the order of the first method's gap; a row of dots for each method."""
    methods = list(grid["methods"])
    style = looks(family["labels"])
    height = 2.3 * len(samples) + 0.4
    figure = new_figure(WIDTH, height)
    axes = figure.subplots(len(samples), 1, squeeze=False, sharex=True, sharey=True)[:, 0]
    for here, n in zip(axes, samples, strict=True):
        ranks = np.argsort(mean_gaps(grid, methods[0], n))
        x = np.arange(1, len(ranks) + 1)
        lowest, highest = (
            f([mean_gaps(grid, m, n)[ranks] for m in methods], axis=0)
            for f in (np.fmin.reduce, np.fmax.reduce)
        )
        here.vlines(x, np.minimum(lowest, 0), highest, color="#DDDDDD", linewidth=1, zorder=1)
        for method in methods:
            look = style[method]
            gaps = mean_gaps(grid, method, n)
            here.scatter(
                x, gaps[ranks], color=look.colour, marker=look.marker, s=34, label=method, zorder=3
            )
            for task in set(grid["methods"][method]["worst_tasks"][n]):
                place = int(np.flatnonzero(ranks == task)[0]) + 1
                here.scatter(
                    place, gaps[task], s=140, facecolors="none", edgecolors=look.colour,
                    linewidths=1.6, zorder=2,
                )  # fmt: skip
        here.axhline(0, color=GREY, linewidth=0.8)
        here.set_ylabel("gap")
        here.text(
            0.01, 0.93, f"n = {n}", transform=here.transAxes, fontsize=9, fontweight="bold",
            va="top",
        )  # fmt: skip
        here.set_xticks(x, [str(task + 1) for task in ranks], fontsize=7)
        here.tick_params(labelbottom=True)
        here.grid(axis="x", visible=False)
    axes[0].legend(
        loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=max(1, math.floor(6 / len(methods)))
        if len(methods) > 3 else len(methods),
    )  # fmt: skip
    axes[-1].set_xlabel(f"number of the test task, in the order of the gap of {methods[0]}")
    return figure
