"""What all figures share: one colour and marker for each method, fonts, files."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import textwrap
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from .run_picture import STYLE, own_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Draw: TypeAlias = "Callable[[], Figure]"

# Okabe and Ito's colours, brown instead of yellow: told apart with any colour vision.
_COLOURS = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000", "#8C510A",
)  # fmt: skip
_MARKERS = ("o", "s", "D", "^", "v", "P", "X", "*")

GREY, RED = "#7F7F7F", "#D55E00"

WIDTH = 7.4  # inches

# Of the small print of panels and legends, which are 8.5 points high: bold, and with its line.
_LETTERS_PER_INCH = 12.5
_HANDLE = 0.55

_STYLE: Any = {
    **STYLE,
    "font.size": 9,
    "axes.titlesize": 9.5,
    "legend.fontsize": 8.5,
    "svg.hashsalt": "admrl",  # the same figure is the same file
}


@dataclasses.dataclass(frozen=True)
class Look:
    """How one method is drawn everywhere."""

    colour: str
    marker: str


@dataclasses.dataclass(frozen=True)
class Picture:
    """A figure of the page.

    Attributes:
        section: the part of the page that shows it.
        name: of its files, without the ending.
        title: a few words.
        caption: what it shows and how to read it.
        problem: why it could not be drawn; "": it was.
    """

    section: str
    name: str
    title: str
    caption: str
    problem: str = ""


def looks(labels: Sequence[str]) -> dict[str, Look]:
    """Of each label, by its place among them."""
    return {
        name: Look(_COLOURS[i % len(_COLOURS)], _MARKERS[i % len(_MARKERS)])
        for i, name in enumerate(labels)
    }


def gap_colours() -> Any:
    """Light is a small gap, dark a large one: in order of brightness, so also without colour."""
    import matplotlib
    from matplotlib.colors import ListedColormap

    # The darkest end is left out: numbers and frames stay readable on the rest.
    return ListedColormap(matplotlib.colormaps["YlOrBr"](np.linspace(0.02, 0.8, 256)))


@contextlib.contextmanager
def styled() -> Iterator[None]:
    """Figures made inside have the style; matplotlib is as it was afterwards."""
    with own_style(_STYLE):
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure in inches; no pyplot, so nothing global is touched."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, folder: pathlib.Path, name: str) -> None:
    """Writes NAME.png and NAME.svg."""
    figure.savefig(folder / f"{name}.png", dpi=170)
    figure.savefig(folder / f"{name}.svg", metadata={"Date": None})


def wrapped(title: str, width: float) -> str:
    """A title of the size of panels' in lines that fit a width in inches."""
    return textwrap.fill(title, max(12, int(width * _LETTERS_PER_INCH)), break_long_words=False)


def legend_columns(names: Sequence[str], most: int = 4) -> int:
    """How many columns of these names fit the width of a figure."""
    longest = max(map(len, names), default=0) / _LETTERS_PER_INCH
    return max(1, min(most, len(names), int(WIDTH / (longest + _HANDLE))))


def legend_above(axes: Axes, most: int) -> None:
    """Above the axes, never over the data; in at most so many columns, as they fit."""
    _, names = axes.get_legend_handles_labels()
    axes.legend(
        loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=legend_columns(names, most),
        borderaxespad=0.2, columnspacing=1.2, handletextpad=0.4,
    )  # fmt: skip


def whole_numbers(axes: Axes) -> None:
    """Ticks of the x axis at whole numbers."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
