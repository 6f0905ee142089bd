"""Independent jobs on a Ray cluster; a job whose worker is lost is done again by another."""

from __future__ import annotations

import collections
import logging
import signal
import socket
import threading
import time
import typing
from collections.abc import Callable, Iterable
from typing import Any

from ..settings import SettingError
from .workers import Work, failed

_LOG = logging.getLogger(__name__)
_RETRIES = 3  # of a job whose worker is lost, and of a worker that is lost before it has a job
_CONNECT_SECONDS = 10.0
_POLL_SECONDS = 0.5  # how often steps are asked for


class RayWorkers:
    """Does jobs in actors of Ray: `jobs.executor.Executor` on many machines.

    A context manager: entering it connects to the cluster or starts one on this machine, leaving it
    ends the actors, whatever they are doing. An actor takes a job once it has started: as long as
    the cluster has room for fewer actors than asked for, fewer work.

    Args:
        make: called once in each actor; returns what does a job there. Must be picklable, as must
            be the jobs and their results, and importable on every node.
        arguments: of `make`.
        number: of actors at most.
        address: of a running cluster, "auto" or "host:port"; None: one is started on this machine,
            with the CPUs that the actors need.
        threads: of a job: the CPUs that an actor takes up.

    Raises:
        SettingError: Ray is not installed.
    """

    def __init__(
        self,
        make: Callable[..., Work],
        arguments: tuple[Any, ...],
        number: int,
        *,
        address: str | None,
        threads: int,
    ) -> None:
        try:
            import ray
        except ImportError:
            raise SettingError(
                "executor",
                "expected local, because Ray is missing: pip install 'admrl-native[ray]'",
            ) from None
        self._ray = ray
        self._make = make
        self._arguments = arguments
        self._number = number
        self._address = address
        self._threads = threads
        self._connected = False
        self._steps: Any = None
        self._starting: dict[Any, Any] = {}  # the answer that is awaited: the actor
        self._idle: list[Any] = []
        self._busy: dict[Any, tuple[Any, Any, int]] = {}  # the answer: actor, job, lost workers
        self._lost_while_starting = 0

    def __enter__(self) -> typing.Self:
        """Connects to Ray, or starts it.

        Raises:
            SettingError: no cluster at the address, or none of its nodes has the CPUs for a job.
        """
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        if not self._ray.is_initialized():
            self._connect()
        try:
            self._check_nodes()
            node = self._ray.get_runtime_context().get_node_id()
            here = NodeAffinitySchedulingStrategy(node, soft=False)
            collector = self._ray.remote(_Steps).options(num_cpus=0, scheduling_strategy=here)
            self._steps = collector.remote()
        except BaseException:
            self._disconnect()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        busy = [actor for actor, _, _ in self._busy.values()]
        for actor in [*self._starting.values(), *self._idle, *busy, self._steps]:
            self._ray.kill(actor)
        self._disconnect()

    def run(
        self,
        jobs: Iterable[Any],
        on_step: Callable[..., None],
        on_result: Callable[[Any, Any, float], None],
        on_failure: Callable[[Any, str], None] | None = None,
    ) -> None:
        """Does every job; see `Workers.run`.

        A job whose actor or node is lost is done again, three times at most; one that raises is
        not. The steps of a job that is done again are reported again.

        Raises:
            RuntimeError: a job failed, or was lost too often, and nobody asked for failures; or
                workers do not start.
        """
        waiting = collections.deque((job, 0) for job in jobs)
        while waiting or self._busy:
            while waiting and self._idle:
                actor, (job, lost) = self._idle.pop(), waiting.popleft()
                self._busy[actor.do.remote(job)] = actor, job, lost
            self._start(min(self._number, len(waiting) + len(self._busy)))
            awaited = [*self._busy, *self._starting]
            answered, _ = self._ray.wait(awaited, num_returns=1, timeout=_POLL_SECONDS)
            for report in self._ray.get(self._steps.take.remote()):
                on_step(*report)
            for answer in answered:
                kind, value = self._receive(answer)
                if answer in self._starting:
                    self._started(self._starting.pop(answer), kind, value)
                    continue
                actor, job, lost = self._busy.pop(answer)
                if kind == "lost":
                    self._ray.kill(actor)  # it may only be out of reach
                    if lost < _RETRIES:
                        _LOG.warning("%s is done again: its worker was lost", _short(job))
                        waiting.appendleft((job, lost + 1))
                        continue
                    value = f"{value}\n{_short(job)}: given up after {lost + 1} lost workers"
                else:
                    self._idle.append(actor)
                if kind == "done":
                    on_result(job, *value)
                elif on_failure is None:
                    raise value if isinstance(value, Exception) else RuntimeError(value)
                else:
                    on_failure(job, str(value))

    def _connect(self) -> None:
        ray = self._ray
        own = {"num_cpus": self._number * self._threads, "include_dashboard": False}
        handler = signal.getsignal(signal.SIGTERM)
        try:
            if self._address is not None and ":" in self._address:
                _check_address(self._address)
            ray.init(
                address=self._address or "local",
                log_to_driver=False,
                logging_level=logging.ERROR,
                **({} if self._address else own),
            )
        except (OSError, ValueError, RuntimeError) as error:
            where = f"a Ray cluster at {self._address}" if self._address else "Ray to start"
            raise SettingError("ray_address", f"expected {where}: {error}") from None
        finally:
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, handler)  # Ray has put its own in its place
        self._connected = True

    def _disconnect(self) -> None:
        if self._connected:
            self._ray.shutdown()
            self._connected = False

    def _check_nodes(self) -> None:
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        most = max((int(resources.get("CPU", 0)) for resources in nodes), default=0)
        if most < self._threads:
            raise SettingError(
                "threads", f"expected at most {most}, the CPUs of a Ray node, got {self._threads}"
            )

    def _start(self, number: int) -> None:
        """Starts actors until there are so many."""
        worker = self._ray.remote(_Worker).options(num_cpus=self._threads)
        for _ in range(number - len(self._starting) - len(self._idle) - len(self._busy)):
            actor = worker.remote(self._steps)
            self._starting[actor.prepare.remote(self._make, self._arguments)] = actor

    def _receive(self, answer: Any) -> tuple[str, Any]:
        errors = self._ray.exceptions
        try:
            kind, value = self._ray.get(answer)
        except errors.RayTaskError as error:  # a job or a result that cannot be pickled, say
            return "error", f"a worker failed:\n{error}"
        except errors.RayError as error:
            return "lost", str(error)
        return kind, value

    def _started(self, actor: Any, kind: str, value: Any) -> None:
        if kind == "ready":
            self._idle.append(actor)
            self._lost_while_starting = 0
            return
        self._ray.kill(actor)
        self._lost_while_starting += 1
        if kind != "lost":
            raise value if isinstance(value, Exception) else RuntimeError(value)
        if self._lost_while_starting > _RETRIES:
            raise RuntimeError(f"{value}\nworkers are lost before they have started")


def _check_address(address: str) -> None:
    """Whether somebody listens there: Ray itself would try for ten minutes."""
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=_CONNECT_SECONDS):
        pass


def _short(job: Any) -> str:
    return str(job)[:200]


class _Worker:
    """An actor that does jobs.

    Args:
        steps: the actor that is told of steps.
    """

    def __init__(self, steps: Any) -> None:
        self._steps = steps
        self._told: Any = None
        self._work: Work | None = None

    def prepare(self, make: Callable[..., Work], arguments: tuple[Any, ...]) -> tuple[str, Any]:
        try:
            self._work = make(*arguments)
        except Exception as error:
            return "unmade", failed(error)
        return "ready", None

    def do(self, job: Any) -> tuple[str, Any]:
        import ray

        assert self._work is not None
        began = time.perf_counter()
        try:
            result = self._work(job, self._tell)
        except Exception as error:
            return "error", failed(error)
        seconds = time.perf_counter() - began
        if self._told is not None:
            ray.wait([self._told])  # so that the steps are known before the result
        return "done", (result, seconds)

    def _tell(self, *report: Any) -> None:
        self._told = self._steps.add.remote(report)


class _Steps:
    """An actor beside the caller that keeps steps until they are asked for."""

    def __init__(self) -> None:
        self._new: list[tuple[Any, ...]] = []

    def add(self, report: tuple[Any, ...]) -> None:
        self._new.append(report)

    def take(self) -> list[tuple[Any, ...]]:
        new, self._new = self._new, []
        return new
