"""Figure 4a, and what happened while the runs were trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .style import (
    RED,
    WIDTH,
    Look,
    legend_above,
    legend_columns,
    looks,
    new_figure,
    whole_numbers,
    wrapped,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = npt.NDArray[np.float64]

_PER_ROW = 3  # panels


def visited_tasks_figure(family: Mapping[str, Any]) -> Figure:
    """Every run's training tasks in Ψ, and how far from its centre they lie."""
    labels = _with(family, "tasks")
    columns = min(_PER_ROW, len(labels) + 1)
    rows = -(-(len(labels) + 1) // columns)
    figure = new_figure(WIDTH, 2.75 * rows)
    grid = figure.add_gridspec(rows, columns)
    style, project = looks(family["labels"]), _projection(family)
    first: Axes | None = None
    for i, method in enumerate(labels):
        here = figure.add_subplot(grid[divmod(i, columns)], sharex=first, sharey=first)
        first = first or here
        _draw_places(here, family, method, style[method], project)
    row, column = divmod(len(labels), columns)
    _draw_distances(figure.add_subplot(grid[row, column:]), family, labels, style)
    return figure


def training_figure(family: Mapping[str, Any]) -> Figure:
    """Returns on the training tasks and the model's error, task by task."""
    figure = new_figure(WIDTH, 3.2)
    parts = (
        ("zero_shot", "zero-shot, before any\nreal sample of the task", "mean real return"),
        ("slbo", "after training\non the task", ""),
        ("validation_loss", "error of the model on\nsamples held out", "standard deviations"),
    )
    axes = figure.subplots(1, len(parts))
    style = looks(family["labels"])
    for here, (name, title, unit) in zip(axes, parts, strict=True):
        for method in _with(family, "tasks"):
            _draw_by_task(here, _runs(family, method), name, style[method], method)
        here.set_title(title, fontsize=8.5)
        here.set_xlabel("training task")
        here.set_ylabel(unit)
        whole_numbers(here)
    axes[2].set_ylim(0, 1.08 * axes[2].get_ylim()[1])
    low = min(axes[0].get_ylim()[0], axes[1].get_ylim()[0])
    high = max(axes[0].get_ylim()[1], axes[1].get_ylim()[1])
    for here in axes[:2]:
        here.set_ylim(low, high)
    handles, names = axes[1].get_legend_handles_labels()
    figure.legend(
        handles, names, loc="outside upper left", ncols=legend_columns(names), columnspacing=1.4
    )
    return figure


def iterations_figure(family: Mapping[str, Any]) -> Figure:
    """Methods without a model: returns on their training tasks, iteration by iteration."""
    figure = new_figure(WIDTH, 3.0)
    style = looks(family["labels"])
    parts = (("real_return", "before adaptation"), ("adapted_return", "after adaptation"))
    axes = figure.subplots(1, len(parts), sharex=True, sharey=True)
    for here, (name, title) in zip(axes, parts, strict=True):
        for method in _with(family, "iterations"):
            for i, run in enumerate(_runs(family, method)):
                known = [p for p in run["iterations"] if p[name] is not None]
                here.plot(
                    [100 * p["part"] for p in known], [p[name] for p in known],
                    color=style[method].colour, linewidth=1.2, label="" if i else method,
                )  # fmt: skip
        here.set_title(title, fontsize=8.5)
        here.set_xlabel("part of the run, %")
    axes[0].set_ylabel("mean real return")
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(
        handles, names, loc="outside upper left", ncols=legend_columns(names), columnspacing=1.4
    )
    return figure


def gradient_figure(family: Mapping[str, Any]) -> Figure:
    """Length and agreement of every task gradient; filled where all of it is trusted."""
    figure = new_figure(WIDTH, 2.9)
    length, agreement = figure.subplots(1, 2, sharex=True)
    style = looks(family["labels"])
    for method in family["labels"]:
        runs = [r for r in _runs(family, method) if r["gradients"]]
        for i, run in enumerate(runs):
            for axes, name in ((length, "norm"), (agreement, "halves_cosine")):
                _draw_gradients(
                    axes, run["gradients"], name, style[method], method if not i else ""
                )
    length.set_ylabel("length, per unit of u")
    length.set_ylim(0, 1.08 * length.get_ylim()[1])
    agreement.set_ylabel("cosine between the halves\nof the data")
    agreement.set_ylim(-1.08, 1.08)
    for axes in (length, agreement):
        axes.set_xlabel("training task")
        whole_numbers(axes)
    legend_above(length, 4)
    return figure


def _with(family: Mapping[str, Any], what: str) -> list[str]:
    """The methods that have some of it."""
    return [m for m in family["labels"] if any(r[what] for r in _runs(family, m))]


def _runs(family: Mapping[str, Any], method: str) -> list[Mapping[str, Any]]:
    return [r for r in family["runs"] if r["label"] == method]


# Places in Ψ


def _projection(family: Mapping[str, Any]) -> Array | None:
    """(K, 2) from u to the plane: the first two principal components; None up to K = 3."""
    if len(family["task_names"]) <= 3:
        return None
    u = np.array([t["u"] for r in family["runs"] for t in r["tasks"]])
    if len(u) == 0:
        return np.zeros((len(family["task_names"]), 2))
    *_, directions = np.linalg.svd(u - u.mean(axis=0), full_matrices=True)
    return np.asarray(directions[:2].T)


def _draw_places(
    axes: Axes, family: Mapping[str, Any], method: str, look: Look, project: Array | None
) -> None:
    """The path of each seed; the marker grows with the number of the task."""
    low, high = family["task_low"], family["task_high"]
    names = family["task_names"]
    for run in _runs(family, method):
        if not run["tasks"]:
            continue
        values = np.array([t["psi" if project is None else "u"] for t in run["tasks"]])
        places = _plane(values) if project is None else values @ project
        sizes = np.linspace(14, 72, len(places))
        axes.plot(places[:, 0], places[:, 1], color=look.colour, linewidth=0.7, alpha=0.6)
        third = values[:, 2] if project is None and values.shape[1] == 3 else None
        axes.scatter(
            places[:, 0], places[:, 1], s=sizes, marker=look.marker, linewidths=0.8,
            edgecolors=look.colour, zorder=3, clip_on=False,
            **({"c": look.colour} if third is None else
               {"c": third, "cmap": "Greys", "vmin": low[2], "vmax": high[2]}),
        )  # fmt: skip
    axes.set_title(wrapped(method, WIDTH / _PER_ROW - 0.5), fontsize=8.5)
    axes.grid(False)
    if project is not None:
        axes.set_xlabel("first principal component of u")
        axes.set_ylabel("second")
        return
    if len(names) == 1:
        axes.set_xlabel(names[0])
        axes.set_yticks([])
        axes.set_xlim(low[0], high[0])
        return
    axes.set_xlabel(names[0])
    axes.set_ylabel(names[1])
    box = ((0, 0), (1, 0), (1, 1), (0, 1), (0, 0))
    corners = [((low, high)[i][0], (low, high)[j][1]) for i, j in box]
    axes.plot(*zip(*corners, strict=True), color=RED, linewidth=1.1, linestyle="--")
    for k, limit in ((0, axes.set_xlim), (1, axes.set_ylim)):
        margin = 0.07 * (high[k] - low[k])
        limit(low[k] - margin, high[k] + margin)


def _plane(psis: Array) -> Array:
    """(…, 2): the first two coordinates, or one and 0."""
    return psis[:, :2] if psis.shape[1] > 1 else np.column_stack([psis, np.zeros(len(psis))])


def _draw_distances(
    axes: Axes, family: Mapping[str, Any], labels: Sequence[str], style: Mapping[str, Look]
) -> None:
    for method in labels:
        _draw_by_task(axes, _runs(family, method), "distance", style[method], method)
    axes.axhline(1.0, color=RED, linewidth=1.1, linestyle="--")
    axes.set_ylim(0, 1.08)
    axes.set_title("distance from the centre", fontsize=8.5)
    axes.set_xlabel("training task")
    axes.set_ylabel("max |u|; 1: on the boundary")
    whole_numbers(axes)


# By task


def _draw_by_task(
    axes: Axes, runs: Sequence[Mapping[str, Any]], name: str, look: Look, label: str
) -> None:
    """Each seed as a thin line, their mean as a thick one."""
    by_task: dict[int, list[float]] = {}
    for run in runs:
        pairs = [(t["task"], t[name]) for t in run["tasks"] if t[name] is not None]
        for task, value in pairs:
            by_task.setdefault(task, []).append(value)
        if len(runs) > 1:
            axes.plot(
                [p[0] for p in pairs], [p[1] for p in pairs], color=look.colour, linewidth=0.7,
                alpha=0.45,
            )  # fmt: skip
    tasks = sorted(by_task)
    axes.plot(
        tasks, [float(np.mean(by_task[t])) for t in tasks], color=look.colour, marker=look.marker,
        markersize=5, linewidth=1.6, label=label,
    )  # fmt: skip


def _draw_gradients(
    axes: Axes, gradients: Sequence[Mapping[str, Any]], name: str, look: Look, label: str
) -> None:
    known = [g for g in gradients if g[name] is not None]
    x, y = [g["task"] for g in known], [g[name] for g in known]
    axes.plot(x, y, color=look.colour, linewidth=0.8, alpha=0.7)
    trusted = [g["trusted"] == g["components"] for g in known]
    for kind, face in ((True, look.colour), (False, "white")):
        chosen = [i for i, t in enumerate(trusted) if t is kind]
        axes.scatter(
            [x[i] for i in chosen], [y[i] for i in chosen], s=36, marker=look.marker,
            facecolors=face, edgecolors=look.colour, linewidths=1.2, zorder=3,
            label=label if kind and label else None,
        )  # fmt: skip
