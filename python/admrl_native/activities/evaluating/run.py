"""The evaluation of a run on a set of test tasks: `admrl_native.evaluate_run`."""

from __future__ import annotations

import dataclasses
import math
import pathlib
import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ...configuration.config import available_cpus, check_task
from ...configuration.memory import check_memory
from ...evaluation.settings import OracleSettings
from ...families.declaration import Family
from ...jobs.executor import make_executor
from ...settings import SettingError, integer, plain, several
from ...show.job_progress import JobProgress
from ...store import checkpoint as checkpoints
from ...store.folder import RunFolder
from ..runs import (
    Run,
    checked_seed,
    learner_at,
    newest_checkpoint,
    open_run,
    open_to_compute,
    resolve_device,
)

if TYPE_CHECKING:
    from ...algorithms.learner import Learner
    from .plan import EvaluationPlan

_ORACLE = OracleSettings()


def evaluate_run(
    run: Run | str | pathlib.Path,
    grid: str = "grid",
    *,
    psis: Sequence[Sequence[float]] | None = None,
    real_samples: Sequence[int] = (0,),
    episodes: int = 50,
    seed: int | None = None,
    oracle: OracleSettings | None = _ORACLE,
    oracle_cache: str | pathlib.Path | None = None,
    batch: int | None = None,
    workers: int = 1,
    threads: int | None = None,
    executor: str = "local",
    ray_address: str | None = None,
    device: str | None = None,
    progress: bool = True,
) -> pathlib.Path:
    """Evaluates a run's newest checkpoint on a set of test tasks (Section 5).

    Each task is adapted to from what the run has learned, independently of the others.
    Finished pieces are kept in the run's folder: the same call goes on where it stopped, also with
    more n or with an oracle.

    Args:
        run: the run, or its folder.
        grid: "grid" (of Ψ) or "ood" (out of distribution); with `psis`, the name for them.
        psis: (M, K) tasks of one's own, in the family's units; they may lie outside Ψ.
        real_samples: the n of A_n, multiples of the setting n_adapt; 0 is always among them.
        episodes: real episodes of each adapted policy, twice: to select by, and fresh ones.
        seed: of every random number; None: the run's.
        oracle: how long the tasks' own learners may learn, for A*; None: no A*, no model errors.
        oracle_cache: folder of finished oracles, shared by runs; None: `oracle` beside the run.
        batch: most tasks that zero-shot adaptation takes at once, and so most of it that is lost
            when it stops; None: all, or a share for each worker.
        workers: processes; natively the results depend neither on it nor on `batch`.
        threads: of each; None: the CPUs available, shared out; with Ray, 1.
        executor: "local" or "ray": processes here, or actors of a Ray cluster.
        ray_address: of a running Ray cluster, "auto" or "host:port"; None: one is started here.
        device: None: the run's, as it was loaded or started.
        progress: show what happens on standard output.

    Returns:
        The path of evaluation.json.

    Raises:
        SettingError: a value that cannot be taken, or another evaluation has this name.
        RuntimeError: a worker failed.
        KeyboardInterrupt: interrupted; the same call goes on.
    """
    from ...store.oracles import OracleCache
    from .plan import EvaluationPlan
    from .work import run_evaluation

    workers = integer("workers", workers, 1)
    path, device = open_run(run, device)
    checked_seed(seed, 0)
    episodes = integer("episodes", episodes, 1)
    batch = None if batch is None else integer("batch", batch, 1)
    rounds = {integer("real_samples", n, -(2**31)) for n in several(real_samples)}
    if threads is None:
        threads = 1 if executor == "ray" else max(1, available_cpus() // workers)
    folder, config = open_to_compute(path, threads=threads, device=device, name="run")
    config = dataclasses.replace(config, device=resolve_device(config.device))
    cache = None
    if oracle is not None:
        place = (
            folder.path.parent / "oracle" if oracle_cache is None else pathlib.Path(oracle_cache)
        )
        cache = OracleCache(place.resolve(), config.family, config.training.physics, oracle)
    tasks = _evaluation_tasks(config.family, grid, psis)
    if batch is None:
        batch = math.ceil(len(tasks) / workers)
    horizon = config.training.physics.horizon
    learning = {} if oracle is None else {"oracle_batch": oracle.batch}
    if oracle is not None:
        learning["oracle_episodes"] = oracle.episodes * horizon
    check_memory(config, tasks=batch, processes=workers, episodes=episodes * horizon, **learning)
    plan = EvaluationPlan(
        config=config,
        checkpoint=newest_checkpoint(folder, config).number,
        grid=grid,
        psis=tasks,
        real_samples=tuple(sorted({0, *rounds})),
        episodes=episodes,
        seed=checked_seed(seed, config.seed),
        oracle=cache,
    )
    return run_evaluation(
        plan,
        folder,
        make_executor(executor, _evaluation_worker, (plan, folder), workers, ray_address, threads),
        batch,
        JobProgress(sys.stdout if progress else None),
    )


def _evaluation_tasks(
    family: Family, grid: str, psis: Sequence[Sequence[float]] | None
) -> tuple[tuple[float, ...], ...]:
    from ...evaluation.grids import GRIDS, test_tasks

    grid = plain(grid)
    if not isinstance(grid, str):
        raise SettingError("grid", f"expected a name, got {grid!r}")
    if psis is None:
        if grid not in GRIDS:
            raise SettingError("grid", f"expected one of {', '.join(GRIDS)}, got {grid!r}")
        return test_tasks(family, grid)
    if grid in GRIDS or not re.fullmatch(r"[\w-][\w.-]*", grid):
        raise SettingError(
            "grid",
            "expected a name for these tasks of letters, digits and _ . -, not with . first, got "
            f"{grid!r}",
        )
    psis = several(psis)
    if not psis:
        raise SettingError("psis", "expected at least one task, got none")
    return tuple(check_task("psis", psi, family, inside=False) for psi in psis)


def _evaluation_worker(plan: EvaluationPlan, folder: RunFolder) -> Any:
    """What does a job of an evaluation in a process of its own."""
    from .jobs import make_work

    def learner() -> Learner:
        checkpoint = checkpoints.load(folder.checkpoints, plan.checkpoint)
        return learner_at(plan.config, folder, checkpoint)

    return make_work(learner, plan, folder, plan.config.threads)
