"""A check of the task gradient from its first job to its report: kept in a file, job by job."""

from __future__ import annotations

import dataclasses
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..algorithms.admrl.method import check_gradient_samples
from ..algorithms.settings import GradientCheckSettings
from ..configuration.config import Config, available_cpus, check_task
from ..configuration.memory import check_memory
from ..configuration.options import options, override
from ..families.declaration import Family
from ..jobs.executor import Executor, make_executor
from ..settings import SettingError, integer
from ..show.job_progress import JobProgress
from ..show.words import number, psi_text
from ..store import checkpoint as checkpoints
from ..store.files import reading
from ..store.folder import RunFolder
from ..store.job_log import JobLog
from ..store.metrics import read_records
from ..torch_state import own_torch_state
from .runs import (
    Run,
    checked_seed,
    learner_at,
    newest_checkpoint,
    open_run,
    open_to_compute,
    resolve_device,
)

if TYPE_CHECKING:
    from ..evaluation.gradient_check import GradientCheck, Job

_CHECK = GradientCheckSettings()
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


def check_task_gradient(
    run: Run | str | pathlib.Path,
    psi: Sequence[float] | None = None,
    *,
    epsilon: float = _CHECK.epsilon,
    repeats: int = _CHECK.repeats,
    along: str = _CHECK.along,
    episodes: int = _CHECK.episodes,
    seed: int | None = None,
    workers: int = 1,
    executor: str = "local",
    ray_address: str | None = None,
    device: str | None = None,
    out: str | pathlib.Path | None = None,
    progress: bool = True,
    **overrides: Any,
) -> GradientCheck:
    """Compares the task gradient (Eq. 2) with finite differences of the gap.

    Policies are adapted anew at the task and at its neighbours.

    Starts from the model and the data of the run's newest checkpoint, which stay as they are.
    Derivatives are of returns per time step, per unit of the normalised task u in [−1, 1]^K.

    Args:
        run: the run, or its folder.
        psi: (K,) the task, which may lie outside Ψ; None: the one that the run visited last, moved
            so far into Ψ that its neighbours at `epsilon` lie in it too.
        epsilon: half the distance of the two tasks of a finite difference, in u.
        repeats: each with random numbers of its own; the 95 % intervals are over them.
        along: "axes" of u, the estimated "gradient", or "auto": axes up to K = 3. The direction
            of the gradient comes from an adaptation that is not used for anything else.
        episodes: real episodes, at full length, for the return of each policy.
        seed: of every random number; None: the run's.
        workers: processes; the results do not depend on it. More than one needs a main module
            that can be imported, as multiprocessing has it.
        executor: "local" or "ray": processes here, or actors of a Ray cluster, with a thread each.
        ray_address: of a running Ray cluster, "auto" or "host:port"; None: one is started here.
        device: None: the run's, as it was loaded or started.
        out: the file that keeps finished jobs, with which the same call goes on where it stopped,
            also with more repeats; None: gradient_check.jsonl in the run's folder.
        progress: show what happens on standard output.
        **overrides: options of the estimator, such as gradient_damping=0.01; others: the run's.

    Raises:
        SettingError: a value that cannot be taken, or `out` is of another check; a ValueError.
        RuntimeError: a worker failed.
        KeyboardInterrupt: interrupted; the same call goes on.

    Cost: (1 + 2E) · repeats adaptations, E the number of directions, and one more along the
        gradient, each as long as a training task but for its first policy.
    """
    settings = GradientCheckSettings(epsilon, repeats, along, episodes)
    workers = integer("workers", workers, 1)
    path, device = open_run(run, device)
    checked_seed(seed, 0)
    for name in overrides:
        if name not in options() or options()[name].group != GROUP:
            raise SettingError(name, "expected an option of the task gradient")
    folder, config = open_to_compute(
        path,
        threads=1 if executor == "ray" else max(1, available_cpus() // workers),
        device=device,
        name="run",
    )
    if not config.of_method.model_based:
        raise SettingError(
            "run",
            f"expected a run with a dynamics model, got one of {config.method}, {folder.path}",
        )
    checkpoint = newest_checkpoint(folder, config)
    config = dataclasses.replace(
        config,
        training=override(config.training, overrides),
        device=resolve_device(config.device),
    )
    check_gradient_samples(config.training)
    check_memory(
        config, processes=workers, episodes=settings.episodes * config.training.physics.horizon
    )
    if psi is None:
        task = inside(config.family, last_visited_task(folder, checkpoint), epsilon)
    else:
        task = check_task("psi", psi, config.family, inside=False)
    plan = GradientCheckPlan(
        config,
        checkpoint.number,
        task,
        settings.decided(config.family.task_dim),
        checked_seed(seed, config.seed),
    )
    return run_check(
        plan,
        folder.path / "gradient_check.jsonl" if out is None else pathlib.Path(out),
        make_executor(
            executor,
            _check_worker,
            (plan, folder),
            workers,
            ray_address,
        ),
        JobProgress(sys.stdout if progress else None),
    )


def last_visited_task(folder: RunFolder, checkpoint: checkpoints.Checkpoint) -> tuple[float, ...]:
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
    from ..evaluation import gradient_check as checks
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


def _check_worker(
    plan: GradientCheckPlan, folder: RunFolder
) -> Callable[[Job, Callable[[], None]], dict[str, Any]]:
    """What does a job of a check in a process of its own."""
    from ..algorithms.admrl.learner import MetaTrainer
    from ..evaluation.gradient_check import run_job

    learner = learner_at(plan.config, folder, checkpoints.load(folder.checkpoints, plan.checkpoint))

    assert isinstance(learner, MetaTrainer)  # checked with the plan

    @own_torch_state()
    def work(job: Job, after_step: Callable[[], None]) -> dict[str, Any]:
        return run_job(
            learner.environments,
            learner.model,
            job,
            episodes=plan.settings.episodes,
            seed=plan.seed,
            after_step=after_step,
        )

    return work
