"""Families of any robot, for tests of what holds for all of them."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

import mujoco

from admrl_native.families.declaration import Family, ObsBlock


def whole_state(path: pathlib.Path, **changes: Any) -> Family:
    """All of qpos and qvel of a model is observed."""
    m = mujoco.MjModel.from_xml_path(str(path))
    family = Family(
        name="Any",
        model=str(path),
        act_dim=m.nu,
        obs_blocks=(ObsBlock("qpos", 0, m.nq), ObsBlock("qvel", 0, m.nv)),
        task_names=("x",),
        task_low=(0.0,),
        task_high=(1.0,),
        form="abs",
        features=(0,),
        coefficients=(1.0,),
    )
    return dataclasses.replace(family, **changes)


def on_a_rail(name: str, path: pathlib.Path, **changes: Any) -> Family:
    """A body with one slide joint and one motor, which has to move at ψ m/s."""
    motion = {"task_names": ("velocity",), "task_low": (-1.0,), "features": (1,)}
    return whole_state(path, **{"name": name, **motion, **changes})
