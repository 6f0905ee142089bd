"""Training from Python, and what can be done with a trained run."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .algorithms.settings import GradientCheckSettings
from .errors import NumericalError, numerical_failures
from .families.declaration import Family
from .runs import checkpoint as checkpoints
from .runs import folder as folders
from .runs.config import (
    DEFAULT_FAMILY,
    Config,
    available_cpus,
    check_gradient_samples,
    check_task,
    make_config,
)
from .runs.data import DataShards
from .runs.executor import make_executor
from .runs.gradient_check import GROUP, GradientCheckPlan, inside, last_visited_task, run_check
from .runs.job_progress import SilentJobs, make_job_progress
from .runs.memory import check_memory
from .runs.metrics import read_records
from .runs.options import options, override
from .runs.progress import Progress, Silent, make_progress
from .runs.recorder import Recorder, check_unedited, is_complete
from .runs.storage import reading
from .runs.summary import write_summary
from .settings import SettingError, integer, several
from .torch_state import own_torch_state

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from .algorithms.adapted_policy import AdaptedPolicy
    from .algorithms.gradient_check import GradientCheck, Job
    from .algorithms.learner import Learner

_CHECK = GradientCheckSettings()


def train(
    family: Family | str = DEFAULT_FAMILY,
    method: str = "admrl",
    preset: str = "quick",
    out: str | pathlib.Path | None = None,
    *,
    seed: int = 0,
    threads: int | None = None,
    device: str = "auto",
    first_psi: Sequence[float] | None = None,
    progress: bool = True,
    **overrides: Any,
) -> Run:
    """Trains a run to its end: what `python -m admrl_native.train` does.

    torch is set to one thread inside an operation, for the whole process: its sums would otherwise
    depend on the number of threads.

    Args:
        family: a family, or the name of a built-in one.
        method: "admrl", "mb-unif", "mb-gauss", or model-free: "mt-joint", "maml", "pearl",
            "maml-mt", "pearl-mt".
        preset: "quick", "small" or "paper".
        out: a new or empty folder; None: a new one below ./runs.
        seed: of every random number of the run.
        threads: of the simulation and of virtual training; None: the CPUs available. The results do
            not depend on it.
        device: "cpu", "cuda" or "auto".
        first_psi: (K,) the first task; None: u = `first_u` in every coordinate.
        progress: show what happens on standard output.
        **overrides: any setting by the name of its option, such as n_tasks=3.

    Returns:
        The trained run.

    Raises:
        SettingError: a value that cannot be taken, or a folder that cannot be used; a ValueError.
        KeyboardInterrupt: interrupted; `resume` goes on with the folder.
    """
    config = make_config(
        family,
        method=method,
        preset_name=preset,
        seed=seed,
        threads=threads,
        device=device,
        first_psi=first_psi,
        overrides=overrides,
    )
    resolve_device(config.device)
    check_memory(config)
    check_simulation(config)
    path = folders.default_path(config) if out is None else pathlib.Path(out)
    folder, config = folders.open_folder(folders.create(path, config).path)
    with folders.removed_if_nothing_is_learned(folder):
        carry_on(folder, config, make_progress(config) if progress else Silent())
    write_summary(folder.path)
    return Run(folder.path, config)


def resume(
    path: str | pathlib.Path,
    *,
    threads: int | None = None,
    device: str | None = None,
    progress: bool = True,
) -> Run:
    """Continues an interrupted run from its newest checkpoint; a complete one is left as it is.

    Args:
        path: the run folder.
        threads: None: as the run was started.
        device: None: as the run was started.
        progress: show what happens on standard output.

    Determinism: on one machine, the folder ends up as if the run had never been interrupted, but
        for wall times.
    """
    folder, config = open_to_resume(pathlib.Path(path), threads=threads, device=device)
    folders.check_source(folder)
    if not is_complete(folder):
        carry_on(folder, config, make_progress(config) if progress else Silent())
        write_summary(folder.path)
    return Run(folder.path, config)


def open_to_resume(
    path: pathlib.Path, *, threads: int | None, device: str | None, name: str = "resume"
) -> tuple[folders.RunFolder, Config]:
    """A run folder and its configuration, with what may differ between two processes replaced."""
    folder, config = folders.open_folder(path.resolve(), name=name)
    changes = {"threads": threads, "device": device}
    config = dataclasses.replace(config, **{k: v for k, v in changes.items() if v is not None})  # type: ignore[arg-type]
    resolve_device(config.device)
    check_simulation(config)
    return folder, config


def check_simulation(config: Config) -> None:
    """Begins some episodes, so that what cannot be simulated is known before any work.

    Raises:
        SettingError: the model does not exist, does not load or does not fit the family, blows up
            or leaves the healthy ranges at once, or MuJoCo or the native core cannot be used.
    """
    try:
        from .families.start import check_start

        check_start(config.family, config.training.physics)
    except (ImportError, OSError, ValueError) as error:
        raise SettingError("", f"expected a simulation that starts: {error}") from error


@own_torch_state()
def carry_on(folder: folders.RunFolder, config: Config, progress: Progress) -> None:
    """Trains from wherever the folder is to the end."""
    recorder = Recorder(folder, config, progress)
    try:
        trainer = make_trainer(config, recorder)
        if recorder.resumed_from is not None:
            with reading(folder.checkpoints, "a checkpoint of this run"):
                trainer.load(recorder.resumed_from.state, recorder.stored_data())
        trainer.train()
    except numerical_failures() as error:
        raise NumericalError(
            f"training in {folder.path} cannot go on: {error}; {_WHERE_TO_LOOK}"
        ) from error
    finally:
        recorder.close()


_WHERE_TO_LOOK = (
    "what was stored stays; every number is derived from the seed, so that --resume would come to "
    "the same: see step sizes, learning rates and the scale of the rewards"
)


def make_trainer(config: Config, observer: Any) -> Learner:
    """The learner of a configuration, at its beginning."""
    from .algorithms.methods import learner_class

    # Only when asked for: a learner that draws its tasks has no such choice.
    first: dict[str, Any] = {} if config.first_psi is None else {"first_psi": config.first_psi}
    return learner_class(config.method)(
        config.family,
        config.training,
        method=config.method,
        seed=config.seed,
        threads=config.threads,
        device=resolve_device(config.device),
        observer=observer,
        **first,
    )


def resolve_device(device: str) -> str:
    """ "cpu" or "cuda"; "auto" is cuda where there is one.

    Raises:
        SettingError: cuda is asked for and there is none.
    """
    if device == "cpu":
        return device
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if device == "cuda":
        raise SettingError("device", "expected a CUDA device for cuda, found none; use cpu or auto")
    return "cpu"


class Run:
    """A run folder and what was learned in it.

    Attributes:
        path: the folder.
        config: the run's configuration.
    """

    def __init__(self, path: pathlib.Path, config: Config) -> None:
        self.path = path.resolve()
        self.config = config
        self._trainer: Learner | None = None

    @classmethod
    def load(
        cls, path: str | pathlib.Path, *, threads: int | None = None, device: str | None = None
    ) -> Run:
        """An earlier run, complete or not, from its folder; nothing in it is changed.

        Args:
            path: the run folder.
            threads: of the simulation and of virtual training; None: as the run was started.
            device: None: as the run was started.

        Raises:
            SettingError: not a run folder, or of another version.
        """
        folder, config = open_to_resume(pathlib.Path(path), threads=threads, device=device)
        return cls(folder.path, config)

    def __repr__(self) -> str:
        c = self.config
        return f"Run({str(self.path)!r}: {c.method} on {c.family.name}, {c.preset}, seed {c.seed})"

    def metrics(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl."""
        return read_records(folders.RunFolder(self.path).metrics)

    @own_torch_state()
    def adapt(
        self, psi: Sequence[float], real_samples: int = 0, *, seed: int | None = None
    ) -> AdaptedPolicy:
        """A policy for a task from what the newest checkpoint has learned (Section 5: A_n).

        Args:
            psi: (K,) the task, in the family's units; it may lie outside Ψ.
            real_samples: n, collected from the task; 0: zero-shot.
            seed: of the adaptation; None: the run's.

        Returns:
            The adapted policy; the run is left as it is.

        Raises:
            SettingError: psi has not K finite numbers, or the run has no checkpoint yet.
            ValueError: real_samples is not a multiple of the setting n_adapt.
        """
        import torch

        task = torch.tensor(self._check_task(psi), dtype=torch.float64)
        real_samples = integer("real_samples", real_samples, -(2**31))
        return self._learner().adapt(task, real_samples=real_samples, seed=self._seed(seed))

    @own_torch_state()
    def adapt_zero_shot(
        self, psis: Sequence[Sequence[float]], *, seed: int | None = None
    ) -> list[AdaptedPolicy]:
        """Zero-shot policies for many tasks at once.

        Each is the one that `adapt` makes for its task; where there is a model, together they take
        less time, because it is fitted once and the tasks share the threads.

        Args:
            psis: (B, K) the tasks, in the family's units; they may lie outside Ψ.
            seed: of the adaptation, the same for every task; None: the run's.

        Raises:
            SettingError: no task, one that has not K finite numbers, or no checkpoint yet.
        """
        import torch

        psis = several(psis)
        if not psis:
            raise SettingError("psis", "expected at least one task, got none")
        tasks = torch.tensor([self._check_task(psi) for psi in psis], dtype=torch.float64)
        return self._learner().adapt_zero_shot(tasks, seed=self._seed(seed))

    @own_torch_state()
    def evaluate(
        self,
        policy: AdaptedPolicy,
        psi: Sequence[float],
        episodes: int = 10,
        *,
        seed: int | None = None,
    ) -> npt.NDArray[np.float32]:
        """Undiscounted real returns (episodes,) float32 of a policy on a task.

        Args:
            policy: from `adapt`.
            psi: (K,) the task; it may lie outside Ψ.
            episodes: at least 1.
            seed: of the episodes; None: the run's.
        """
        import torch

        episodes = integer("episodes", episodes, 1)
        task = torch.tensor(self._check_task(psi), dtype=torch.float64)
        return self._learner().evaluate(policy, task, episodes=episodes, seed=self._seed(seed))

    def _check_task(self, psi: Sequence[float]) -> tuple[float, ...]:
        return check_task("psi", psi, self.config.family, inside=False)

    def _seed(self, seed: int | None) -> int:
        return checked_seed(seed, self.config.seed)

    def _learner(self) -> Learner:
        """The learner at the newest checkpoint, made once."""
        if self._trainer is None:
            folder = folders.RunFolder(self.path)
            self._trainer = learner_at(self.config, folder, newest_checkpoint(folder, self.config))
        return self._trainer


def newest_checkpoint(folder: folders.RunFolder, config: Config) -> checkpoints.Checkpoint:
    """The newest checkpoint of a run.

    Raises:
        SettingError: there is none yet, it is damaged, or the configuration was edited since.
    """
    newest = checkpoints.load_newest(folder.checkpoints)
    if newest is None:
        raise SettingError("run", f"expected a checkpoint in {folder.path}, found none yet")
    check_unedited(folder, newest, config, "run")
    return newest


@own_torch_state()
def learner_at(
    config: Config, folder: folders.RunFolder, checkpoint: checkpoints.Checkpoint
) -> Learner:
    """The learner as it was at a checkpoint; nothing in the folder is changed."""
    position = checkpoint.recorder
    trainer = make_trainer(config, _Nobody())
    with reading(folder.checkpoints, "a checkpoint of this run"):
        shards, digests = dict(position["data_shards"]), dict(position["data_digests"])
        trainer.load(checkpoint.state, DataShards(folder.data, shards, digests).load())
    return trainer


class _Nobody(Silent):
    """An observer that shows nothing and keeps nothing."""

    def store(self, purpose: str, transitions: Mapping[str, Any]) -> None:
        pass

    def checkpoint(self, state: Mapping[str, Any]) -> None:
        pass


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
    folder, config = open_to_resume(
        path,
        threads=1 if executor == "ray" else max(1, available_cpus() // workers),
        device=device,
        name="run",
    )
    if not config.model_based:
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
        make_job_progress() if progress else SilentJobs(),
    )


def checked_seed(seed: int | None, otherwise: int) -> int:
    """A seed, of which None stands for another."""
    return otherwise if seed is None else integer("seed", seed, 0, 2**63 - 1)


def open_run(run: Run | str | pathlib.Path, device: str | None) -> tuple[pathlib.Path, str | None]:
    """The folder and the device of a run that is to be worked on."""
    if isinstance(run, Run):
        return run.path, run.config.device if device is None else device
    return pathlib.Path(run), device


def _check_worker(
    plan: GradientCheckPlan, folder: folders.RunFolder
) -> Callable[[Job, Callable[[], None]], dict[str, Any]]:
    """What does a job of a check in a process of its own."""
    from .algorithms.admrl import MetaTrainer
    from .algorithms.gradient_check import run_job

    learner = learner_at(plan.config, folder, checkpoints.load(folder.checkpoints, plan.checkpoint))

    assert isinstance(learner, MetaTrainer)  # checked with the plan

    @own_torch_state()
    def work(job: Job, after_step: Callable[[], None]) -> dict[str, Any]:
        return run_job(
            learner.workshop,
            learner.model,
            job,
            episodes=plan.settings.episodes,
            seed=plan.seed,
            after_step=after_step,
        )

    return work
