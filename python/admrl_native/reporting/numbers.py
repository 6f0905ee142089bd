"""How a number is written: the same everywhere on the page."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

_SHOWN = 4  # elements of a long list


def text(value: Any) -> str:
    """A value of report.json in words.

    A number has three significant digits; a figure with its interval, {"value", "low", "high"},
    has as many decimals as the largest of the three needs. What is not known is a dash.
    """
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return _signed(f"{value:,}")
    if isinstance(value, float):
        return _float(value, _decimals(abs(value)))
    if isinstance(value, Mapping):
        return _estimate(value)
    if isinstance(value, Sequence):
        shown = [text(x) for x in value[:_SHOWN]]
        return f"({', '.join(shown)}{', …' if len(value) > _SHOWN else ''})"
    raise TypeError(f"expected a value of report.json, got {value!r}")


class Numbers:
    """Shows values of a report; on the page each carries its place in report.json.

    Args:
        report: the content of report.json.
    """

    def __init__(self, report: Mapping[str, Any]) -> None:
        self._report = report

    def show(self, *path: str | int) -> str:
        """The value at a path, as HTML.

        Raises:
            KeyError, IndexError: there is none.
        """
        value: Any = self._report
        for step in path:
            value = value[step]
        shown = html.escape(text(value))
        if isinstance(value, Mapping) and " [" in shown:  # so that a table can put it below
            figure, interval = shown.split(" ", 1)
            shown = f"{figure} <small>{interval}</small>"
        return f'<span data-key="{html.escape(pointer(path))}">{shown}</span>'


def pointer(path: Sequence[str | int]) -> str:
    """The path as a JSON pointer (RFC 6901)."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)


def _estimate(value: Mapping[str, Any]) -> str:
    known = [value[k] for k in ("value", "low", "high") if value[k] is not None]
    decimals = _decimals(max(map(abs, known), default=0.0))
    figure, low, high = (
        "–" if value[k] is None else _float(value[k], decimals) for k in ("value", "low", "high")
    )
    return figure if low == high == "–" else f"{figure} [{low}, {high}]"


def _decimals(size: float) -> int:
    return 0 if size == 0 else max(0, 2 - math.floor(math.log10(size)))


def _float(value: float, decimals: int) -> str:
    if value != 0 and decimals > 5:
        return _signed(f"{value:.1e}")
    rounded = f"{value:,.{decimals}f}"
    return _signed(rounded.lstrip("-") if float(rounded.replace(",", "")) == 0 else rounded)


def _signed(number: str) -> str:
    """With the minus sign of typography."""
    return number.replace("-", "−")
