"""Sizes and initialisation of π_θ, V and T̂_φ."""

from __future__ import annotations

import dataclasses

from ..settings import Settings, setting


@dataclasses.dataclass(frozen=True)
class NetworkSettings(Settings):
    """Source: Appendix C and the authors' code."""

    policy_hidden: tuple[int, ...] = setting((32, 32), "policy layers, tanh", minimum=1)
    policy_output_scale: float = setting(0.01, "scale of the policy's initial last layer", above=0)
    initial_log_std: float = setting(0.0, "initial log standard deviation of the actions")
    value_hidden: tuple[int, ...] = setting((64, 64), "value layers, tanh", minimum=1)
    dynamics_hidden: tuple[int, ...] = setting((1000, 1000), "dynamics layers, ReLU", minimum=1)
    dynamics_initial_std: float = setting(
        1e-5, "standard deviation of the dynamics' truncated-normal initialisation", above=0
    )
