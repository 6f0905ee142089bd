"""summary.png of a method without a model: its training tasks and its returns by iteration."""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING, Any

from ..store.accounts import accounts
from .run_picture import BLUE, GREY, ORANGE, legend, picture, task_names
from .run_summary import Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw(summary: Summary, path: pathlib.Path) -> None:
    """Writes the picture of a run, complete or not.

    Args:
        summary: from `summarise`.
        path: a .png file.
    """
    with picture(summary, (13.5, 5.2), path) as figure:
        tasks, returns = figure.subplots(1, 2, width_ratios=(4, 7))
        _draw_tasks(figure, tasks, summary)
        _draw_returns(returns, summary)


def _draw_tasks(figure: Any, axes: Axes, summary: Summary) -> None:
    """Ψ: the plane of two dimensions (the third as colour), or a table of colours for many."""
    family, names = summary.config.family, task_names(summary)
    axes.set_title(f"The {len(summary.tasks)} training tasks")
    if not summary.tasks:
        return
    if family.task_dim not in (2, 3):
        image = axes.imshow(
            [t.u for t in summary.tasks], aspect="auto", cmap="PuOr", vmin=-1, vmax=1
        )
        axes.grid(False)
        axes.set_xticks(range(family.task_dim), names, rotation=90, fontsize=8)
        axes.set_ylabel("task")
        figure.colorbar(image, ax=axes, label="task parameter, −1 to 1 in Ψ", shrink=0.9)
        return
    x, y = ([t.psi[k] for t in summary.tasks] for k in (0, 1))
    third: dict[str, Any] = {"color": BLUE}
    if family.task_dim == 3:
        limits = {"vmin": family.task_low[2], "vmax": family.task_high[2]}
        third = {"c": [t.psi[2] for t in summary.tasks], "cmap": "viridis", **limits}
    dots = axes.scatter(x, y, s=22, zorder=3, clip_on=False, **third)
    if family.task_dim == 3:
        figure.colorbar(dots, ax=axes, label=names[2], shrink=0.9)
    axes.set_xlim(family.task_low[0], family.task_high[0])
    axes.set_ylim(family.task_low[1], family.task_high[1])
    axes.set_xlabel(names[0])
    axes.set_ylabel(names[1])


def _draw_returns(axes: Axes, summary: Summary) -> None:
    """Mean returns of the samples of every iteration; x: training samples so far."""
    axes.set_title("Return")
    for name, colour, label in (
        ("real_return", GREY, "of the samples of an iteration"),
        ("adapted_return", ORANGE, "of those taken after adaptation"),
    ):
        pairs = [
            (accounts(r["real_samples"])["training"] / 1e6, r[name])
            for r in summary.iterations
            if r.get(name) is not None
        ]
        if pairs:
            axes.plot(*zip(*pairs, strict=True), color=colour, linewidth=1.4, label=label)
    axes.set_xlabel("million training samples")
    axes.set_ylabel("mean return of an episode")
    if summary.iterations:
        legend(axes, 2)
