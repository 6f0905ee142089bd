"""The schedule of Algorithms 1 and 2, and the choice of tasks."""

from __future__ import annotations

import dataclasses
from typing import Self

from ..derivatives.settings import TrpoSettings
from ..families.physics import PhysicsSettings
from ..networks.settings import NetworkSettings
from ..sampling.settings import CollectionSettings
from ..settings import Settings, setting
from ..task_gradient.settings import TaskGradientSettings
from ..training.sac_settings import SacSettings
from ..training.settings import (
    AdvantageSettings,
    ComputeSettings,
    DynamicsFitSettings,
    ValueFitSettings,
)
from .maml.settings import MamlSettings
from .mt_joint.settings import MetaSettings, MtSettings
from .pearl.settings import PearlSettings

_MOST_AXES = 3  # K up to which every axis of u is looked along


@dataclasses.dataclass(frozen=True)
class ScheduleSettings(Settings):
    """Source: Appendix C. The names are the paper's."""

    n_tasks: int = setting(20, "training tasks", minimum=1)
    n_zeroshot: int = setting(40, "virtual iterations of zero-shot adaptation", minimum=0)
    n_slbo: int = setting(3, "SLBO stages per task", minimum=1)
    n_slbo_first: int = setting(20, "SLBO stages of the first task", minimum=1)
    n_inner: int = setting(20, "virtual iterations per SLBO stage", minimum=1)
    n_model: int = setting(100, "dynamics gradient steps per virtual iteration", minimum=1)
    n_policy: int = setting(20, "policy updates per virtual iteration", minimum=1)
    n_trpo: int = setting(10_000, "virtual samples per policy update", minimum=1)
    n_virtual_envs: int = setting(50, "virtual environments side by side", minimum=1)
    n_adapt: int = setting(2000, "real samples per round of adaptation at test time", minimum=1)
    n_collect: int = setting(10_000, "real samples per SLBO stage, for training", minimum=1)
    n_validation: int = setting(10_000, "real samples per SLBO stage, held out", minimum=1)


@dataclasses.dataclass(frozen=True)
class TaskSelectionSettings(Settings):
    """Source: Algorithm 1 line 12; Appendix C. Everything happens in normalised coordinates u."""

    step_size: float = setting(
        4.0,
        "α of the ascent on ψ; unit: u per (gap per time step per u), as the authors",
        minimum=0,
    )
    untrusted_gradient: str = setting(
        "uniform",
        "where no component's sign can be trusted: a uniform task, or the step all the same; a "
        "gradient that fails or is not finite is never followed",
        choices=("uniform", "follow"),
    )
    first_u: float = setting(0.3, "every coordinate of the first task, in u", minimum=-1, maximum=1)
    gaussian_std: float = setting(
        1.0, "standard deviation of mb-gauss, in u; clipped to the box", above=0
    )


@dataclasses.dataclass(frozen=True)
class GradientCheckSettings(Settings):
    """How the task gradient is compared with finite differences; see `gradient_check`."""

    epsilon: float = setting(
        0.2,
        "half the distance of the two tasks of a finite difference",
        unit="in u",
        above=0,
        maximum=1,
    )
    repeats: int = setting(
        4, "repeats, each with random numbers of its own; more may be asked for later", minimum=1
    )
    along: str = setting(
        "auto",
        f"directions: axes of u, or the estimated gradient's; auto: axes up to K = {_MOST_AXES}",
        choices=("auto", "axes", "gradient"),
    )
    episodes: int = setting(
        200, "real episodes (at full length) for the return of each policy", minimum=1
    )

    def decided(self, task_dim: int) -> Self:
        """The same with "axes" or "gradient" in place of "auto", for tasks of K numbers."""
        if self.along != "auto":
            return self
        return self.replace(along="axes" if task_dim <= _MOST_AXES else "gradient")


@dataclasses.dataclass(frozen=True)
class TrainingSettings(Settings):
    """Everything that decides what a run computes; the defaults are the paper's for Ant2D."""

    schedule: ScheduleSettings = ScheduleSettings()
    task_selection: TaskSelectionSettings = TaskSelectionSettings()
    task_gradient: TaskGradientSettings = TaskGradientSettings()
    physics: PhysicsSettings = PhysicsSettings()
    collection: CollectionSettings = CollectionSettings()
    networks: NetworkSettings = NetworkSettings()
    advantage: AdvantageSettings = AdvantageSettings()
    trpo: TrpoSettings = TrpoSettings()
    value_fit: ValueFitSettings = ValueFitSettings()
    dynamics_fit: DynamicsFitSettings = DynamicsFitSettings()
    compute: ComputeSettings = ComputeSettings()
    meta: MetaSettings = MetaSettings()
    mt: MtSettings = MtSettings()
    maml: MamlSettings = MamlSettings()
    pearl: PearlSettings = PearlSettings()
    sac: SacSettings = SacSettings()

    def num_real_envs(self, samples: int) -> int:
        """As many environments as asked for, but no more than can follow an episode to its end."""
        most = min(self.collection.num_envs, samples // self.physics.horizon)
        return next(n for n in range(max(most, 1), 0, -1) if samples % n == 0)
