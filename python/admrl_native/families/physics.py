"""How the simulator is run: the same for every family."""

from __future__ import annotations

import dataclasses

from ..settings import Settings, setting

# Of what is done beside MuJoCo's own steps (resets, corrections, what is excluded), here and in the
# core: raised whenever that changes a result.
RULES = 2


@dataclasses.dataclass(frozen=True)
class PhysicsSettings(Settings):
    """Source: the authors' environments."""

    frame_skip: int = setting(1, "physics steps per action", minimum=1)
    horizon: int = setting(200, "steps after which an episode times out", unit="steps", minimum=1)
    reset_position_noise: float = setting(
        0.1, "half width of the uniform noise on qpos at reset", unit="m or rad", minimum=0
    )
    reset_velocity_noise: float = setting(
        0.1, "standard deviation of the noise on qvel at reset", unit="m/s or rad/s", minimum=0
    )
