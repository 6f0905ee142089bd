"""Bad input, failures of MuJoCo, states that are not finite, Ctrl-C."""

from __future__ import annotations

import dataclasses
import pathlib
import signal
import threading
import time
from typing import Any

import numpy as np
import pytest
import torch

import admrl_native.sampling.real as real
from admrl_native._native import _core
from admrl_native.families.catalogue import make_family
from admrl_native.families.declaration import Family, HealthyRange, ObsBlock
from admrl_native.families.native import native_simulation
from admrl_native.families.physics import PhysicsSettings

HOPPER = make_family("Hopper2D")


def hopper(num_envs: int = 2, num_threads: int = 1) -> _core.Simulation:
    return native_simulation(HOPPER, PhysicsSettings(), num_envs, num_threads)


def arrays(**changes: Any) -> real.PolicyArrays:
    zeros = real.PolicyArrays(
        layers=[(np.zeros((3, 11), np.float32), np.zeros(3, np.float32))],
        log_std=np.zeros(3, np.float32),
        obs_mean=np.zeros(11, np.float32),
        obs_std=np.ones(11, np.float32),
    )
    return dataclasses.replace(zeros, **changes)


def environment() -> real.RealEnvironment:
    return real.RealEnvironment(HOPPER, PhysicsSettings(), 2, 1)


@pytest.mark.parametrize(
    ("num_envs", "num_threads", "message"),
    [
        (0, 1, "num_envs: expected at least 1, got 0"),
        (-3, 1, "num_envs: expected at least 1, got -3"),
        (1, 0, "num_threads: expected at least 1, got 0"),
        (1, -1, "num_threads: expected at least 1, got -1"),
    ],
)
def test_counts(num_envs: int, num_threads: int, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        hopper(num_envs, num_threads)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_actions_that_are_not_finite(bad: float) -> None:
    native = hopper(3)
    before = native.state()
    actions = np.zeros((3, 3), np.float32)
    actions[1, 2] = bad
    message = f"^actions: expected finite values, got {bad} in environment 1$"
    with pytest.raises(ValueError, match=message):
        native.step(actions, np.zeros(2))
    np.testing.assert_array_equal(native.state(), before)


STEP_CASES: list[tuple[Any, Any, str]] = [
    (np.zeros((2, 4), np.float32), np.zeros(2),
     r"actions: expected \(N=2, A=3\) float32, got \(2, 4\) float32"),
    (np.zeros((2, 3)), np.zeros(2),
     r"actions: expected \(N=2, A=3\) float32, got \(2, 3\) float64"),
    (np.zeros((3, 2), np.float32).T, np.zeros(2), "actions: expected .* in C order"),
    ([[0.0] * 3] * 2, np.zeros(2), r"actions: expected \(N=2, A=3\) float32, got list"),
    (np.zeros((2, 3), np.float32), np.zeros(3),
     r"psi: expected \(K=2,\) float64, got \(3,\) float64"),
    (np.zeros((2, 3), np.float32), np.zeros((3, 2)),
     r"psi: expected \(N=2, K=2\) float64, got \(3, 2\) float64"),
    (np.zeros((2, 3), np.float32), np.array([0.0, np.nan]), "psi: expected finite values"),
]  # fmt: skip


@pytest.mark.parametrize(("actions", "psi", "message"), STEP_CASES)
def test_step_arguments(actions: Any, psi: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        hopper().step(actions, psi)


def test_reset_arguments() -> None:
    native = hopper()
    with pytest.raises(ValueError, match=r"seed: expected an integer in \[0, 2\*\*64\), got -1"):
        native.reset(-1)
    with pytest.raises(ValueError, match=r"seed: expected an integer in \[0, 2\*\*64\)"):
        native.reset(2**64)
    with pytest.raises(ValueError, match=r"mask: expected \(N=2,\) bool, got \(3,\) bool"):
        native.reset(mask=np.ones(3, bool))
    with pytest.raises(ValueError, match="mask: expected None when a seed is given"):
        native.reset(1, np.ones(2, bool))
    with pytest.raises(ValueError, match="n: expected at least 1, got 0"):
        native.initial_observations(0, 1)


POLICY_CASES: list[tuple[dict[str, Any], str]] = [
    ({"log_std": np.zeros(2, np.float32)},
     r"policy: log_std: expected \(A=3,\) float32, got \(2,\)"),
    ({"obs_std": np.zeros(11, np.float32)}, "policy: obs_std: expected positive values"),
    ({"obs_mean": np.full(11, np.nan, np.float32)}, "policy: obs_mean: expected finite values"),
    ({"layers": [(np.full((3, 11), np.inf, np.float32), np.zeros(3, np.float32))]},
     r"policy: layers\[0\] weight: expected finite values"),
    ({"layers": [(np.zeros((3, 11)), np.zeros(3, np.float32))]},
     r"policy: layers\[0\] weight: expected .* float32, got .* float64"),
    ({"layers": [(np.zeros((3, 9), np.float32), np.zeros(3, np.float32))],
      "obs_mean": np.zeros(9, np.float32), "obs_std": np.ones(9, np.float32)},
     r"policies\[0\]: expected inputs D \+ C=11 \+ 0, of the family and the contexts, got 9"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "message"), POLICY_CASES)
def test_policies_that_do_not_fit(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        environment().rollout(arrays(**changes), 5, seed=0, psi=[0.0, 1.2])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_steps": 0}, "num_steps: expected at least 1, got 0"),
        ({"seed": -1}, "seed: expected"),
        ({"psi": [0.0]}, r"psi: expected \(K=2,\) float64, got \(1,\)"),
        ({"ou_sigma": -0.1}, "ou_sigma: expected a finite number >= 0"),
        ({"ou_theta": np.nan}, "ou_theta: expected a finite number >= 0"),
    ],
)
def test_rollout_arguments(options: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"num_steps": 5, "seed": 0, "psi": [0.0, 1.2], **options}
    with pytest.raises(ValueError, match=message):
        environment().rollout(arrays(), **arguments)


def squashed(in_dim: int = 11, out_dim: int = 6, **changes: Any) -> real.SquashedPolicyArrays:
    zeros = real.SquashedPolicyArrays(
        layers=[(np.zeros((out_dim, in_dim), np.float32), np.zeros(out_dim, np.float32))],
        obs_mean=np.zeros(in_dim, np.float32),
        obs_std=np.ones(in_dim, np.float32),
        log_std_low=-20.0,
        log_std_high=2.0,
    )
    return dataclasses.replace(zeros, **changes)


MANY_CASES: list[tuple[Any, dict[str, Any], str]] = [
    ([], {}, "policies: expected at least one"),
    ([arrays(), squashed()], {},
     r"policies\[1\]: expected PolicyArrays as policies\[0\], got SquashedPolicyArrays"),
    ([arrays(), arrays()], {}, "policy_of_env: expected, as there are 2 policies, got None"),
    (arrays(), {"policy_of_env": [0, 0, 0]},
     r"policy_of_env: expected \(N=2,\) int32, got \(3,\) int32"),
    (arrays(), {"policy_of_env": [0.0, 0.0]},
     "policy_of_env: expected integers, got torch.float32"),
    ([arrays(), arrays()], {"policy_of_env": [1, 2]},
     r"policy_of_env: expected values in \[0, 2\), got 2 in environment 1"),
    ([arrays(), arrays()], {"policy_of_env": [-1, 0]},
     r"policy_of_env: expected values in \[0, 2\), got -1 in environment 0"),
    ([arrays(), arrays()], {"policy_of_env": [0, 2**32]},
     r"policy_of_env: expected values in \[0, 2\), got 2147483647 in environment 1"),
    (arrays(), {"contexts": torch.zeros(2, 3)},
     r"policies\[0\]: expected inputs D \+ C=11 \+ 3, of the family and the contexts, got 11"),
    (squashed(14), {}, r"policies\[0\]: expected inputs D \+ C=11 \+ 0, .* got 14"),
    (squashed(14), {"contexts": torch.zeros(3, 3)},
     r"contexts: expected \(N=2, C\) float32, got \(3, 3\) float32"),
    (squashed(14), {"contexts": torch.zeros(2)},
     r"contexts: expected \(N=2, C\) float32, got \(2,\) float32"),
    (squashed(14), {"contexts": torch.tensor([[0.0, 0.0, 0.0], [0.0, float("nan"), 0.0]])},
     "contexts: expected finite values, got nan in environment 1"),
    (squashed(), {"ou_sigma": 0.3},
     "ou_sigma: expected 0, as squashed policies take no exploration noise, got 0.3"),
    (squashed(out_dim=5), {}, "policy: layers: expected 2 A outputs, mean and log_std, got 5"),
    (squashed(out_dim=4), {}, r"policies\[0\]: expected A=3 as the family has, got 2"),
    (squashed(log_std_low=3.0), {}, "policy: log_std_low: expected a finite number below a finite"),
    (squashed(log_std_high=np.inf), {}, "policy: log_std_low: expected a finite number below"),
    (squashed(obs_std=np.zeros(11, np.float32)), {}, "policy: obs_std: expected positive values"),
]  # fmt: skip


@pytest.mark.parametrize(("policies", "options", "message"), MANY_CASES)
def test_many_policies_that_do_not_fit(
    policies: Any, options: dict[str, Any], message: str
) -> None:
    env = environment()
    before = env.simulation.state()
    with pytest.raises(ValueError, match=message):
        env.rollout(policies, 5, seed=0, psi=[0.0, 1.2], **options)
    np.testing.assert_array_equal(env.simulation.state(), before)  # before any work


def test_native_rollout_takes_policies_only() -> None:
    with pytest.raises(ValueError, match=r"policies\[0\]: expected PolicyArrays or Squashed"):
        hopper().rollout(policies=[None], num_steps=1, seed=0, psi=np.zeros(2))  # type: ignore[list-item]
    with pytest.raises(ValueError, match=r"policy_of_env: expected \(N=2,\) int32, got .* int64"):
        hopper().rollout(
            policies=[arrays().native()],
            num_steps=1,
            seed=0,
            psi=np.zeros(2),
            policy_of_env=np.zeros(2, np.int64),  # type: ignore[arg-type]
        )


def test_a_squashed_policy_that_overflows() -> None:
    """It is not taken for an action at the bound."""
    huge = [
        (np.full((2, 11), 1.0, np.float32), np.full(2, 100.0, np.float32)),
        (np.full((6, 2), 3e38, np.float32), np.zeros(6, np.float32)),
    ]
    message = "policy: the action is not finite in environment 0, step 0"
    with pytest.raises(ValueError, match=message):
        environment().rollout(squashed(layers=huge), 5, seed=0, psi=[0.0, 1.2])


def test_a_policy_that_overflows() -> None:
    huge = [
        (np.full((2, 11), 1.0, np.float32), np.full(2, 100.0, np.float32)),
        (np.full((3, 2), 3e38, np.float32), np.zeros(3, np.float32)),
    ]
    message = "policy: the action is not finite in environment 0, step 0"
    with pytest.raises(ValueError, match=message):
        environment().rollout(arrays(layers=huge), 5, seed=0, psi=[0.0, 1.2])


def test_states_that_are_not_finite() -> None:
    """They end the episode, with nothing learned from the transition; the next episode is sound."""
    physics = PhysicsSettings(reset_velocity_noise=1e200)
    native = native_simulation(HOPPER, physics, 4, 2)
    native.reset(0)
    step = native.step(np.zeros((4, 3), np.float32), np.array([0.0, 1.2]))
    broken = ~np.isfinite(step["next_obs"]).all(1)
    assert broken.any()
    assert step["dones"][broken].all()
    for key in ("rewards", "base_rewards", "reward_grads"):
        assert (step[key][broken] == 0).all()
    native.reset(mask=broken)
    assert np.isfinite(native.observations()).all()


# A box on a vertical slide; memory for a few contacts only, so that reaching the ground makes
# MuJoCo's allocator raise inside mj_step.
BOX = """
<mujoco>
  <size memory="{memory}"/>
  <worldbody>
    <geom type="plane" size="5 5 .1"/>
    <body pos="0 0 .3">
      <joint name="z" type="slide" axis="0 0 1"/>
      <geom type="box" size=".1 .1 .1" mass="1"/>
    </body>
  </worldbody>
  <actuator><motor joint="z" gear="30" ctrllimited="true" ctrlrange="-1 1"/></actuator>
</mujoco>
"""


def box_family(path: pathlib.Path, memory: int = 100_000, **changes: Any) -> Family:
    path.write_text(BOX.format(memory=memory), encoding="utf-8")
    family = Family(
        name="Box",
        model=str(path),
        act_dim=1,
        obs_blocks=(ObsBlock("qpos", 0, 1), ObsBlock("qpos_rate", 0, 1)),
        task_names=("height",),
        task_low=(0.0,),
        task_high=(2.0,),
        form="abs",
        features=(0,),
        coefficients=(2.0,),
        bonus=1.0,
        healthy=(HealthyRange((0,), high=50.0),),
    )
    return dataclasses.replace(family, **changes)


def box_that_fails_on_the_ground(path: pathlib.Path) -> _core.Simulation:
    """The box with an amount of memory that suffices in the air and not on the ground."""
    physics = PhysicsSettings(reset_position_noise=0.0, horizon=10_000)
    for memory in range(1000, 20_000, 250):
        native = native_simulation(box_family(path, memory), physics, 3, 2)
        try:
            native.step(np.ones((3, 1), np.float32), np.zeros(1))
        except _core.SimulationError:
            continue
        native.reset(0)
        try:
            for _ in range(400):
                native.step(np.full((3, 1), -1, np.float32), np.zeros(1))
        except _core.SimulationError:
            native.reset(0)
            return native
    raise AssertionError("no amount of memory makes MuJoCo raise on the ground")


def test_mujoco_errors_name_their_environments(
    tmp_path: pathlib.Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Real errors of mj_step: the failed keep their state, the others go on."""
    native = box_that_fails_on_the_ground(tmp_path / "box.xml")
    actions = np.array([[1], [-1], [1]], np.float32)
    for _ in range(400):
        before = native.state()
        try:
            native.step(actions, np.zeros(1))
        except _core.SimulationError as error:
            failure = error
            break
    else:
        raise AssertionError("environment 1 never fell")
    assert failure.env_ids == [1]
    message = str(failure)
    assert message.startswith(
        "MuJoCo raised an error in 1 of 3 environments (1), which kept the state they had before "
        "the call; environment 1: mj_stackAlloc"
    )
    assert "\n" not in message
    after = native.state()
    np.testing.assert_array_equal(after[1], before[1])
    assert (after[[0, 2]] != before[[0, 2]]).any(1).all()
    # The failed environment can be reset and goes on.
    native.reset(mask=np.array([False, True, False]))
    native.step(np.ones((3, 1), np.float32), np.zeros(1))
    capfd.readouterr()  # MuJoCo's own warnings about memory


def test_mujoco_errors_in_a_rollout(
    tmp_path: pathlib.Path, capfd: pytest.CaptureFixture[str]
) -> None:
    native = box_that_fails_on_the_ground(tmp_path / "box.xml")
    before, seen = native.state(), native.observations()
    policy = _core.PolicyArrays(
        [(np.zeros((1, 2), np.float32), np.full(1, -1, np.float32))],
        np.full(1, -3, np.float32),
        np.zeros(2, np.float32),
        np.ones(2, np.float32),
    )
    with pytest.raises(_core.SimulationError, match="3 of 3 environments") as caught:
        native.rollout(policies=[policy], num_steps=400, seed=1, psi=np.zeros(1))
    assert caught.value.env_ids == [0, 1, 2]
    np.testing.assert_array_equal(native.state(), before)
    np.testing.assert_array_equal(native.observations(), seen)
    capfd.readouterr()


def test_a_users_own_robot(tmp_path: pathlib.Path) -> None:
    family = box_family(tmp_path / "box.xml")
    assert Family.from_dict(family.to_dict()) == family
    env = real.RealEnvironment(family, PhysicsSettings(horizon=50), 3, 2)
    policy = real.PolicyArrays(
        [(np.zeros((1, 2), np.float32), np.full(1, 2, np.float32))],
        np.zeros(1, np.float32),
        np.zeros(2, np.float32),
        np.ones(2, np.float32),
    )
    t = env.rollout(policy, 10, seed=0, psi=[1.5], deterministic=True)
    assert t.obs.shape == (3, 10, 2)
    assert (t.actions == 2).all()  # as the policy gave it; the actuator sees 1
    dt = env.simulation.timestep
    rate = (t.next_obs[..., 0] - t.obs[..., 0]).double() / dt
    # Positions of order 1 are rounded to float32 before their difference is divided by dt.
    torch.testing.assert_close(rate, t.next_obs[..., 1].double(), rtol=0, atol=2 * 1.2e-7 / dt)
    gap = t.next_obs[..., 0].double() - 1.5
    # One rounding to float32.
    torch.testing.assert_close(t.rewards.double(), 1 - 2 * gap.abs(), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"act_dim": 2}, "act_dim: expected 1, the actuators of .*box.xml, got 2"),
        (
            {"obs_blocks": (ObsBlock("qvel", 0, 2),)},
            "obs_blocks: expected stop <= 1, the size",
        ),
    ],
)
def test_families_that_do_not_fit_their_model(
    tmp_path: pathlib.Path, changes: dict[str, Any], message: str
) -> None:
    family = box_family(tmp_path / "box.xml", **changes)
    with pytest.raises(ValueError, match=message):
        native_simulation(family, PhysicsSettings(), 1, 1)


def test_models_that_do_not_load(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "box.xml"
    family = box_family(path)
    path.write_text("<mujoco><nonsense/></mujoco>", encoding="utf-8")
    with pytest.raises(ValueError, match=r"^model: cannot load .*box.xml: .*nonsense.*$"):
        native_simulation(family, PhysicsSettings(), 1, 1)
    path.write_text(BOX.format(memory=100_000).replace(' ctrllimited="true" ctrlrange="-1 1"', ""),
                    encoding="utf-8")  # fmt: skip
    with pytest.raises(ValueError, match=r"model: actuator 0 of .* has no ctrlrange"):
        native_simulation(family, PhysicsSettings(), 1, 1)
    path.unlink()
    with pytest.raises(FileNotFoundError, match="model: expected an XML file, found none at"):
        native_simulation(family, PhysicsSettings(), 1, 1)


def test_a_quaternion_has_no_rate() -> None:
    ant = dataclasses.replace(
        make_family("Ant2D"),
        obs_blocks=(ObsBlock("qpos", 0, 15), ObsBlock("qpos_rate", 0, 4)),
        features=(0, 1),
    )
    with pytest.raises(ValueError, match=r"qpos\[3\] of .*ant.xml belongs to a quaternion"):
        native_simulation(ant, PhysicsSettings(), 1, 1)


class Alarm(Exception):
    pass


def small_policy() -> _core.PolicyArrays:
    rng = np.random.default_rng(0)
    layers = [(rng.normal(size=(3, 11)).astype(np.float32), np.zeros(3, np.float32))]
    zeros, ones = np.zeros(11, np.float32), np.ones(11, np.float32)
    return _core.PolicyArrays(layers, zeros[:3], zeros, ones)


def test_signals_stop_a_long_rollout() -> None:
    """Within a second, as Ctrl-C would; the simulation can be used afterwards."""

    def raise_alarm(*_: object) -> None:
        raise Alarm

    native, policy = hopper(4, 2), small_policy()
    previous = signal.signal(signal.SIGALRM, raise_alarm)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        start = time.monotonic()
        with pytest.raises(Alarm):
            native.rollout(policies=[policy], num_steps=200_000, seed=0, psi=np.zeros(2))
        assert time.monotonic() - start < 1.3
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    native.reset(0)
    native.step(np.zeros((4, 3), np.float32), np.zeros(2))


def test_what_failed_before_a_signal_is_put_back(
    tmp_path: pathlib.Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """State, observation and all that belongs to it: the environment keeps what it had before."""

    def raise_alarm(*_: object) -> None:
        raise Alarm

    native = box_that_fails_on_the_ground(tmp_path / "box.xml")
    before, seen = native.state(), native.observations()
    up, down = (
        _core.PolicyArrays(
            [(np.zeros((1, 2), np.float32), np.full(1, push, np.float32))],
            np.full(1, -9, np.float32), np.zeros(2, np.float32), np.ones(2, np.float32),
        )
        for push in (1, -1)
    )  # fmt: skip
    previous = signal.signal(signal.SIGALRM, raise_alarm)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.5)
        with pytest.raises(Alarm):
            native.rollout(
                policies=[up, down], num_steps=5_000_000, seed=1, psi=np.zeros(1),
                policy_of_env=np.array([0, 1, 0], np.int32),
            )  # fmt: skip
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    np.testing.assert_array_equal(native.state()[1], before[1])
    np.testing.assert_array_equal(native.observations()[1], seen[1])
    assert (native.state()[[0, 2]] != before[[0, 2]]).any(1).all()
    capfd.readouterr()


def test_other_threads_run_meanwhile() -> None:
    """The GIL is released, and calls from two threads take turns."""
    native, policy = hopper(4, 1), small_policy()
    ticks = 0
    stop = threading.Event()

    def count() -> None:
        nonlocal ticks
        while not stop.is_set():
            ticks += 1
            time.sleep(0.001)

    def rollout(num_steps: int, seed: int) -> Any:
        return native.rollout(policies=[policy], num_steps=num_steps, seed=seed, psi=np.zeros(2))

    results: list[Any] = []
    counter = threading.Thread(target=count)
    other = threading.Thread(target=lambda: results.append(rollout(500, 1)))
    counter.start()
    other.start()
    rollout(5_000, 0)  # some tenths of a second
    seen = ticks
    stop.set()
    counter.join()
    other.join()
    assert seen > 20
    alone = rollout(500, 1)
    assert all(np.array_equal(alone[name], x) for name, x in results[0].items())


def test_errors_of_mujoco_are_python_errors() -> None:
    assert issubclass(_core.SimulationError, RuntimeError)
    assert issubclass(_core.SolverError, RuntimeError)
