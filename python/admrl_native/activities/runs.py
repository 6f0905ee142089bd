"""A run folder opened: what was learned there, at a checkpoint, and what can be done with it."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..algorithms.observer import Observer
from ..algorithms.setup import Setup
from ..configuration.config import Config, check_task
from ..settings import SettingError, integer, several
from ..store import checkpoint as checkpoints
from ..store import folder as folders
from ..store.data import DataShards
from ..store.files import reading
from ..store.metrics import read_records
from ..torch_state import own_torch_state
from .training.recorder import check_unedited

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from ..algorithms.adapted_policy import AdaptedPolicy
    from ..algorithms.learner import Learner


class Run:
    """A run folder and what was learned in it.

    Attributes:
        path: the folder.
        config: the run's configuration.
    """

    def __init__(self, path: pathlib.Path, config: Config) -> None:
        self.path = path.resolve()
        self.config = config
        self._loaded: Learner | None = None

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
        folder, config = open_to_compute(pathlib.Path(path), threads=threads, device=device)
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
        if self._loaded is None:
            folder = folders.RunFolder(self.path)
            self._loaded = learner_at(self.config, folder, newest_checkpoint(folder, self.config))
        return self._loaded


def open_to_compute(
    path: pathlib.Path, *, threads: int | None, device: str | None, name: str = "resume"
) -> tuple[folders.RunFolder, Config]:
    """A run folder and its configuration, with what may differ between two processes replaced."""
    folder, config = folders.open_folder(path.resolve(), name=name)
    changes = {"threads": threads, "device": device}
    config = dataclasses.replace(config, **{k: v for k, v in changes.items() if v is not None})  # type: ignore[arg-type]
    resolve_device(config.device)
    check_simulation(config)
    return folder, config


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
    learner = make_learner(config, Observer())
    with reading(folder.checkpoints, "a checkpoint of this run"):
        shards, digests = dict(position["data_shards"]), dict(position["data_digests"])
        learner.load(checkpoint.state, DataShards(folder.data, shards, digests).load())
    return learner


def make_learner(config: Config, observer: Observer) -> Learner:
    """The learner of a configuration, at its beginning."""
    setup = Setup(
        config.family,
        config.training,
        config.seed,
        config.threads,
        resolve_device(config.device),
        observer,
        config.first_psi,
    )
    return config.of_method.learner(setup)


def check_simulation(config: Config) -> None:
    """Begins some episodes, so that what cannot be simulated is known before any work.

    Raises:
        SettingError: the model does not exist, does not load or does not fit the family, blows up
            or leaves the healthy ranges at once, or MuJoCo or the native core cannot be used.
    """
    try:
        from ..families.start import check_start

        check_start(config.family, config.training.physics)
    except (ImportError, OSError, ValueError) as error:
        raise SettingError("", f"expected a simulation that starts: {error}") from error


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


def checked_seed(seed: int | None, otherwise: int) -> int:
    """A seed, of which None stands for another."""
    return otherwise if seed is None else integer("seed", seed, 0, 2**63 - 1)


def open_run(run: Run | str | pathlib.Path, device: str | None) -> tuple[pathlib.Path, str | None]:
    """The folder and the device of a run that is to be worked on."""
    if isinstance(run, Run):
        return run.path, run.config.device if device is None else device
    return pathlib.Path(run), device
