"""A sweep from what is asked for to its last run: done by an executor, shown meanwhile."""

from __future__ import annotations

import pathlib
import shlex
from collections.abc import Sequence
from typing import Any, TextIO

from ...configuration.cells import Cell, Sweep
from ...configuration.config import available_cpus
from ...configuration.memory import check_memory
from ...jobs.executor import make_executor
from ...settings import SettingError
from ...show.display import Lines
from ...show.sweep_progress import SweepProgress
from ...show.words import duration
from ..runs import check_simulation, resolve_device
from . import folder as sweep_folder
from .job import make_worker


def run(
    sweep: Sweep,
    out: pathlib.Path,
    command: str,
    stream: TextIO,
    go_on: list[str],
    *,
    executor: str = "local",
    workers: int | None = None,
    ray_address: str | None = None,
) -> dict[str, str]:
    """Does the runs of a sweep that are not finished.

    Args:
        sweep: the runs.
        out: the sweep's folder, an absolute path.
        command: the command line that asks for it.
        stream: where to show what happens.
        go_on: gets the command as soon as there is something to go on with.
        executor: "local" or "ray".
        workers: how many runs at once; None: as many as there are CPUs for.
        ray_address: of a running Ray cluster.

    Returns:
        The name of each run that failed, and the last line of why.

    Raises:
        SettingError: what cannot be done, before any work.
    """
    cells = sweep.cells()
    workers = max(1, available_cpus() // sweep.threads) if workers is None else workers
    trained = {c.name for c in cells if sweep_folder.is_trained(out / c.name, c.config)}
    _check_machine(cells, executor, workers, sweep.device)
    arguments = (out, sweep.evaluation)
    pool = make_executor(executor, make_worker, arguments, workers, ray_address, sweep.threads)
    # Whether an evaluation is complete is known to those who would go on with it.
    finished = trained if sweep.evaluation is None else set()
    about = {"command": command, **sweep.to_dict(), "runs": [cell.name for cell in cells]}
    failures: dict[str, str] = {}
    say = Lines(stream).line
    if len(finished) < len(cells):
        progress = SweepProgress(stream)

        def on_result(cell: Cell, _: Any, seconds: float) -> None:
            sweep_folder.error_file(out, cell.name).unlink(missing_ok=True)
            progress.end(cell.name, f"done in {duration(seconds)}")

        def on_failure(cell: Cell, text: str) -> None:
            sweep_folder.error_file(out, cell.name).write_text(text)
            failures[cell.name] = text.strip().splitlines()[-1]
            progress.end(cell.name, f"failed: {failures[cell.name]}")

        with pool, sweep_folder.locked(out, about):
            go_on.append(command)
            say(f"runs in {out}; Ctrl-C leaves a sweep that the same command continues")
            progress.start(cells, finished)
            try:
                missing = [cell for cell in cells if cell.name not in finished]
                pool.run(missing, progress.update, on_result, on_failure)
            finally:
                progress.stop()
    say(f"{len(cells) - len(failures)} of {len(cells)} runs are done, in {out}")
    for name, reason in failures.items():
        say(f"failed: {name}: {reason}  (more in {sweep_folder.error_file(out, name)})")
    if failures:
        say("the same command tries them again")
    if len(failures) < len(cells):
        say(f"compare the runs: admrl report {shlex.quote(str(out))}/*-seed*/")
    return failures


def _check_machine(cells: Sequence[Cell], executor: str, workers: int, device: str) -> None:
    """Whether this machine can do the runs, which the others are expected to resemble."""
    if executor == "ray" and device == "cuda":
        raise SettingError("device", "expected cpu or auto: Ray is not asked for GPUs")
    different = {(c.config.family.name, c.config.training.physics): c.config for c in cells}
    for config in different.values():
        check_simulation(config)
    for cell in cells:
        check_memory(cell.config, processes=1 if executor == "ray" else workers)
    if device == "cuda":
        resolve_device(device)
