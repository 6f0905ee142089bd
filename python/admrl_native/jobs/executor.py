"""Who does independent jobs: processes of this machine, or Ray on many."""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from ..settings import SettingError
from .workers import Work, Workers

EXECUTORS = ("local", "ray")


class Executor(Protocol):
    """Does jobs somewhere: a context manager, which ends all work when it is left.

    `make(*arguments)` makes, once in each worker, what does a job there. Which worker does which
    job, when and how often changes nothing in the results.
    """

    def __enter__(self) -> typing.Self: ...

    def __exit__(self, *_: object) -> None: ...

    def run(
        self,
        jobs: Iterable[Any],
        on_step: Callable[..., None],
        on_result: Callable[[Any, Any, float], None],
        on_failure: Callable[[Any, str], None] | None = None,
    ) -> None:
        """Does every job; see `Workers.run`."""


def make_executor(
    kind: str,
    make: Callable[..., Work],
    arguments: tuple[Any, ...],
    workers: int,
    address: str | None = None,
    threads: int = 1,
) -> Executor:
    """An executor by its name.

    Args:
        kind: one of `EXECUTORS`.
        make: called once in each worker; returns what does a job there. Must be picklable, as
            must be the jobs and their results.
        arguments: of `make`; folders in them must be the same folders on every machine.
        workers: how many jobs are done at once.
        address: of a running Ray cluster, "auto" or "host:port"; None: Ray is started on this
            machine. Of no use to "local".
        threads: of a job: the CPUs that Ray keeps for it. Of no use to "local".

    Raises:
        SettingError: no such executor, too few workers, an address without Ray, or Ray is not
            installed.
    """
    if kind not in EXECUTORS:
        raise SettingError("executor", f"expected one of {', '.join(EXECUTORS)}, got {kind!r}")
    if not isinstance(workers, int) or workers < 1:
        raise SettingError("workers", f"expected at least 1, got {workers!r}")
    if kind == "ray":
        from .ray_workers import RayWorkers

        return RayWorkers(make, arguments, workers, address=address, threads=threads)
    if address is not None:
        raise SettingError("ray_address", "expected none without the executor ray")
    return Workers(make, arguments, workers)
