"""An executor that does its jobs in this process: for tests that kill or interrupt it anywhere."""

from __future__ import annotations

import time
import typing
from collections.abc import Callable, Iterable
from typing import Any


class InProcess:
    """See `runs.executor.Executor`."""

    def __init__(self, make: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self._make = lambda: make(*arguments)
        self._work: Any = None

    def __enter__(self) -> typing.Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def run(
        self,
        jobs: Iterable[Any],
        on_step: Callable[..., None],
        on_result: Callable[[Any, Any, float], None],
        on_failure: Callable[[Any, str], None] | None = None,
    ) -> None:
        for job in jobs:
            self._work = self._work or self._make()
            began = time.perf_counter()
            result = self._work(job, on_step)
            on_result(job, result, time.perf_counter() - began)


def make_executor(
    kind: str, make: Callable[..., Any], arguments: tuple[Any, ...], *_: Any
) -> InProcess:
    """In the place of `runs.executor.make_executor`."""
    return InProcess(make, arguments)
