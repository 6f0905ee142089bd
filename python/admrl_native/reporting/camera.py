"""Pictures of a robot, without a display."""

from __future__ import annotations

import ctypes.util
import os
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..families.declaration import Family

Image = npt.NDArray[np.uint8]

HEIGHT, WIDTH = 240, 320  # pixels

_BACKENDS = (("egl", "EGL"), ("osmesa", "OSMesa"))


class NoCameraError(RuntimeError):
    """Nothing on this machine can draw; the message says what was tried."""


class Camera:
    """Follows the robot of a family from its side.

    Raises:
        NoCameraError: MuJoCo finds no OpenGL.
    """

    def __init__(self, family: Family) -> None:
        _choose_backend()
        try:
            import mujoco

            self._mujoco: Any = mujoco
            self._model = mujoco.MjModel.from_xml_path(os.fspath(family.model_path()))
            self._data = mujoco.MjData(self._model)
            self._renderer = mujoco.Renderer(self._model, HEIGHT, WIDTH)
        except Exception as error:  # of whichever OpenGL library it tried
            reason = " ".join(str(error).split())
            raise NoCameraError(f"MUJOCO_GL={os.environ.get('MUJOCO_GL', '')}: {reason}") from error
        # What the floor mirrors looks like feet.
        self._renderer.scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = False
        self._view = mujoco.MjvCamera()
        self._view.type = mujoco.mjtCamera.mjCAMERA_TRACKING
        self._view.trackbodyid = 1  # the robot's root
        self._view.distance = 2.4 * self._radius()
        self._view.azimuth, self._view.elevation = 90.0, -14.0  # along y: x runs to the right

    def _radius(self) -> float:
        """How far the robot reaches from its root (m), as it stands in its model."""
        m, d = self._model, self._data
        self._mujoco.mj_forward(m, d)
        own = m.geom_bodyid > 0  # not the floor
        distances = np.linalg.norm(d.geom_xpos[own] - d.xpos[1], axis=1)
        return float((distances + m.geom_rbound[own]).max())

    def picture(self, state: npt.NDArray[np.float64]) -> Image:
        """(HEIGHT, WIDTH, 3) of a state (S,), mjSTATE_INTEGRATION."""
        m, d, mujoco = self._model, self._data, self._mujoco
        mujoco.mj_setState(m, d, state, mujoco.mjtState.mjSTATE_INTEGRATION)
        mujoco.mj_forward(m, d)
        self._renderer.update_scene(d, self._view)
        return np.array(self._renderer.render())

    def pictures(self, states: Sequence[npt.NDArray[np.float64]]) -> list[Image]:
        """Of each state."""
        return [self.picture(state) for state in states]

    def close(self) -> None:
        self._renderer.close()


def _choose_backend() -> None:
    """MuJoCo reads MUJOCO_GL when it is imported; unset, it looks for a display."""
    if sys.platform != "linux" or "MUJOCO_GL" in os.environ:
        return
    for name, library in _BACKENDS:
        if ctypes.util.find_library(library):
            os.environ["MUJOCO_GL"] = name
            return
