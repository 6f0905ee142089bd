"""Constants of soft actor-critic."""

from __future__ import annotations

import dataclasses

from ..settings import Settings, setting


@dataclasses.dataclass(frozen=True)
class SacSettings(Settings):
    """Source: the authors' code of PEARL (Rakelly et al. 2019) where nothing else is said."""

    hidden: tuple[int, ...] = setting((300, 300, 300), "actor and critic layers, ReLU", minimum=1)
    learning_rate: float = setting(3e-4, "Adam step size of actor and critics", above=0)
    target_rate: float = setting(
        0.005, "part of the way that the target critics go at each step", above=0, maximum=1
    )
    reward_scale: float = setting(5.0, "what rewards are multiplied by in the critics", above=0)
    temperature: float | str = setting(
        1.0,
        "weight of the entropy against scaled rewards; auto: learned, for an entropy of −A",
        above=0,
        words=("auto",),
    )
    mean_regularisation: float = setting(
        1e-3, "weight of the mean square of the actor's means, before tanh", minimum=0
    )
    std_regularisation: float = setting(
        1e-3, "weight of the mean square of the actor's log standard deviations", minimum=0
    )
