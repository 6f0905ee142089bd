"""Prints the directories of the MuJoCo and Eigen packages, separated by a semicolon, for CMake."""

import importlib.util
import pathlib
import sys

mujoco = importlib.util.find_spec("mujoco")
if mujoco is None or mujoco.origin is None:
    sys.exit("mujoco-core: not installed in this Python; pip install 'mujoco-core>=4.0,<4.1'")
roots = [pathlib.Path(p) / "cmeel.prefix/include/eigen3" for p in sys.path]
eigen = next((r for r in roots if (r / "Eigen/Core").exists()), None)
if eigen is None:
    sys.exit("cmeel-eigen: not installed in this Python; pip install 'cmeel-eigen>=3.4,<4'")
print(f"{pathlib.Path(mujoco.origin).parent.as_posix()};{eigen.as_posix()}", end="")
