"""Numbers, tasks and durations as they are written for people."""

from __future__ import annotations

from collections.abc import Sequence


def plus_minus(values: Sequence[float] | None, errors: Sequence[float] | None) -> str:
    """Numbers with their standard errors, long ones shortened: "(0.12 ± 0.03, -0.02 ± 0.05)"."""
    if values is None or errors is None:
        return psi_text(values)
    shown = [f"{v:.3g} ± {e:.1g}" for v, e in zip(values[:4], errors[:4], strict=True)]
    return _bracketed(shown, len(values))


def number(value: float | None) -> str:
    """A figure in about four significant digits; "-" if there is none."""
    if value is None:
        return "-"
    size = abs(value)
    if size >= 100:
        return f"{value:.0f}"
    if size >= 1:
        return f"{value:.1f}" if size >= 10 else f"{value:.2f}"
    return f"{value:.3g}"


def psi_text(psi: Sequence[float] | None) -> str:
    """A task in brackets, long ones shortened: "(0.60, 1.72)"."""
    if psi is None:
        return "-"
    return _bracketed([f"{x:.3g}" for x in psi[:4]], len(psi))


def _bracketed(shown: Sequence[str], size: int) -> str:
    more = f", ... {size} numbers" if size > len(shown) else ""
    return f"({', '.join(shown)}{more})"


def duration(seconds: float) -> str:
    """A duration, short: "40 s", "3 min 20 s", "2 h 5 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
