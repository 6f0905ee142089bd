"""Where commands write: whatever becomes of the terminal, the work goes on."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO

# For encodings that lack them.
_PLAIN = str.maketrans({
    "ψ": "psi", "θ": "theta", "Ψ": "Psi", "±": "+-", "–": "-", "−": "-", "·": "*", "≥": ">=",
    "≤": "<=", "²": "2", "×": "x", "…": "...", "σ": "sigma", "α": "alpha", "λ": "lambda",
})  # fmt: skip


class Output:
    """A stream that takes every text: what it cannot show is written another way.

    Once nobody reads it any more, or its disk is full, what is written is dropped: a pipe that is
    closed (`| head -1`) ends no training.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.lost = False

    def write(self, text: str) -> int:
        if not self.lost:
            try:
                self._stream.write(text)
            except UnicodeEncodeError:
                encoding = self._stream.encoding or "ascii"
                plain = text.translate(_PLAIN).encode(encoding, "replace").decode(encoding)
                self._attempt(lambda: self._stream.write(plain))
            except (OSError, ValueError):
                self.lost = True
        return len(text)

    def flush(self) -> None:
        if not self.lost:
            self._attempt(self._stream.flush)

    def _attempt(self, action: Any) -> None:
        try:
            action()
        except (OSError, ValueError):  # ValueError: it was closed
            self.lost = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def lasting_output() -> Iterator[None]:
    """Standard output and error are `Output`s."""
    before = sys.stdout, sys.stderr
    ours = [Output(stream) for stream in before if stream is not None]
    if len(ours) < 2:  # a process without a terminal
        yield
        return
    sys.stdout, sys.stderr = ours
    try:
        yield
    finally:
        for stream in ours:
            stream.flush()
        sys.stdout, sys.stderr = before
        for stream in ours:
            if stream.lost:
                _silence(stream)


def _silence(stream: Output) -> None:
    """What is left in its buffer would fail again, loudly, when the interpreter ends."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
