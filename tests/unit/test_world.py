"""A run is about one robot, one declaration and one simulator, whatever happens to the files."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import shutil
from typing import Any

import numpy as np
import pytest
import yaml

import admrl_native as admrl
from admrl_native import cli
from admrl_native.activities.sweeping.folder import is_trained
from admrl_native.evaluation.settings import OracleSettings
from admrl_native.families import robot
from admrl_native.families import world as worlds
from admrl_native.families.declaration import HealthyRange, ObsBlock
from admrl_native.families.native import model_content
from admrl_native.families.physics import PhysicsSettings
from admrl_native.families.world import World
from admrl_native.settings import SettingError
from admrl_native.store.oracles import OracleCache
from robots import on_a_rail
from toy import OPTIONS

# A cart on a rail whose top is a mesh, from three files in two folders.
_MAIN = """<mujoco><compiler meshdir="parts"/><include file="parts/physics.xml"/>
<asset><mesh name="top" file="top.obj"/></asset>
<worldbody><body name="cart"><joint name="rail" type="slide" axis="1 0 0" damping="0.5"/>
<geom type="box" size="0.1 0.1 0.1" mass="1"/>
<geom type="mesh" mesh="top" contype="0" conaffinity="0"/></body></worldbody>
<actuator><motor joint="rail" gear="5" ctrlrange="-1 1"/></actuator></mujoco>"""
_PHYSICS = '<mujoco><option timestep="0.01"/></mujoco>'
_TOP = "v 0 0 0\nv {0} 0 0\nv 0 0.1 0\nv 0 0 0.1\nf 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n"


@pytest.fixture
def home(tmp_path: pathlib.Path) -> pathlib.Path:
    """The folder of the cart's files."""
    (tmp_path / "home" / "parts").mkdir(parents=True)
    (tmp_path / "home" / "cart.xml").write_text(_MAIN)
    (tmp_path / "home" / "parts" / "physics.xml").write_text(_PHYSICS)
    (tmp_path / "home" / "parts" / "top.obj").write_text(_TOP.format(0.1))
    return tmp_path / "home"


def cart(home: pathlib.Path, **changes: Any) -> admrl.Family:
    return on_a_rail("Cart", home / "cart.xml", **changes)


def train(home: pathlib.Path, out: pathlib.Path) -> admrl.Run:
    return admrl.train(cart(home), out=out, threads=1, progress=False, n_adapt=40, **OPTIONS)


EDITS = {
    "the file": ("cart.xml", "<motor joint", '<motor name="drive" joint', "names"),
    "a number of it": ("cart.xml", 'gear="5"', 'gear="6"', "actuator_gear"),
    "an included file": ("parts/physics.xml", "0.01", "0.02", "option timestep"),
    "a mesh": ("parts/top.obj", "v 0 0 0.1", "v 0 0 0.2", "mesh"),
}


def edit(home: pathlib.Path, file: str, old: str, new: str) -> None:
    text = (home / file).read_text()
    assert old in text
    (home / file).write_text(text.replace(old, new))
    later = (home / file).stat().st_mtime + 2  # MuJoCo keeps meshes by the second of their file
    os.utime(home / file, (later, later))


@pytest.mark.parametrize("what", EDITS)
def test_an_edited_robot_is_another_one(home: pathlib.Path, what: str) -> None:
    file, old, new, field = EDITS[what]
    before, was = model_content(home / "cart.xml"), robot.robot_of(cart(home))
    edit(home, file, old, new)
    assert robot.robot_of(cart(home)) != was
    assert field in robot.differing_fields(before, model_content(home / "cart.xml"), most=99)


def test_comments_and_places_make_no_other_robot(
    home: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    was = robot.robot_of(cart(home))
    shutil.copytree(home, tmp_path / "elsewhere")
    assert robot.robot_of(cart(tmp_path / "elsewhere")) == was
    monkeypatch.chdir(tmp_path)
    assert robot.robot_of(cart(pathlib.Path("elsewhere"))) == was
    edit(home, "parts/physics.xml", "<option", "<!-- slower --><option")
    assert robot.robot_of(cart(home)) == was


@pytest.mark.parametrize("what", EDITS)
def test_a_run_keeps_its_robot(home: pathlib.Path, tmp_path: pathlib.Path, what: str) -> None:
    """Edited, the source is refused where a run goes on; what else is computed is the run's own."""
    run = train(home, tmp_path / "run")
    before = run.adapt([0.3], real_samples=40)
    returns = run.evaluate(before, [0.3])
    file, old, new, _ = EDITS[what]
    edit(home, file, old, new)
    again = admrl.Run.load(tmp_path / "run", threads=1)
    adapted = again.adapt([0.3], real_samples=40)
    np.testing.assert_array_equal(again.evaluate(adapted, [0.3]), returns)
    with pytest.raises(SettingError, match=r"resume: expected .*cart.xml as .* differ; restore it"):
        admrl.resume(tmp_path / "run", progress=False)


def test_a_run_that_moves_needs_nothing_else(home: pathlib.Path, tmp_path: pathlib.Path) -> None:
    run = train(home, tmp_path / "run")
    returns = run.evaluate(run.adapt([0.3]), [0.3])
    shutil.rmtree(home)
    (tmp_path / "run").rename(tmp_path / "moved")
    moved = admrl.resume(tmp_path / "moved", threads=1, progress=False)
    np.testing.assert_array_equal(moved.evaluate(moved.adapt([0.3]), [0.3]), returns)


def test_a_copy_that_was_edited_is_refused(
    home: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(home, tmp_path / "run")
    edit(tmp_path / "run" / "robot", "cart.xml", 'gear="5"', 'gear="6"')
    for command in ("evaluate", "check-gradient"):
        assert cli.main([command, str(tmp_path / "run")]) == 2
        assert "robot/cart.xml as it was copied into the run" in capsys.readouterr().err
    assert cli.main(["train", "--resume", str(tmp_path / "run")]) == 2
    assert "robot/cart.xml as it was copied into the run" in capsys.readouterr().err


def test_files_named_by_absolute_paths_are_refused(
    home: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    edit(home, "cart.xml", 'file="top.obj"', f'file="{home / "parts" / "top.obj"}"')
    with pytest.raises(SettingError, match=r"expected files named relative to .*cart.xml"):
        train(home, tmp_path / "run")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (
            "mujoco",
            "4.0.99",
            r"expected MuJoCo 4\.0\.99 as the run began with, found 4\.0\.\d+; pip",
        ),
        ("rules", 1, "expected rules 1 of the simulation as the run began with"),
    ],
)
def test_another_simulator_is_refused(
    home: pathlib.Path, tmp_path: pathlib.Path, key: str, value: Any, message: str
) -> None:
    train(home, tmp_path / "run")
    config = tmp_path / "run" / "config.yaml"
    values = yaml.safe_load(config.read_text())
    values["world"][key] = value
    config.write_text(yaml.safe_dump(values))
    with pytest.raises(SettingError, match=message):
        admrl.Run.load(tmp_path / "run")


OTHER: dict[str, Any] = {
    "act_dim": 1,
    "obs_blocks": (ObsBlock("qpos", 0, 1), ObsBlock("qvel", 0, 1, clip=9.0)),
    "task_names": ("speed",),
    "task_low": (-2.0,),
    "task_high": (2.0,),
    "form": "linear",
    "features": (0,),
    "coefficients": (2.0,),
    "offset": (0.1,),
    "scale": (2.0,),
    "control_cost": 0.1,
    "bonus": 1.0,
    "healthy": (HealthyRange((0,), low=-9.0),),
    "halve_margins": True,
    "reset_within_limits": False,
}


@pytest.mark.parametrize("name", [f.name for f in dataclasses.fields(admrl.Family)])
def test_every_field_of_a_declaration_counts(home: pathlib.Path, name: str) -> None:
    if name in ("name", "model", "act_dim"):  # the group, the place, and part of the robot
        return
    physics = PhysicsSettings()
    ours = World.of(cart(home), physics)
    theirs = World.of(cart(home, **{name: OTHER[name]}), physics)
    difference = ours.difference(theirs)
    assert difference is not None
    assert difference.startswith(f"{name} ")
    assert ours.digest() != theirs.digest()


def test_the_oracle_of_another_robot_is_not_found(
    home: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cache() -> str:
        return OracleCache(tmp_path, cart(home), PhysicsSettings(), OracleSettings()).key([0.3])

    was = cache()
    assert cache() == was
    monkeypatch.setattr(worlds, "load_mujoco", lambda: "4.0.99")
    assert cache() != was
    monkeypatch.undo()
    edit(home, "cart.xml", 'gear="5"', 'gear="6"')
    assert cache() != was


def test_a_report_and_a_sweep_refuse_another_robot(
    home: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(home, tmp_path / "a")
    edit(home, "cart.xml", 'gear="5"', 'gear="6"')
    options = {"seed": 1, "threads": 1, "progress": False, "n_adapt": 40, **OPTIONS}
    b = admrl.train(cart(home), out=tmp_path / "b", **options)
    runs = [str(tmp_path / name) for name in "ab"]
    assert cli.main(["report", *runs, "--out", str(tmp_path / "report")]) == 2
    assert "expected one Cart, but" in (error := capsys.readouterr().err)
    assert "differ: robot" in error
    config = dataclasses.replace(b.config, seed=0, family=cart(home))
    with pytest.raises(SettingError, match=r"expected Cart as in .* robot .*; choose another"):
        is_trained(tmp_path / "a", config)


def test_a_folder_of_format_1_can_be_read(
    home: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(home, tmp_path / "run")
    config = tmp_path / "run" / "config.yaml"
    values = yaml.safe_load(config.read_text())
    del values["world"]
    config.write_text(yaml.safe_dump(values | {"format": 1}))
    shutil.rmtree(tmp_path / "run" / "robot")
    report = tmp_path / "report"
    assert cli.main(["report", str(tmp_path / "run"), "--out", str(report)]) == 0
    stored = json.loads((report / "report.json").read_text())
    assert stored["families"][0]["runs"][0]["robot"] == "not recorded"
    for command in (["evaluate"], ["check-gradient"], ["train", "--resume"]):
        capsys.readouterr()
        assert cli.main([*command, str(tmp_path / "run")]) == 2
        assert "which does not hold its robot" in capsys.readouterr().err
