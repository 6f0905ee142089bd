"""How long the multi-task policy learns, and the training tasks of every model-free method."""

from __future__ import annotations

import dataclasses

from ...settings import Settings, setting


@dataclasses.dataclass(frozen=True)
class MetaSettings(Settings):
    """Source: Section 5; Appendix C."""

    n_train_tasks: int = setting(
        150, "training tasks of the model-free methods, drawn uniformly from the box", minimum=1
    )


@dataclasses.dataclass(frozen=True)
class MtSettings(Settings):
    """MT-joint; as many samples as MAML's: 500 · 40 · 20 episodes of 200 steps, 80 million."""

    iterations: int = setting(500, "policy updates", minimum=1)
    tasks_per_iteration: int = setting(40, "training tasks in a policy update", minimum=1)
    rollouts: int = setting(20, "episodes of each of them", minimum=1)
