"""A declaration handed to the native core."""

from __future__ import annotations

import math
import os
import pathlib

import numpy as np

from .._native import _core
from .declaration import Family
from .physics import PhysicsSettings


def native_spec(family: Family) -> _core.FamilySpec:
    """The family as the core interprets it."""
    return _core.FamilySpec(
        name=family.name,
        act_dim=family.act_dim,
        obs_blocks=[
            (b.source, b.start, b.stop, math.inf if b.clip is None else b.clip)
            for b in family.obs_blocks
        ],
        form=family.form,
        features=list(family.features),
        coefficients=list(family.coefficients),
        offset=list(family.offset),
        scale=list(family.scale),
        control_cost=family.control_cost,
        bonus=family.bonus,
        healthy=[
            (
                list(h.indices),
                -math.inf if h.low is None else h.low,
                math.inf if h.high is None else h.high,
                h.closed,
            )
            for h in family.healthy
        ],
    )


def native_simulation(
    family: Family, physics: PhysicsSettings, num_envs: int, num_threads: int
) -> _core.Simulation:
    """N environments of the family; the same bits at any number of threads.

    Raises:
        ValueError: a number out of range, or a model that does not load or does not fit the family.
        FileNotFoundError: there is no such model.
    """
    return _core.Simulation(
        spec=native_spec(family),
        model_path=os.fsencode(family.model_path()),
        num_envs=num_envs,
        num_threads=num_threads,
        frame_skip=physics.frame_skip,
        horizon=physics.horizon,
        halve_margins=family.halve_margins,
        reset_within_limits=family.reset_within_limits,
        position_noise=physics.reset_position_noise,
        velocity_noise=physics.reset_velocity_noise,
    )


def standard_normal_policy(family: Family) -> _core.PolicyArrays:
    """Actions ~ N(0, 1) in every state, before they are clipped."""
    d, a = family.obs_dim, family.act_dim
    return _core.PolicyArrays(
        [(np.zeros((a, d), np.float32), np.zeros(a, np.float32))],
        log_std=np.zeros(a, np.float32),
        obs_mean=np.zeros(d, np.float32),
        obs_std=np.ones(d, np.float32),
    )


def model_content(path: pathlib.Path) -> dict[str, bytes]:
    """What the compiled model of an XML file consists of, by field.

    Raises:
        ValueError: the model does not load.
    """
    return _core.model_content(os.fsencode(path))
