"""How real samples are collected."""

from __future__ import annotations

import dataclasses

from ..settings import Settings, setting


@dataclasses.dataclass(frozen=True)
class CollectionSettings(Settings):
    """Source: the authors' code (Ornstein-Uhlenbeck noise added to the sampled action)."""

    num_envs: int = setting(
        50, "most real environments side by side (each follows an episode)", minimum=1
    )
    ou_theta: float = setting(0.15, "mean reversion of the exploration noise", minimum=0)
    ou_sigma: float = setting(0.3, "scale of the exploration noise; 0: none", minimum=0)
    evaluation_episodes: int = setting(20, "episodes per real evaluation of a policy", minimum=1)
