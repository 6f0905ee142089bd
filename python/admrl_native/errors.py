"""What ends a command in one line, beside a setting that cannot be taken."""

from __future__ import annotations


class NumericalError(ArithmeticError):
    """Numbers that nothing can go on with: a run that diverged, a simulation that failed."""
