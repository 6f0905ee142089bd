"""Finding, checking and loading the installed libmujoco."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

from admrl_native import _mujoco


def install(monkeypatch: pytest.MonkeyPatch, directory: pathlib.Path, *names: str) -> None:
    """Makes `directory` the `mujoco` package, with empty files of these names in it."""
    for name in names:
        (directory / name).touch()
    spec = importlib.machinery.ModuleSpec("mujoco", None, is_package=True)
    assert spec.submodule_search_locations is not None
    spec.submodule_search_locations.append(str(directory))
    monkeypatch.setattr(importlib.util, "find_spec", {"mujoco": spec}.__getitem__)


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("libmujoco.so.4.0.0", (4, 0, 0)),
        ("libmujoco.so.4.0.17", (4, 0, 17)),
        ("libmujoco.4.0.1.dylib", (4, 0, 1)),
    ],
)
def test_any_patch_release_of_4_0_is_accepted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path, name: str, version: _mujoco.Version
) -> None:
    install(monkeypatch, tmp_path, name, "libmujoco_plugin.so", "__init__.py")
    assert _mujoco.find_library() == (tmp_path / name, version)


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("libmujoco.so.3.17.0", "3.17.0"),
        ("libmujoco.so.4.1.0", "4.1.0"),
        ("libmujoco.so.40.0.1", "40.0.1"),
        ("libmujoco.3.2.7.dylib", "3.2.7"),
    ],
)
def test_another_version_is_refused_without_loading_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path, name: str, version: str
) -> None:
    install(monkeypatch, tmp_path, name)
    # Loading an empty file would raise OSError; the version is refused before.
    with pytest.raises(
        ImportError, match=rf"expected 4\.0\.x, found {re.escape(version)} "
    ) as info:
        _mujoco.load_mujoco.__wrapped__()
    assert str(tmp_path / name) in str(info.value)
    assert "pip install 'mujoco-core>=4.0,<4.1'" in str(info.value)


def test_two_versions_over_one_another_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    install(monkeypatch, tmp_path, "libmujoco.so.4.0.1", "libmujoco.so.3.17.0")
    with pytest.raises(ImportError, match=r"found 3\.17\.0 and 4\.0\.1, .*pip uninstall mujoco "):
        _mujoco.find_library()


def test_no_package_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"no package named mujoco.*pip install 'mujoco-core"):
        _mujoco.find_library()


def test_a_package_without_the_library_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    install(monkeypatch, tmp_path, "__init__.py")
    with pytest.raises(ImportError, match=r"found none .*pip install 'mujoco-core"):
        _mujoco.find_library()


def test_a_damaged_library_is_an_import_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    install(monkeypatch, tmp_path, "libmujoco.so.4.0.1")
    with pytest.raises(ImportError, match=r"cannot load .*libmujoco\.so\.4\.0\.1"):
        _mujoco.load_mujoco.__wrapped__()


def test_the_name_of_the_file_has_to_be_true(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    path, version = _mujoco.find_library()
    name = f"libmujoco.so.4.0.{version[2] + 1}"
    install(monkeypatch, tmp_path)
    (tmp_path / name).symlink_to(path)
    with pytest.raises(ImportError, match=r"another libmujoco is loaded"):
        _mujoco.load_mujoco.__wrapped__()


def python(code: str) -> str:
    """What a fresh interpreter prints when it runs `code`."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_loading_says_the_installed_version() -> None:
    _, version = _mujoco.find_library()
    assert _mujoco.load_mujoco() == ".".join(map(str, version))


@pytest.mark.parametrize("order", [["mujoco", "ours"], ["ours", "mujoco"]])
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/maps")
def test_beside_the_mujoco_package_one_library_is_loaded(order: list[str]) -> None:
    imports = {"mujoco": "import mujoco", "ours": "from admrl_native._native import _core"}
    out = python(
        "\n".join(imports[name] for name in order)
        + """
print(mujoco.MjModel.from_xml_string("<mujoco/>").nq, mujoco.mj_versionString())
for line in open("/proc/self/maps"):
    if "libmujoco" in line:
        print(line.split()[-1])
"""
    )
    works, *files = out.splitlines()
    path, version = _mujoco.find_library()
    assert works == "0 " + ".".join(map(str, version))
    assert set(files) == {str(path.resolve())}


def test_the_mujoco_package_is_not_imported() -> None:
    code = "import sys; from admrl_native._native import _core; print('mujoco' in sys.modules)"
    assert python(code) == "False"


@pytest.mark.skipif(sys.platform != "linux", reason="ELF")
@pytest.mark.skipif(shutil.which("readelf") is None, reason="readelf (binutils) is not installed")
def test_the_extension_does_not_name_the_library() -> None:
    from admrl_native._native import _core

    out = subprocess.run(
        ["readelf", "--dynamic", "--wide", _core.__file__],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    needed = re.findall(r"\(NEEDED\).*\[(.+)\]", out)
    assert any(name.startswith("libstdc++") for name in needed)  # the output was understood
    assert not [name for name in needed if "mujoco" in name]
    assert "RPATH" not in out
    assert "RUNPATH" not in out


def test_the_package_ships_no_library() -> None:
    package = pathlib.Path(_mujoco.__file__).parent
    assert not list(package.rglob("*libmujoco*"))
