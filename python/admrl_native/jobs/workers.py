"""Independent jobs on one or several processes."""

from __future__ import annotations

import collections
import multiprocessing
import multiprocessing.connection
import multiprocessing.resource_tracker
import signal
import time
import traceback
import typing
from collections.abc import Callable, Iterable
from typing import Any

from ..errors import in_one_line

# Does one job; calls its second argument, with or without a report, whenever a step of the job is
# done.
Work = Callable[[Any, Callable[..., None]], Any]


class Workers:
    """Does jobs in spawned processes, or in this one if there is to be but one worker.

    A context manager: leaving it ends the processes, whatever they are doing. Nothing is started
    before there is a job.

    Args:
        make: called once in each process; returns what does a job there. Must be picklable, as
            must be the jobs and their results.
        arguments: of `make`.
        number: of workers.
    """

    def __init__(self, make: Callable[..., Work], arguments: tuple[Any, ...], number: int) -> None:
        self._make = make
        self._arguments = arguments
        self._number = number
        self._work: Work | None = None
        self._ready: list[multiprocessing.connection.Connection] = []
        self._processes: list[Any] = []
        self._connections: list[multiprocessing.connection.Connection] = []

    def __enter__(self) -> typing.Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.join()
        for connection in self._connections:
            connection.close()

    def run(
        self,
        jobs: Iterable[Any],
        on_step: Callable[..., None],
        on_result: Callable[[Any, Any, float], None],
        on_failure: Callable[[Any, str], None] | None = None,
    ) -> None:
        """Does every job; with one worker in the order given.

        Args:
            jobs: what to do.
            on_step: called in this process after every step of a job, with the step's report.
            on_result: called in this process with a job, its result, and the seconds it took.
            on_failure: called in this process with a job that raised or whose process died, and the
                reason, which may have many lines; the other jobs go on. None: that ends the work.

        Raises:
            RuntimeError: a job failed in another process, or that process died, and nobody asked
                for failures; or `make` failed. What one line says is raised as what it is.
        """
        waiting = collections.deque(jobs)
        if not waiting:
            return
        if self._number == 1:
            self._work = self._work or self._make(*self._arguments)
            for job in waiting:
                began = time.perf_counter()
                try:
                    result = self._work(job, on_step)
                except Exception as error:
                    if on_failure is None:
                        raise
                    on_failure(job, str(in_one_line(error) or traceback.format_exc()))
                else:
                    on_result(job, result, time.perf_counter() - began)
            return
        self._start(min(self._number, len(waiting)) - len(self._processes))
        busy = {}
        for connection in self._connections[: len(waiting)]:
            busy[connection] = job = waiting.popleft()
            connection.send(job)
        while busy:
            for ready in multiprocessing.connection.wait(list(busy)):
                assert isinstance(ready, multiprocessing.connection.Connection)
                kind, value = self._receive(ready)
                if kind == "ready":
                    self._ready.append(ready)
                    continue
                if kind == "step":
                    on_step(*value)
                    continue
                if kind == "unmade" or (kind != "done" and on_failure is None):
                    raise value if isinstance(value, Exception) else RuntimeError(value)
                job = busy.pop(ready)
                if kind == "dead":
                    self._forget(ready)
                    if waiting:
                        self._start(1)
                        ready = self._connections[-1]
                if waiting:  # before the result is dealt with: the worker need not wait for that
                    busy[ready] = waiting.popleft()
                    ready.send(busy[ready])
                if kind == "done":
                    on_result(job, *value)
                elif on_failure is not None:
                    on_failure(job, str(value))

    def _start(self, number: int) -> None:
        context = multiprocessing.get_context("spawn")
        # Ctrl-C reaches the whole process group: only this process is to react to it. A blocked
        # signal stays blocked in the processes that are started meanwhile, but for the start of
        # multiprocessing's own helper, which unblocks it: so that comes first.
        multiprocessing.resource_tracker.ensure_running()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            for _ in range(number):
                ours, theirs = context.Pipe()
                process = context.Process(
                    target=_serve, args=(theirs, self._make, self._arguments), daemon=True
                )
                process.start()
                theirs.close()  # so that the death of the process closes the pipe
                self._processes.append(process)
                self._connections.append(ours)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _receive(self, connection: multiprocessing.connection.Connection) -> tuple[str, Any]:
        try:
            kind, value = connection.recv()
        except (EOFError, ConnectionError):
            process = self._processes[self._connections.index(connection)]
            process.join()
            how = f"a worker process died with exit code {process.exitcode}"
            if connection not in self._ready:
                return "unmade", (
                    f"{how} before it began. It imports the main script, which must do nothing: "
                    "keep it in a file, and what it runs below if __name__ == '__main__'"
                )
            return "dead", f"{how}; was there enough memory?"
        return kind, value

    def _forget(self, connection: multiprocessing.connection.Connection) -> None:
        index = self._connections.index(connection)
        self._connections.pop(index).close()
        self._processes.pop(index)


def _serve(
    connection: multiprocessing.connection.Connection,
    make: Callable[..., Work],
    arguments: tuple[Any, ...],
) -> None:
    """What a process does: one job after the other, until it is ended."""
    # The command line's handlers are its own affair.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        connection.send(("ready", None))
        try:
            work = make(*arguments)
        except Exception as error:
            connection.send(("unmade", failed(error)))
            return
        while True:
            job = connection.recv()
            began = time.perf_counter()
            try:
                result = work(job, lambda *report: connection.send(("step", report)))
                connection.send(("done", (result, time.perf_counter() - began)))
            except Exception as error:
                connection.send(("error", failed(error)))
    except (EOFError, ConnectionError):  # the parent is gone
        pass


def failed(error: Exception) -> Exception | str:
    """What a worker says of the exception that is being handled."""
    return in_one_line(error) or f"a worker failed:\n{traceback.format_exc()}"
