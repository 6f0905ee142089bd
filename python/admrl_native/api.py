"""Training from Python, and what can be done with a trained run."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .families.declaration import Family
from .runs import checkpoint as checkpoints
from .runs import folder as folders
from .runs.config import DEFAULT_FAMILY, Config, check_task, make_config
from .runs.data import DataShards
from .runs.metrics import read_metrics
from .runs.progress import Progress, Silent, make_progress
from .runs.recorder import Recorder, is_complete
from .runs.summary import write_summary
from .settings import SettingError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from .algorithms.adaptation import AdaptedPolicy
    from .algorithms.admrl import MetaTrainer


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
        method: "admrl", "mb-unif" or "mb-gauss".
        preset: "quick", "small" or "paper".
        out: a new or empty folder; None: a new one below ./runs.
        seed: of every random number of the run.
        threads: simulation threads; None: the CPUs available. The results do not depend on it.
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
    check_simulation(config)
    path = folders.default_path(config) if out is None else pathlib.Path(out)
    folder = folders.create(path, config)
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
    if not is_complete(folder):
        carry_on(folder, config, make_progress(config) if progress else Silent())
        write_summary(folder.path)
    return Run(folder.path, config)


def open_to_resume(
    path: pathlib.Path, *, threads: int | None, device: str | None
) -> tuple[folders.RunFolder, Config]:
    """A run folder and its configuration, with what may differ between two processes replaced."""
    folder, config = folders.open_folder(path)
    changes = {"threads": threads, "device": device}
    config = dataclasses.replace(config, **{k: v for k, v in changes.items() if v is not None})  # type: ignore[arg-type]
    resolve_device(config.device)
    check_simulation(config)
    return folder, config


def check_simulation(config: Config) -> None:
    """Builds the real environment once, so that what it refuses is known before any work.

    Raises:
        SettingError: the model does not exist, does not load or does not fit the family, or MuJoCo
            or the native core cannot be used.
    """
    try:
        from .families.native import native_simulation

        native_simulation(config.family, config.training.physics, 1, 1)
    except (ImportError, OSError, ValueError) as error:
        raise SettingError("", f"expected a simulation that starts: {error}") from error


def carry_on(folder: folders.RunFolder, config: Config, progress: Progress) -> None:
    """Trains from wherever the folder is to the end."""
    recorder = Recorder(folder, config, progress)
    try:
        trainer = make_trainer(config, recorder)
        if recorder.resumed_from is not None:
            trainer.load(recorder.resumed_from.state, recorder.stored_data())
        trainer.train()
    finally:
        recorder.close()


def make_trainer(config: Config, observer: Any) -> MetaTrainer:
    """The learner of a configuration, at its beginning."""
    from .algorithms.admrl import MetaTrainer

    # Only when asked for: a learner that has no such choice says so by itself.
    first = {} if config.first_psi is None else {"first_psi": config.first_psi}
    return MetaTrainer(
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
        self._trainer: MetaTrainer | None = None

    @classmethod
    def load(
        cls, path: str | pathlib.Path, *, threads: int | None = None, device: str | None = None
    ) -> Run:
        """An earlier run, complete or not, from its folder; nothing in it is changed.

        Args:
            path: the run folder.
            threads: simulation threads for adapting; None: as the run was started.
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
        return read_metrics(folders.RunFolder(self.path).metrics)

    def adapt(
        self, psi: Sequence[float], real_samples: int = 0, *, seed: int | None = None
    ) -> AdaptedPolicy:
        """A policy for a task from the model of the newest checkpoint (Section 5: A_n).

        Args:
            psi: (K,) the task, in the family's units; it may lie outside Ψ.
            real_samples: n, collected from the task; 0: zero-shot.
            seed: of the adaptation; None: the run's.

        Returns:
            The adapted policy; the run's own model is left as it is.

        Raises:
            SettingError: psi has not K finite numbers, or the run has no checkpoint yet.
            ValueError: real_samples is not a multiple of the setting n_adapt.
        """
        import torch

        task = torch.tensor(self._check_task(psi), dtype=torch.float64)
        return self._learner().adapt(task, real_samples=real_samples, seed=self._seed(seed))

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

        from .algorithms.adaptation import evaluate

        if episodes < 1:
            raise SettingError("episodes", f"expected at least 1, got {episodes}")
        task = torch.tensor(self._check_task(psi), dtype=torch.float64)
        workshop = self._learner().workshop
        return evaluate(workshop, policy.policy, task, episodes=episodes, seed=self._seed(seed))

    def _check_task(self, psi: Sequence[float]) -> tuple[float, ...]:
        return check_task("psi", psi, self.config.family, inside=False)

    def _seed(self, seed: int | None) -> int:
        return self.config.seed if seed is None else seed

    def _learner(self) -> MetaTrainer:
        """The learner at the newest checkpoint, made once."""
        if self._trainer is None:
            folder = folders.RunFolder(self.path)
            newest = checkpoints.load_newest(folder.checkpoints)
            if newest is None:
                raise SettingError("run", f"expected a checkpoint in {self.path}, found none yet")
            data = DataShards(folder.data, dict(newest.recorder["data_shards"]))
            trainer = make_trainer(self.config, _Nobody())
            trainer.load(newest.state, data.load())
            self._trainer = trainer
        return self._trainer


class _Nobody(Silent):
    """An observer that shows nothing and keeps nothing."""

    def store(self, purpose: str, transitions: Mapping[str, Any]) -> None:
        pass

    def checkpoint(self, state: Mapping[str, Any]) -> None:
        pass
