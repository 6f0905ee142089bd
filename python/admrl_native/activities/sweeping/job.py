"""What a worker of a sweep does: it trains a run, or goes on with it, and evaluates it."""

from __future__ import annotations

import pathlib
from collections.abc import Callable

from ...configuration.cells import Cell, Evaluation
from ...jobs.workers import Work
from ...reporting.run_table import write_summary
from ...show.progress import ReportedProgress
from ..evaluating.run import evaluate_run
from ..runs import open_to_compute
from ..training.run import train
from . import folder as sweep_folder

Report = Callable[[str, float | None], None]


def make_worker(out: pathlib.Path, evaluation: Evaluation | None) -> Work:
    """What does a cell of a sweep.

    Args:
        out: the sweep's folder, an absolute path.
        evaluation: None: runs are only trained.
    """

    def work(cell: Cell, after_step: Callable[..., None]) -> None:
        def report(state: str, seconds_left: float | None) -> None:
            after_step(cell.name, state, seconds_left)

        with sweep_folder.alone(out, cell.name):
            _train(cell, out / cell.name, report)
            if evaluation is not None:
                _evaluate(cell, out / cell.name, evaluation, report)

    return work


def _train(cell: Cell, path: pathlib.Path, report: Report) -> None:
    trained = sweep_folder.is_trained(path, cell.config)
    folder = sweep_folder.begin(path, cell.config)
    if not trained:
        threads, device = cell.config.threads, cell.config.device
        folder, config = open_to_compute(path, threads=threads, device=device)
        train(folder, config, ReportedProgress(config, report))
    if not folder.picture.exists():
        write_summary(path)


def _evaluate(cell: Cell, path: pathlib.Path, evaluation: Evaluation, report: Report) -> None:
    for grid in evaluation.grids:
        report(f"evaluating {grid}", None)
        evaluate_run(
            path,
            grid,
            real_samples=evaluation.real_samples,
            episodes=evaluation.episodes,
            oracle=evaluation.oracle,
            threads=cell.config.threads,
            device=cell.config.device,
            progress=False,
        )
