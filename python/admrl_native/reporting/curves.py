"""Figures 2, 3b and 6: returns and worst cases against real samples, and model errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .style import GREY, legend_above, legend_columns, looks, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SPREAD = 0.012  # of the axis, between the error bars of two methods


def adaptation_figure(family: Mapping[str, Any], grid: Mapping[str, Any]) -> Figure:
    """Mean return and, where it is known, worst-case gap against n, with their intervals."""
    known = grid["gaps_known"]
    figure = new_figure(7.4 if known else 4.6, 3.3)
    panels = figure.subplots(1, 1 + known, squeeze=False)[0]
    returns = panels[0]
    _draw(
        returns, family, grid, {m: v["mean_returns"] for m, v in grid["methods"].items()}, band=True
    )
    returns.set_ylabel("mean return over the tasks")
    if known:
        returns.axhline(grid["oracle"]["mean"], color=GREY, linestyle="--", label="best known")
        _draw_worst(panels[1], family, grid)
    for axes in panels:
        axes.set_xlabel("real samples of the test task, n")
    handles, names = returns.get_legend_handles_labels()
    figure.legend(
        handles, names, loc="outside upper left", ncols=legend_columns(names), columnspacing=1.4
    )
    return figure


def _draw_worst(gaps: Axes, family: Mapping[str, Any], grid: Mapping[str, Any]) -> None:
    worst = {
        m: {n: s["max"] for n, s in v["statistics"].items()} for m, v in grid["methods"].items()
    }
    _draw(gaps, family, grid, worst, band=False)
    gaps.set_ylabel("gap of the worst task")
    gaps.set_ylim(min(0.0, gaps.get_ylim()[0]), 1.06 * gaps.get_ylim()[1])


def model_error_figure(family: Mapping[str, Any]) -> Figure:
    """The error of each method's model, by grid."""
    figure = new_figure(7.4, 2.9)
    axes = figure.subplots()
    style = looks(family["labels"])
    grids = [g for g in family["grids"] if _has_errors(g)]
    for i, method in enumerate(family["labels"]):
        look = style[method]
        for j, grid in enumerate(grids):
            error = grid["methods"].get(method, {}).get("model_error")
            if error is None:
                continue
            x = j + _offset(i, len(family["labels"]), 0.5)
            _point(axes, x, error, look, method if j == _first_grid(grids, method) else None)
    axes.set_xticks(range(len(grids)), [g["title"] for g in grids])
    axes.set_xlim(-0.6, len(grids) - 0.4)
    axes.grid(axis="x", visible=False)
    axes.set_ylabel("error of one step, in standard\ndeviations of a step")
    axes.set_ylim(0, 1.12 * axes.get_ylim()[1])
    legend_above(axes, 4)
    return figure


def _first_grid(grids: list[Mapping[str, Any]], method: str) -> int:
    """Where the method enters the legend."""
    return next(j for j, g in enumerate(grids) if g["methods"].get(method, {}).get("model_error"))


def has_model_errors(family: Mapping[str, Any]) -> bool:
    """Whether there is anything to draw."""
    return any(map(_has_errors, family["grids"]))


def _has_errors(grid: Mapping[str, Any]) -> bool:
    return any(m["model_error"] is not None for m in grid["methods"].values())


def _draw(
    axes: Axes,
    family: Mapping[str, Any],
    grid: Mapping[str, Any],
    values: Mapping[str, Mapping[str, Any]],
    *,
    band: bool,
) -> None:
    """A line of estimates for each method; a band or bars for the intervals."""
    samples = grid["real_samples"]
    span = max(samples) - min(samples) or 1
    style = looks(family["labels"])
    for i, (method, estimates) in enumerate(values.items()):
        look = style[method]
        shift = 0.0 if band and len(samples) > 1 else _offset(i, len(values), span * _SPREAD * 6)
        x = np.array(samples) + shift
        value, low, high = (
            np.array([estimates[str(n)][k] for n in samples], dtype=float)
            for k in ("value", "low", "high")
        )
        if band and len(samples) > 1:
            axes.fill_between(x, low, high, color=look.colour, alpha=0.16, linewidth=0)
        else:
            axes.vlines(x, low, high, color=look.colour, linewidth=1.6)
        axes.plot(
            x, value, color=look.colour, marker=look.marker, markersize=6, linewidth=1.5,
            label=method,
        )  # fmt: skip
    axes.set_xticks(samples, [f"{n:,}" for n in samples])
    axes.set_xlim(min(samples) - 0.12 * span, max(samples) + 0.12 * span)


def _point(axes: Axes, x: float, estimate: Mapping[str, Any], look: Any, name: str | None) -> None:
    if estimate["low"] is not None:
        axes.vlines(x, estimate["low"], estimate["high"], color=look.colour, linewidth=1.8)
    axes.plot(
        x, estimate["value"], color=look.colour, marker=look.marker, markersize=8, linestyle="",
        label=name,
    )  # fmt: skip


def _offset(index: int, number: int, width: float) -> float:
    """Side by side within a width, around 0."""
    return 0.0 if number == 1 else width * (index / (number - 1) - 0.5)
