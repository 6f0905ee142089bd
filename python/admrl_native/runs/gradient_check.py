"""A check of the task gradient from its first job to its report: kept in a file, job by job."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..algorithms.settings import GradientCheckSettings
from ..families.declaration import Family
from ..settings import SettingError
from .config import Config
from .executor import Executor
from .job_log import JobLog
from .job_progress import JobProgress
from .metrics import read_records
from .options import options
from .progress import number, psi_text
from .storage import reading

if TYPE_CHECKING:
    from ..algorithms.gradient_check import GradientCheck, Job
    from .checkpoint import Checkpoint
    from .folder import RunFolder

GROUP = "task_gradient"  # the group of options that a check may set differently from its run


@dataclasses.dataclass(frozen=True)
class GradientCheckPlan:
    """Everything that decides what a check computes.

    Attributes:
        config: the run's, with the estimator's options as they are to be checked.
        checkpoint: number of the checkpoint.
        psi: (K,) the task, in the family's units.
        settings: how it is checked, decided.
        seed: of every random number.
    """

    config: Config
    checkpoint: int
    psi: tuple[float, ...]
    settings: GradientCheckSettings
    seed: int

    def header(self) -> dict[str, Any]:
        """What a file of jobs must agree on. Not the number of repeats: more can be added."""
        config, settings = self.config, self.settings
        estimator = {o.name: o.of(config.training) for o in options().values() if o.group == GROUP}
        return {
            "what": "task gradient check",
            "run": {
                "family": config.family.name,
                "method": config.method,
                "seed": config.seed,
                "checkpoint": self.checkpoint,
                "settings": config.digest(without=GROUP),  # those options are compared one by one
            },
            "options": {
                "epsilon": settings.epsilon,  # before psi, whose default depends on it
                "psi": self.psi,
                "along": settings.along,
                "episodes": settings.episodes,
                "seed": self.seed,
                "device": config.device,
                **estimator,
            },
        }


def last_visited_task(folder: RunFolder, checkpoint: Checkpoint) -> tuple[float, ...]:
    """ψ (K,) of the task that a run worked on last when it saved a checkpoint."""
    lines = read_records(folder.metrics)[: checkpoint.recorder["metrics_lines"]]
    with reading(folder.metrics, "the tasks of this run"):
        found = [line["psi"] for line in lines if "psi" in line]
        return tuple(found[-1])


def inside(family: Family, psi: Sequence[float], margin: float) -> tuple[float, ...]:
    """The nearest task (K,) whose neighbours at a distance `margin` in u all lie in Ψ."""
    box = zip(psi, family.task_low, family.task_high, strict=True)
    room = [(p, low, high, margin * (high - low) / 2) for p, low, high in box]
    return tuple(min(max(p, low + m), high - m) for p, low, high, m in room)


def run_check(
    plan: GradientCheckPlan,
    path: pathlib.Path,
    executor: Executor,
    progress: JobProgress,
) -> GradientCheck:
    """Does the jobs that a file does not have yet, and combines all.

    Args:
        plan: what to compute.
        path: the file.
        executor: does a `Job`.
        progress: is told.

    Raises:
        SettingError: the file is of another check.
        RuntimeError: a worker failed.
    """
    from ..algorithms import gradient_check as checks
    from ..families.task_space import TaskSpace

    family, settings = plan.config.family, plan.settings
    space = TaskSpace(family)
    u = tuple(space.to_normalised(space.validate(plan.psi, inside=False)).tolist())
    log = JobLog(path, plan.header())
    with reading(path, "the finished jobs of a check"):
        finished = {(int(x["repeat"]), x["direction"], x["sign"]): x for x in log.finished}

    def after(job: Job, figures: dict[str, Any], seconds: float) -> None:
        line = {**dataclasses.asdict(job), **figures, "seconds": round(seconds, 3)}
        log.append(line)
        finished[job.key] = line
        progress.job(_line(job, figures, names))

    centres = checks.centre_jobs(u, settings)
    names = checks.direction_names(family, settings)
    keys = [job.key for job in centres]
    keys += [(r, i, s) for r in range(settings.repeats) for i in range(len(names)) for s in (1, -1)]
    progress.start(
        f"task gradient of {plan.config.title} at psi {psi_text(plan.psi)}: {len(keys)} adaptations"
        f"\nfinished ones are kept in {path}; after Ctrl-C the same command goes on",
        jobs=len(keys),
        done=sum(key in finished for key in keys),
        steps=checks.steps_of_job(plan.config.training.schedule),
    )
    try:
        with executor:

            def do(jobs: list[Job]) -> None:
                missing = [job for job in jobs if job.key not in finished]
                executor.run(missing, progress.step, after)

            if settings.along == "gradient":
                do(centres)  # before anything else: the pilot says where to look
                centres = []
            try:
                directions = checks.find_directions(family, settings, finished)
            except ValueError as error:
                raise SettingError("along", f"expected axes: {error}") from None
            do([*centres, *checks.difference_jobs(u, directions, settings)])
    finally:
        progress.stop()
        log.close()
    return checks.combine(family, u, settings, finished)


def _line(job: Job, figures: dict[str, Any], names: Sequence[str]) -> str:
    repeat = "pilot" if job.repeat < 0 else f"repeat {job.repeat + 1}"
    where = "at psi" if job.sign == 0 else f"{names[job.direction]} {'-+'[job.sign > 0]}epsilon"
    hat, star = number(figures["eta_hat"]), number(figures["eta_star"])
    return f"{repeat}, {where}: zero-shot {hat}, trained {star}"
