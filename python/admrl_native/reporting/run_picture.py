"""summary.png: the visited tasks and the learning curves of a run."""

from __future__ import annotations

import contextlib
import itertools
import math
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .run_summary import Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours: told apart with any colour vision.
BLUE, ORANGE, GREEN, RED, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#7F7F7F"

_UNITS = {"velocity": " (m/s)", "height": " (m)"}

STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "text.parse_math": False,  # a name with a $ is no formula
}


@contextlib.contextmanager
def own_style(style: Any) -> Iterator[None]:
    """matplotlib's defaults and a style, whatever the user's settings are; then it is as it was."""
    import matplotlib

    defaults = dict(dict.items(matplotlib.rcParamsDefault))
    ours = {name: value for name, value in defaults.items() if not name.startswith("backend")}
    with matplotlib.rc_context({**ours, **style}):
        yield


def draw(summary: Summary, path: pathlib.Path) -> None:
    """Writes the picture of a run, complete or not.

    Args:
        summary: from `summarise`.
        path: a .png file.
    """
    with picture(summary, (13.5, 9), path) as figure:
        left, right = figure.subfigures(1, 2, width_ratios=(5, 7), squeeze=False)[0]
        above, below = left.subfigures(2, 1, height_ratios=(5, 4), squeeze=False)[:, 0]
        tasks, returns = above.subplots(), below.subplots()
        curves, losses, kl = right.subplots(3, 1, height_ratios=(5, 3, 2), sharex=True)
        _draw_tasks(above, tasks, summary)
        _draw_returns(returns, summary)
        _draw_curves(curves, summary)
        _draw_losses(losses, summary)
        _draw_kl(kl, summary)


@contextlib.contextmanager
def picture(summary: Summary, inches: tuple[float, float], path: pathlib.Path) -> Iterator[Figure]:
    """A figure with the run as its title, to be drawn in; then it is saved."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # No pyplot: nothing global is touched, and no display is needed.
    with own_style(STYLE):
        figure = Figure(figsize=inches, layout="constrained")
        FigureCanvasAgg(figure)
        c = summary.config
        figure.suptitle(
            f"{c.of_method.title} on {c.family.name}   "
            f"({c.preset} preset, seed {c.seed}, {summary.samples['training']:,} training samples)",
            fontsize=14,
            fontweight="bold",
        )
        yield figure
        figure.savefig(path, dpi=120)


def _draw_tasks(figure: Any, axes: Axes, summary: Summary) -> None:
    """Ψ: the plane of two dimensions (the third as colour), or a table of colours for many."""
    axes.set_title("Training tasks, in the order of their numbers")
    family = summary.config.family
    names = task_names(summary)
    if not summary.tasks:
        return
    if family.task_dim not in (2, 3):
        from matplotlib.ticker import MaxNLocator

        image = axes.imshow(
            [t.u for t in summary.tasks], aspect="auto", cmap="PuOr", vmin=-1, vmax=1
        )
        axes.grid(False)
        axes.set_yticks(range(len(summary.tasks)), [str(t.task + 1) for t in summary.tasks])
        axes.set_xticks(range(family.task_dim), names, rotation=90, fontsize=8)
        axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=10))
        axes.yaxis.set_major_formatter(lambda y, _: f"{y + 1:g}")
        axes.set_ylabel("task")
        figure.colorbar(image, ax=axes, label="task parameter, −1 to 1 in Ψ", shrink=0.9)
        return
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    places = [(t.psi[0], t.psi[1]) for t in summary.tasks]
    if family.task_dim == 3:
        values: list[float | None] = [t.psi[2] for t in summary.tasks]
        label, limits = names[2], (family.task_low[2], family.task_high[2])
    else:
        gains = ((t.slbo, t.zero_shot) for t in summary.tasks)
        values = [a - b if a is not None and b is not None else None for a, b in gains]
        known = [v for v in values if v is not None] or [0.0]
        label, limits = "gain of return from zero-shot to SLBO", (min(known), max(known))
    scale: Any = ScalarMappable(Normalize(*limits), cmap="viridis")
    for begin, end in itertools.pairwise(places):
        arrow = {
            "arrowstyle": "-|>",
            "color": GREY,
            "shrinkA": 10,
            "shrinkB": 10,
            "connectionstyle": "arc3,rad=0.12",
        }
        axes.annotate("", xy=end, xytext=begin, arrowprops=arrow)
    for place, label_place, t, value in zip(
        places, _label_places(summary), summary.tasks, values, strict=True
    ):
        colour = "#BBBBBB" if value is None else scale.to_rgba(value)
        axes.scatter(
            *place, color=[colour], s=110, edgecolors="black", linewidths=0.8, zorder=3,
            clip_on=False,
        )  # fmt: skip
        axes.annotate(
            str(t.task + 1), xy=place, xytext=label_place, ha="center", va="center", zorder=4,
            fontsize=10, fontweight="bold", annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": "black", "linewidth": 0.6, "shrinkB": 5},
        )  # fmt: skip
    low, high = family.task_low, family.task_high
    for k, limit in ((0, axes.set_xlim), (1, axes.set_ylim)):
        margin = 0.06 * (high[k] - low[k])
        limit(low[k] - margin, high[k] + margin)
    axes.plot(
        [low[0], high[0], high[0], low[0], low[0]],
        [low[1], low[1], high[1], high[1], low[1]],
        color="black",
        linewidth=1,
    )
    axes.set_xlabel(names[0])
    axes.set_ylabel(names[1])
    figure.colorbar(scale, ax=axes, label=label, shrink=0.9)


def _label_places(summary: Summary) -> list[tuple[float, float]]:
    """Where to write the number of every task: beside it, and beside the other numbers."""
    low, high = summary.config.family.task_low, summary.config.family.task_high
    centre, half = ([f * (high[k] + s * low[k]) for k in (0, 1)] for f, s in ((0.5, 1), (0.5, -1)))
    placed: list[tuple[float, float]] = []
    for task in summary.tasks:
        u = [(task.psi[k] - centre[k]) / half[k] for k in (0, 1)]
        inwards = -1 if u[0] > 0 else 1
        u[1] += -0.12 if u[1] > 0 else 0.12
        while any(math.hypot(u[0] - a, u[1] - b) < 0.1 for a, b in placed):
            u[0] += inwards * 0.1
        placed.append((u[0], u[1]))
    return [(centre[0] + a * half[0], centre[1] + b * half[1]) for a, b in placed]


def _draw_returns(axes: Axes, summary: Summary) -> None:
    """Per task: a random policy, zero-shot, after SLBO."""
    from matplotlib.ticker import MaxNLocator

    axes.set_title("Return by task")
    numbers = [t.task + 1 for t in summary.tasks]
    parts: tuple[tuple[str, list[float | None], str, str, int], ...] = (
        ("random policy", [t.random for t in summary.tasks], GREY, "s", 55),
        ("zero-shot", [t.zero_shot for t in summary.tasks], ORANGE, "o", 130),
        ("after SLBO", [t.slbo for t in summary.tasks], BLUE, "D", 40),
    )
    for t in summary.tasks:
        known = [r for r in (t.random, t.zero_shot, t.slbo) if r is not None]
        if known:
            axes.plot([t.task + 1] * 2, [min(known), max(known)], color="#CCCCCC", zorder=1)
    for name, values, colour, marker, size in parts:  # of a size that lets the one below show
        pairs = [(n, v) for n, v in zip(numbers, values, strict=True) if v is not None]
        axes.scatter(*_columns(pairs), color=colour, marker=marker, s=size, label=name, zorder=2)
    axes.set_xlabel("task")
    axes.set_ylabel("mean real return")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.margins(x=0.08)
    legend(axes, 3)


def _draw_curves(axes: Axes, summary: Summary) -> None:
    """Returns over the whole run; x: virtual iterations."""
    axes.set_title("Return")
    positions = _positions(summary.records)
    virtual = [
        (x, r["virtual_return"])
        for x, r in positions
        if r["event"] == "virtual-iteration" and r.get("virtual_return") is not None
    ]
    spans = _spans(summary.records)
    for i, (begin, end) in enumerate(spans.values()):  # every task has a policy of its own
        part = [(x, y) for x, y in virtual if begin < x <= end]
        label = "in the model" if i == 0 else None
        axes.plot(*_columns(part), color=GREEN, linewidth=1.2, label=label)
    for event, colour, marker, name in (
        ("zero-shot", ORANGE, "o", "real, zero-shot"),
        ("slbo-stage", BLUE, "D", "real, after a stage of SLBO"),
    ):
        real = [
            (x, r["real_return"])
            for x, r in positions
            if r["event"] == event and r.get("real_return") is not None
        ]
        axes.scatter(*_columns(real), color=colour, marker=marker, s=36, label=name, zorder=3)
    for i, (task, (begin, end)) in enumerate(spans.items()):
        random = next((t.random for t in summary.tasks if t.task == task), None)
        if random is not None:
            axes.plot(
                [begin, end], [random] * 2, color=GREY, linestyle="--",
                label="random policy" if i == 0 else None,
            )  # fmt: skip
    axes.set_ylabel("mean return of an episode")
    bottom, top = axes.get_ylim()
    axes.set_ylim(bottom - 0.06 * (top - bottom), top)  # room for the numbers of the tasks
    _mark_tasks(axes, spans, named=True)
    legend(axes, 4)


def _draw_losses(axes: Axes, summary: Summary) -> None:
    """The model's error on what it was trained on, and on held-out samples."""
    axes.set_title("Model error")
    positions = _positions(summary.records)
    for name, colour, marker, label in (
        ("train_loss", RED, "v", "training samples"),
        ("validation_loss", BLUE, "D", "held-out samples"),
    ):
        pairs = [(x, r[name]) for x, r in positions if r["event"] == "slbo-stage" and r.get(name)]
        axes.plot(
            *_columns(pairs), color=colour, marker=marker, markersize=5, linewidth=1.2, label=label
        )
    axes.set_ylabel("one step, in standard\ndeviations of a step")
    axes.set_ylim(bottom=0)
    _mark_tasks(axes, _spans(summary.records))
    legend(axes, 2)


def _draw_kl(axes: Axes, summary: Summary) -> None:
    """How far the policy moved in each virtual iteration."""
    axes.set_title("Policy change")
    pairs = [
        (x, r["kl"])
        for x, r in _positions(summary.records)
        if r["event"] == "virtual-iteration" and r.get("kl") is not None
    ]
    axes.plot(*_columns(pairs), color=BLUE, linewidth=1, label="last update of an iteration")
    max_kl = summary.config.training.trpo.max_kl
    axes.axhline(max_kl, color=GREY, linestyle="--", linewidth=1, label="trust region")
    axes.set_ylabel("KL divergence\n(nats)")
    legend(axes, 2)
    axes.set_xlabel("virtual iterations")
    axes.set_ylim(bottom=0)
    _mark_tasks(axes, _spans(summary.records))


def _mark_tasks(axes: Axes, spans: Mapping[int, tuple[int, int]], *, named: bool = False) -> None:
    for task, (begin, end) in spans.items():
        if task % 2:
            axes.axvspan(begin, end, color="#F3F3F3", zorder=0, linewidth=0)
        if named:
            axes.text(
                (begin + end) / 2, 0.015, f"task {task + 1}" if task == 0 else f"{task + 1}",
                transform=axes.get_xaxis_transform(),
                ha="center", fontsize=9, color="#555555",
            )  # fmt: skip
    if spans:
        last = max(1, *(end for _, end in spans.values()))
        axes.set_xlim(0, 1.015 * last)


def legend(axes: Axes, columns: int) -> None:
    """Above the axes, on the right: never over the data."""
    axes.legend(
        loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=columns, borderaxespad=0.2,
        columnspacing=1.2, handletextpad=0.4,
    )  # fmt: skip


def _positions(records: Sequence[Mapping[str, Any]]) -> list[tuple[int, Mapping[str, Any]]]:
    """Every record with the number of virtual iterations before it, itself included."""
    count, found = 0, []
    for record in records:
        count += record["event"] == "virtual-iteration"
        found.append((count, record))
    return found


def _spans(records: Sequence[Mapping[str, Any]]) -> dict[int, tuple[int, int]]:
    """For every task, the virtual iterations at its begin and end."""
    spans: dict[int, tuple[int, int]] = {}
    before = 0
    for x, record in _positions(records):
        if "task" in record:
            begin = spans[record["task"]][0] if record["task"] in spans else before
            spans[record["task"]] = (begin, x)
        before = x
    return spans


def _columns(pairs: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [p[0] for p in pairs], [p[1] for p in pairs]


def task_names(summary: Summary) -> list[str]:
    """The names of the task dimensions, with SI units for velocities and heights."""
    names = summary.config.family.task_names
    return [name + _UNITS.get(name.split()[-1], "") for name in names]
