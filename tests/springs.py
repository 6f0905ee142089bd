"""A robot that blows up where it goes too far, for the tests of what is done then."""

from __future__ import annotations

import pathlib
from typing import Any

from admrl_native.families.declaration import Family
from admrl_native.families.physics import PhysicsSettings
from robots import on_a_rail

# A block on a rail between two springs: |x| < 1 is free; beyond it the springs are so stiff that no
# time step of 10 ms resolves them (stiffness · dt² / mass = 1e5, where explicit integration holds
# up to 4): a penetration of a millimetre makes a velocity of a kilometre a second.
_XML = """
<mujoco>
  <option timestep="0.01" integrator="Euler"/>
  <worldbody>
    <body>
      <joint name="x" type="slide" axis="1 0 0"/>
      <geom type="box" size=".1 .1 .1" mass="1"/>
    </body>
  </worldbody>
  <tendon>
    <fixed springlength="{free}" stiffness="1e9"><joint joint="x" coef="1"/></fixed>
  </tendon>
  <actuator><motor joint="x" gear="{gear}" ctrllimited="true" ctrlrange="-1 1"/></actuator>
</mujoco>
"""

PHYSICS = PhysicsSettings(frame_skip=5, horizon=20)


def spring_family(
    folder: pathlib.Path, *, gear: float = 20, free: str = "-1 1", **changes: Any
) -> Family:
    """The block has to move at ψ m/s; a reward is never positive."""
    path = folder / "springs.xml"
    path.write_text(_XML.format(gear=gear, free=free), encoding="utf-8")
    return on_a_rail("Springs", path, **changes)
