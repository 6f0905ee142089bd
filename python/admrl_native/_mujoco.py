"""Finds the installed MuJoCo library and loads it for the native core.

The wheel neither contains libmujoco nor names it: `_core` leaves MuJoCo's functions undefined, and
the library of the installed `mujoco-core` package, any patch release of MuJoCo 4.0, is put into
the process's global scope before `_core` is loaded.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import os
import pathlib
import re

_NEEDED = (4, 0)
_INSTALL = "pip install 'mujoco-core>=4.0,<4.1'"
_REPAIR = f"pip uninstall mujoco mujoco-core, then {_INSTALL}"
_FILE_NAME = re.compile(r"libmujoco(?:\.so)?\.(\d+)\.(\d+)(?:\.(\d+))?(?:\.dylib)?")

Version = tuple[int, int, int]


@functools.cache
def load_mujoco() -> str:
    """Loads libmujoco and its bundled plugins, its names visible to the core; once.

    The `mujoco` Python package is not imported. If it has been, or is later, both use one library
    and the same plugins, so that a model means the same in either order.

    Returns:
        MuJoCo's version, such as "4.0.1".

    Raises:
        ImportError: MuJoCo is not installed, is not 4.0.x, or cannot be loaded; the message says
            what was found and what to install.
    """
    path, named = find_library()
    try:
        ctypes.CDLL(os.fspath(path), mode=ctypes.RTLD_GLOBAL)
    except OSError as error:
        raise ImportError(f"MuJoCo: cannot load {path}: {error}; {_REPAIR}") from error
    # Asked of the global scope, which is where `_core` looks: another MuJoCo may have come first.
    global_scope = ctypes.CDLL(None)
    global_scope.mj_version.restype = ctypes.c_int
    number = int(global_scope.mj_version())
    loaded = (number // 1_000_000, number // 1000 % 1000, number % 1000)
    if loaded != named:
        raise ImportError(
            f"MuJoCo: expected {_text(named)} from {path}, but mj_version() in this process says "
            f"{number}: another libmujoco is loaded (LD_PRELOAD?)"
        )
    for plugin in bundled_plugins(path):
        try:
            # A library registers its plugins when it is first loaded, whoever does that.
            ctypes.CDLL(os.fspath(plugin))
        except OSError as error:
            raise ImportError(f"MuJoCo: cannot load {plugin}: {error}; {_REPAIR}") from error
    return _text(loaded)


def bundled_plugins(library: pathlib.Path) -> list[pathlib.Path]:
    """The plugin libraries that `import mujoco` loads: those in the folder `plugin` beside it."""
    found = sorted((library.parent / "plugin").rglob("*"))
    return [file for file in found if file.suffix in (".so", ".dylib")]


def find_library() -> tuple[pathlib.Path, Version]:
    """The MuJoCo library of the installed `mujoco-core`, checked by its file name, not yet loaded.

    Returns:
        The library file, and the version that its name carries.

    Raises:
        ImportError: not installed, not 4.0.x, or two versions installed over one another.
    """
    found: dict[Version, pathlib.Path] = {}
    directories = package_directories()
    for directory in directories:
        for file in sorted(directory.glob("libmujoco*")):
            match = _FILE_NAME.fullmatch(file.name)
            if match:
                major, minor, patch = match.groups(default="0")
                found.setdefault((int(major), int(minor), int(patch)), file)
    if not found:
        searched = ", ".join(map(str, directories)) or "no package named mujoco"
        raise ImportError(f"MuJoCo: expected libmujoco 4.0.x, found none ({searched}); {_INSTALL}")
    if len(found) > 1:
        versions = " and ".join(_text(v) for v in sorted(found))
        where = next(iter(found.values())).parent
        raise ImportError(
            f"MuJoCo: expected one libmujoco, found {versions}, installed over one another in "
            f"{where}; {_REPAIR}"
        )
    ((version, path),) = found.items()
    if version[:2] != _NEEDED:
        raise ImportError(f"MuJoCo: expected 4.0.x, found {_text(version)} ({path}); {_REPAIR}")
    return path, version


def package_directories() -> list[pathlib.Path]:
    """The directories of the `mujoco` package, found without importing it; empty if none."""
    try:
        spec = importlib.util.find_spec("mujoco")
    except ValueError:  # a module put into sys.modules without a spec
        spec = None
    if spec is None or spec.submodule_search_locations is None:
        return []
    return [pathlib.Path(p) for p in spec.submodule_search_locations]


def _text(version: Version) -> str:
    return ".".join(map(str, version))
