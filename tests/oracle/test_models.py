"""What counts of a model's file: its joints at reset, its margins, its plugins; what is said."""

from __future__ import annotations

import ctypes
import dataclasses
import pathlib
import subprocess
import sys
import threading
from typing import Any

import mujoco
import numpy as np
import pytest

from admrl_native._mujoco import bundled_plugins, find_library
from admrl_native.families.catalogue import FAMILIES, make_family
from admrl_native.families.declaration import Family
from admrl_native.families.native import native_simulation
from admrl_native.families.physics import PhysicsSettings
from robots import whole_state


def family_of(path: pathlib.Path, xml: str, **changes: Any) -> Family:
    """All of qpos and qvel of a model, which is written to the path."""
    path.write_text(xml, encoding="utf-8")
    return whole_state(path, **changes)


# Resets

_JOINTS = """
<mujoco>
  <compiler angle="radian"/>
  <worldbody>
    <body><freejoint/><geom size=".1"/></body>
    <body pos="1 0 0"><joint type="ball" range="0 0.2" limited="true"/><geom size=".1"/></body>
    <body pos="2 0 0"><joint type="ball"/><geom size=".1"/></body>
    <body pos="3 0 0"><joint type="slide" axis="1 0 0" range="0 0.04" limited="true"/>
      <geom size=".1"/>
      <body pos="0 0 1"><joint name="h" type="hinge" range="0.5 0.6" limited="true"/>
        <geom size=".1" pos=".3 0 0"/></body>
      <body pos="0 0 2"><joint type="hinge"/><geom size=".1" pos=".3 0 0"/></body>
    </body>
  </worldbody>
  <actuator><motor joint="h" ctrllimited="true" ctrlrange="-1 1"/></actuator>
</mujoco>
"""
_QUATERNIONS = {"free": slice(3, 7), "limited ball": slice(7, 11), "ball": slice(11, 15)}
_SLIDE, _HINGE, _FREE_HINGE = 15, 16, 17


def _reset_positions(family: Family, noise: float) -> Any:
    native = native_simulation(family, PhysicsSettings(reset_position_noise=noise), 200, 2)
    native.reset(5)
    first = native.state()[:, 1:19]
    native.reset()
    return np.concatenate([first, native.state()[:, 1:19]])


@pytest.mark.parametrize("noise", [0.0, 0.03, 0.5, 30.0])
def test_resets_obey_the_joints(tmp_path: pathlib.Path, noise: float) -> None:
    family = family_of(tmp_path / "joints.xml", _JOINTS)
    free = dataclasses.replace(family, reset_within_limits=False)
    bound, unbound = _reset_positions(family, noise), _reset_positions(free, noise)
    for q in (bound, unbound):
        for part in _QUATERNIONS.values():
            # Rounding of four squares and a root.
            np.testing.assert_allclose(np.linalg.norm(q[:, part], axis=1), 1, rtol=0, atol=1e-15)
    for joint, low, high in ((_SLIDE, 0.0, 0.04), (_HINGE, 0.5, 0.6)):
        np.testing.assert_array_equal(bound[:, joint], unbound[:, joint].clip(low, high))
    for part in (slice(0, 3), _QUATERNIONS["free"], _QUATERNIONS["ball"], _FREE_HINGE):
        np.testing.assert_array_equal(bound[:, part], unbound[:, part])
    quaternion = bound[:, _QUATERNIONS["limited ball"]]
    before = unbound[:, _QUATERNIONS["limited ball"]]
    angle = 2 * np.arctan2(np.linalg.norm(quaternion[:, 1:], axis=1), abs(quaternion[:, 0]))
    was = 2 * np.arctan2(np.linalg.norm(before[:, 1:], axis=1), abs(before[:, 0]))
    # Some roundings of an angle.
    np.testing.assert_allclose(angle, np.minimum(was, 0.2), rtol=0, atol=1e-14)
    np.testing.assert_array_equal(quaternion[was < 0.2], before[was < 0.2])
    turned = was > 0.2
    assert turned.any() == (noise >= 0.5)
    axis, axis_before = (
        x[turned, 1:] / np.linalg.norm(x[turned, 1:], axis=1, keepdims=True)
        for x in (quaternion, before * np.where(before[:, :1] < 0, -1, 1))
    )
    np.testing.assert_allclose(axis, axis_before, rtol=0, atol=1e-12)
    native = native_simulation(family, PhysicsSettings(reset_position_noise=noise), 3, 1)
    native.reset(9)
    np.testing.assert_array_equal(native.initial_observations(3, 9), native.observations())


def test_ant_begins_with_a_unit_quaternion() -> None:
    for name in ("Ant2D", "Ant3D"):
        native = native_simulation(make_family(name), PhysicsSettings(), 300, 1)
        native.reset(0)
        length = np.linalg.norm(native.observations()[:, 3:7].astype(np.float64), axis=1)
        # Four roundings to float32.
        np.testing.assert_allclose(length, 1, rtol=0, atol=1e-7)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_papers_robots_begin_where_the_authors_did(name: str) -> None:
    """Beyond their joints' limits, too; quaternions apart, the noise is added and nothing else."""
    family = make_family(name)
    assert (family.halve_margins, family.reset_within_limits) == (True, False)
    native = native_simulation(family, PhysicsSettings(), 200, 1)
    m = mujoco.MjModel.from_xml_path(str(family.model_path()))
    native.reset(0)
    offset = native.state()[:, 1 : 1 + m.nq] - m.qpos0
    scalar = [m.jnt_qposadr[j] for j in range(m.njnt) if m.jnt_type[j] >= 2]
    assert abs(offset[:, scalar]).max() <= 0.1 + 1e-15
    limited = [j for j in range(m.njnt) if m.jnt_limited[j]]
    q = native.state()[:, 1:][:, m.jnt_qposadr[limited]]
    outside = (q < m.jnt_range[limited, 0]) | (q > m.jnt_range[limited, 1])
    assert outside.any() == (name != "Cheetah-Highdim")


# Margins

_MARGINS = """
<mujoco>
  <option timestep="0.005"/>
  <worldbody>
    <geom type="plane" size="5 5 .1" margin="{plane}"/>
    <body pos="0 0 .12">
      <joint name="z" type="slide" axis="0 0 1"/><joint type="hinge" axis="0 1 0"/>
      <geom size=".1" margin="{ball}" solref="0.05 0.5"/>
    </body>
  </worldbody>
  <actuator><motor joint="z" ctrllimited="true" ctrlrange="-1 1"/></actuator>
</mujoco>
"""


@pytest.mark.parametrize(("plane", "ball"), [(0.01, 0.01), (0.02, 0.0), (0.003, 0.05)])
@pytest.mark.parametrize("halve", [False, True])
def test_margins_are_the_files_unless_the_family_says_otherwise(
    tmp_path: pathlib.Path, plane: float, ball: float, halve: bool
) -> None:
    changes = {"halve_margins": True} if halve else {}
    family = family_of(tmp_path / "m.xml", _MARGINS.format(plane=plane, ball=ball), **changes)
    native = native_simulation(family, PhysicsSettings(reset_position_noise=0.01), 4, 1)
    native.reset(0)
    states = {}
    for factor in (1.0, 0.5):
        m = mujoco.MjModel.from_xml_path(family.model)
        m.geom_margin[:] *= factor
        d = mujoco.MjData(m)
        mujoco.mj_setState(m, d, native.state()[2], mujoco.mjtState.mjSTATE_INTEGRATION)
        for _ in range(60):
            mujoco.mj_step(m, d)
        states[factor] = np.concatenate([d.qpos, d.qvel])
    for _ in range(60):
        step = native.step(np.zeros((4, 1), np.float32), np.zeros(1))
    own, other = states[0.5 if halve else 1.0], states[1.0 if halve else 0.5]
    np.testing.assert_array_equal(step["next_obs"][2], own.astype(np.float32))
    assert (own != other).any()


# Plugins and messages

_PLUGIN = """
<mujoco>
  <extension><plugin plugin="mujoco.pid"/></extension>
  <worldbody>
    <body><joint name="j" type="hinge"/><geom size=".1" pos=".3 0 0"/></body>
  </worldbody>
  <actuator>
    <plugin plugin="mujoco.pid" joint="j" actdim="1" ctrllimited="true" ctrlrange="-1 1">
      <config key="kp" value="4"/><config key="ki" value="2"/><config key="kd" value="1"/>
    </plugin>
  </actuator>
</mujoco>
"""
_ORDERS = {
    "ours alone": "import admrl_native",
    "ours first": "import admrl_native; from admrl_native._native import _core; import mujoco",
    "mujoco first": "import mujoco; import admrl_native",
}
_RUN_PLUGIN = """
import numpy as np
from admrl_native.families.declaration import Family, ObsBlock
from admrl_native.families.native import native_simulation
from admrl_native.families.physics import PhysicsSettings
family = Family(
    name="Plugin", model="plugin.xml", act_dim=1, obs_blocks=(ObsBlock("qpos", 0, 1),),
    task_names=("x",), task_low=(0.0,), task_high=(1.0,), form="abs", features=(0,),
    coefficients=(1.0,),
)
native = native_simulation(family, PhysicsSettings(), 2, 1)
native.reset(0)
for _ in range(50):
    native.step(np.full((2, 1), 0.5, np.float32), np.zeros(1))
print(native.state()[:, 1:].tobytes().hex())
"""


def test_bundled_plugins_are_there_in_either_order(tmp_path: pathlib.Path) -> None:
    (tmp_path / "plugin.xml").write_text(_PLUGIN, encoding="utf-8")
    printed = set()
    for order in _ORDERS.values():
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", order + "\n" + _RUN_PLUGIN],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        printed.add(done.stdout)
    assert len(printed) == 1
    assert len(printed.pop()) > 32


def test_the_plugins_are_those_that_mujoco_loads() -> None:
    ours = {path.name for path in bundled_plugins(find_library()[0])}
    assert ours == {pathlib.Path(handle._name).name for handle in mujoco.PLUGIN_HANDLES}


def test_a_sleeping_model_says_what_to_change(tmp_path: pathlib.Path) -> None:
    xml = _MARGINS.format(plane=0, ball=0).replace(
        '<option timestep="0.005"/>', '<option><flag sleep="enable"/></option>'
    )
    family = family_of(tmp_path / "sleep.xml", xml)
    message = (
        r'^model: expected one that never sleeps, .*sleep\.xml; remove sleep="enable" from <op'
    )
    with pytest.raises(ValueError, match=message):
        native_simulation(family, PhysicsSettings(), 1, 1)


class _LogConfig(ctypes.Structure):
    _fields_ = (
        ("logto_console", ctypes.c_bool),
        ("logto_file", ctypes.c_bool),
        ("logfile", ctypes.c_char * 1024),
        ("topics", ctypes.c_int),
    )


_Handler = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


def test_loading_leaves_the_processs_log_as_it_was(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A warning of the model is text of ours; the handler is back; others' messages reach it."""
    monkeypatch.chdir(tmp_path)
    library = ctypes.CDLL(str(find_library()[0]))
    library.mju_getLogConfig.restype = _LogConfig
    library.mju_setLogHandler.restype = ctypes.c_void_p
    library.mju_setLogHandler.argtypes = (ctypes.c_void_p,)
    xml = _MARGINS.format(plane=0, ball=0).replace(
        "<mujoco>", '<mujoco><compiler settotalmass="2"/>'
    )
    family = family_of(tmp_path / "m.xml", xml)
    (tmp_path / "MUJOCO_LOG.TXT").unlink(missing_ok=True)  # of the loading by mujoco itself
    capfd.readouterr()
    before = library.mju_getLogConfig()
    told = []
    handler = _Handler(lambda _message: told.append(1))
    address = ctypes.cast(handler, ctypes.c_void_p).value
    previous = library.mju_setLogHandler(address)
    try:
        stop = threading.Event()

        def load() -> None:
            while not stop.is_set():
                native = native_simulation(family, PhysicsSettings(), 1, 1)
                assert "'settotalmass' is deprecated" in native.load_warning

        loader = threading.Thread(target=load)
        loader.start()
        for _ in range(200):
            library.mju_warning(b"of another thread")
        stop.set()
        loader.join()
        assert len(told) == 200
    finally:
        assert library.mju_setLogHandler(previous) == address
    after = library.mju_getLogConfig()
    for name, _ in _LogConfig._fields_:
        assert getattr(after, name) == getattr(before, name)
    # With MuJoCo's own handler: nothing on the console, and no file.
    native_simulation(family, PhysicsSettings(), 1, 1)
    assert capfd.readouterr() == ("", "")
    assert not (tmp_path / "MUJOCO_LOG.TXT").exists()
