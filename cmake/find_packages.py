"""Prints directories of installed Python packages for CMake, separated by semicolons.

In this order: the `mujoco` package, Eigen's headers, pybind11's CMake files, and gymnasium's
MuJoCo models. The last two are empty where the package is not installed: scikit-build-core finds
pybind11 by itself, and only the C++ tests need the models.
"""

from __future__ import annotations

import importlib.util
import pathlib
import re
import sys


def directory(package: str) -> pathlib.Path | None:
    """Where a package is installed, found without importing it."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return None
    return pathlib.Path(spec.origin).parent


def existing(parent: pathlib.Path | None, inside: str) -> str:
    """The folder `inside` of a package's directory, or "" if it does not exist."""
    if parent is None or not (parent / inside).is_dir():
        return ""
    return (parent / inside).as_posix()


def main() -> None:
    install = "pip install 'mujoco-core>=4.0,<4.1'"
    mujoco = directory("mujoco")
    if mujoco is None:
        sys.exit(f"mujoco-core: not installed in {sys.executable}; {install}")
    header = mujoco / "include/mujoco/mujoco.h"
    found = re.search(r"mjVERSION_HEADER\s+(\d+)", header.read_text()) if header.exists() else None
    # 4000001 is 4.0.1; releases before 4 counted otherwise and are smaller.
    if found is None or int(found.group(1)) // 1000 != 4000:
        version = found.group(1) if found else "no header"
        sys.exit(f"mujoco-core: expected headers of 4.0.x, found {version} in {mujoco}; {install}")
    candidates = [pathlib.Path(p) / "cmeel.prefix/include/eigen3" for p in sys.path]
    eigen = next((c for c in candidates if (c / "Eigen/Core").exists()), None)
    if eigen is None:
        sys.exit(f"cmeel-eigen: not in {sys.executable}; pip install 'cmeel-eigen>=3.4,<4'")
    pybind11 = existing(directory("pybind11"), "share/cmake/pybind11")
    models = existing(directory("gymnasium"), "envs/mujoco/assets")
    print(f"{mujoco.as_posix()};{eigen.as_posix()};{pybind11};{models}", end="")


if __name__ == "__main__":
    main()
