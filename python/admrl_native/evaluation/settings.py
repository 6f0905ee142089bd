"""How the learner that stands for A*(ψ) works."""

from __future__ import annotations

import dataclasses

from ..settings import Settings, setting


@dataclasses.dataclass(frozen=True)
class OracleSettings(Settings):
    """How long and how often a task is learned."""

    samples: int = setting(4_000_000, "real samples of an attempt at most", minimum=1)
    batch: int = setting(10_000, "real samples per policy update", minimum=1)
    patience: int = setting(
        60, "updates without a better return after which an attempt ends", minimum=1
    )
    window: int = setting(10, "updates over which a return is averaged to be compared", minimum=1)
    attempts: int = setting(1, "independent attempts, the best of which counts", minimum=1)
    episodes: int = setting(100, "real episodes, twice, for the return of the result", minimum=1)
    seed: int = setting(0, "of every random number", minimum=0)
