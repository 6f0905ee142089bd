"""The evaluation of a run on a set of test tasks, from its first job to its result."""

from __future__ import annotations

import json
import pathlib
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...jobs.executor import Executor
from ...show.job_progress import JobProgress
from ...show.remarks import EXCLUDED
from ...show.words import number, psi_text
from ...store.files import reading, write_atomically
from ...store.folder import RunFolder
from ...store.job_log import JobLog
from ...store.metrics import finite
from ...store.returns import FORMAT
from ...torch_state import own_torch_state
from .jobs import ERROR_SAMPLES, FurtherJob, Job, ModelErrorJob, OracleJob, ZeroShotJob, save_state
from .plan import EvaluationFolder, EvaluationPlan

if TYPE_CHECKING:
    from ...evaluation.oracle import OracleResult


@own_torch_state()
def run_evaluation(
    plan: EvaluationPlan,
    folder: RunFolder,
    executor: Executor,
    batch: int,
    progress: JobProgress,
) -> pathlib.Path:
    """Does what an evaluation lacks, and writes its result.

    Args:
        plan: what to compute.
        folder: the run's.
        executor: does the jobs, with `make_work` of the plan.
        batch: most tasks that zero-shot adaptation takes at once.
        progress: is told.

    Returns:
        The path of evaluation.json.

    Raises:
        SettingError: there is another evaluation under that name.
        RuntimeError: a worker failed.
    """
    place = EvaluationFolder.of(folder, plan.grid)
    log = JobLog(
        place.finished,
        plan.header(),
        name="run",
        again=f"remove {place.path} to start anew, or give tasks of your own another name",
    )
    try:
        with executor as pool:
            evaluation = _Evaluation(plan, place, log, pool, progress)
            evaluation.zero_shot(batch)
            evaluation.further()
            oracles = evaluation.oracles()
            evaluation.model_errors(oracles)
        write_atomically(place.result, evaluation.result(oracles))
    finally:
        progress.stop()
        log.close()
    return place.result


class _Evaluation:
    """One evaluation under way: what is finished, and what does the rest."""

    def __init__(
        self,
        plan: EvaluationPlan,
        place: EvaluationFolder,
        log: JobLog,
        pool: Executor,
        progress: JobProgress,
    ) -> None:
        self._plan, self._place, self._log = plan, place, log
        self._pool, self._progress = pool, progress
        self._tasks = range(len(plan.psis))
        self._has_model = plan.config.of_method.model_based
        with reading(place.finished, "the finished pieces of an evaluation"):
            self._returns = {
                (int(line["task"]), int(line["real_samples"])): _returns(line, plan.episodes)
                for line in log.finished
                if line["piece"] == "returns"
            }
            self._errors = {
                (int(line["task"]), str(line["learner"])): _number_of(line, "error", "seconds")
                for line in log.finished
                if line["piece"] == "model error"
            }

    def zero_shot(self, most: int) -> None:
        """A_0 of all tasks, in batches. What a task gets does not depend on its batch."""
        missing = [task for task in self._tasks if (task, 0) not in self._returns]
        jobs = [ZeroShotJob(tuple(missing[i : i + most])) for i in range(0, len(missing), most)]
        steps, _ = self._steps()

        def after(job: ZeroShotJob, done: dict[str, Any], seconds: float) -> None:
            batch = job.tasks[0]
            save_state(self._place.zero_shot, batch, done["state"])
            for task, adapted in zip(job.tasks, done["adapted"], strict=True):
                self._keep_returns(task, adapted, seconds / len(job.tasks), batch=batch)
            self._progress.job(f"zero-shot, {len(job.tasks)} tasks{_excluded(done['adapted'])}")

        self._do(
            f"zero-shot adaptation to {len(self._tasks)} tasks of {self._plan.grid}",
            jobs,
            self._plan.config.title,
            steps,
            after,
        )

    def further(self) -> None:
        """A_n, n > 0: each task by itself."""
        jobs = []
        for task in self._tasks:
            wanted = [n for n in self._plan.real_samples if (task, n) not in self._returns]
            if wanted:
                jobs.append(FurtherJob(task, self._returns[task, 0]["batch"], tuple(wanted)))
        rounds = max(self._plan.real_samples) // self._plan.config.training.schedule.n_adapt
        _, steps = self._steps()

        def after(job: FurtherJob, done: list[dict[str, Any]], seconds: float) -> None:
            for adapted in done:
                self._keep_returns(job.task, adapted, seconds / len(done))
            figures = ", ".join(
                f"{self._mean(job.task, n)} after {n} samples" for n in (0, *job.wanted)
            )
            psi = psi_text(self._plan.psis[job.task])
            self._progress.job(f"psi {psi}: {figures}{_excluded(done)}")

        self._do(
            f"adaptation with {', '.join(map(str, self._plan.real_samples[1:]))} real samples",
            jobs,
            self._plan.config.title,
            rounds * steps,
            after,
        )

    def _steps(self) -> tuple[int, int]:
        config = self._plan.config
        return config.of_method.adaptation_steps(config.training)

    def oracles(self) -> list[OracleResult]:
        """The tasks' own learners; none without a cache."""
        cache = self._plan.oracle
        if cache is None:
            return []
        found = {task: cache.find(psi) for task, psi in enumerate(self._plan.psis)}
        jobs = [OracleJob(task) for task, result in found.items() if result is None]
        # In an order of its own: evaluations side by side share the work through the cache.
        random.Random(str(self._place.path)).shuffle(jobs)

        def after(job: OracleJob, result: OracleResult, _seconds: float) -> None:
            found[job.task] = result
            mean = number(float(result.returns.fresh.mean()))
            self._progress.job(
                f"psi {psi_text(self._plan.psis[job.task])}: {mean} after {result.samples} samples"
            )

        self._do(
            f"an oracle for each task: {cache.learner}; kept in {cache.folder}",
            jobs,
            cache.family.name,
            cache.settings.samples // cache.settings.batch * cache.settings.attempts,
            after,
        )
        return [result for result in found.values() if result is not None]

    def model_errors(self, oracles: Sequence[OracleResult]) -> None:
        """Of the meta-trained model, if there is one, on the transitions of the oracles."""
        cache = self._plan.oracle
        if cache is None or not self._has_model:
            return
        learner = cache.key()
        missing = tuple(t for t in self._tasks if (t, learner) not in self._errors)

        def after(job: ModelErrorJob, errors: list[float], seconds: float) -> None:
            for task, error in zip(job.tasks, errors, strict=True):
                line = {"piece": "model error", "task": task, "learner": learner, "error": error}
                line["seconds"] = round(seconds / len(job.tasks), 3)
                self._log.append(line)
                self._errors[task, learner] = line

        if missing:
            self._pool.run([ModelErrorJob(missing)], lambda: None, after)

    def result(self, oracles: Sequence[OracleResult]) -> bytes:
        """The content of evaluation.json: the same, but for times, however it came about."""
        plan, learner = self._plan, "" if self._plan.oracle is None else self._plan.oracle.key()
        header = plan.header()
        real_samples = sorted({n for _, n in self._returns})
        complete = [n for n in real_samples if all((t, n) in self._returns for t in self._tasks)]

        def returns(n: int, kind: str) -> list[list[float]]:
            return [self._returns[task, n][kind] for task in self._tasks]

        lines = [*self._returns.values(), *self._errors.values()]
        values = {
            "what": header["what"],
            "format": FORMAT,
            "run": header["run"],
            "grid": plan.grid,
            "psis": plan.psis,
            "episodes": plan.episodes,
            "seed": plan.seed,
            "real_samples": complete,
            "returns": {
                str(n): {kind: returns(n, kind) for kind in ("select", "fresh")} for n in complete
            },
            "oracle": None
            if plan.oracle is None
            else {
                "learner": plan.oracle.learner,
                "select": [o.returns.select.tolist() for o in oracles],
                "fresh": [o.returns.fresh.tolist() for o in oracles],
                "samples": [o.samples for o in oracles],
            },
            "model_errors": None
            if plan.oracle is None or not self._has_model
            else [self._errors[task, learner]["error"] for task in self._tasks],
            "samples": self._samples(complete, oracles),
            "seconds": {
                "zero-shot": _seconds(x for x in lines if x.get("real_samples") == 0),
                "further": _seconds(x for x in lines if x.get("real_samples", 0) > 0),
            },
        }
        return json.dumps(finite(values), allow_nan=False).encode() + b"\n"

    def _samples(self, complete: Sequence[int], oracles: Sequence[OracleResult]) -> dict[str, int]:
        """Real samples of all tasks: learned from, spent on measuring, and of the oracles."""
        tasks, horizon = len(self._tasks), self._plan.config.training.physics.horizon
        learner = "" if self._plan.oracle is None else self._plan.oracle.key()
        judged = sum((task, learner) in self._errors for task in self._tasks)
        return {
            "adaptation": tasks * max(complete),
            "evaluation": 2 * self._plan.episodes * horizon * tasks * len(complete)
            + ERROR_SAMPLES * judged,
            "oracle": sum(o.samples for o in oracles),
        }

    def _do(
        self,
        what: str,
        jobs: Sequence[Job],
        of: str,
        steps: int,
        after: Callable[[Any, Any, float], None],
    ) -> None:
        if not jobs:
            return
        kept = f"finished pieces are kept in {self._place.path}; the same command goes on"
        self._progress.start(f"{of}: {what}\n{kept}", jobs=len(jobs), done=0, steps=steps)
        self._pool.run(jobs, self._progress.step, after)
        self._progress.stop()

    def _keep_returns(
        self, task: int, adapted: Mapping[str, Any], seconds: float, **more: Any
    ) -> None:
        n = adapted["real_samples"]
        path = self._place.policy(task, n)
        path.parent.mkdir(exist_ok=True)
        write_atomically(path, adapted["policy"])
        line = {
            "piece": "returns",
            "task": task,
            "real_samples": n,
            "select": adapted["select"],
            "fresh": adapted["fresh"],
            "excluded": adapted["excluded"],
            **more,
            "seconds": round(seconds, 3),
        }
        self._log.append(line)
        self._returns[task, n] = line

    def _mean(self, task: int, n: int) -> str:
        fresh = self._returns[task, n]["fresh"]
        return number(sum(fresh) / len(fresh))


def _returns(line: dict[str, Any], episodes: int) -> dict[str, Any]:
    for kind in ("select", "fresh"):
        if len(line[kind]) != episodes or not all(isinstance(x, float) for x in line[kind]):
            raise ValueError(f"{kind}: expected E={episodes} returns of task {line['task']}")
    if line["real_samples"] == 0 and not isinstance(line["batch"], int):
        raise ValueError(f"batch: expected a number, got {line['batch']!r}")
    return _number_of(line, "seconds")


def _number_of(line: dict[str, Any], *names: str) -> dict[str, Any]:
    for name in names:
        if not isinstance(line[name], (int, float)):
            raise ValueError(f"{name}: expected a number, got {line[name]!r}")
    return line


def _excluded(adapted: Sequence[Mapping[str, Any]]) -> str:
    """What is said of the samples in which the simulation blew up."""
    count = sum(a["excluded"] for a in adapted)
    return f"; {count:,} {EXCLUDED}" if count else ""


def _seconds(lines: Iterable[Mapping[str, Any]]) -> float:
    return round(sum(float(line["seconds"]) for line in lines), 3)
