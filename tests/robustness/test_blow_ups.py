"""States that blew up: found, ended, counted, shown, and learned from by nothing."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import json
import pathlib
import re
import sys
from typing import Any

import mujoco
import numpy as np
import pytest
import torch

import admrl_native as admrl
from admrl_native.activities.evaluating.run import evaluate_run
from admrl_native.algorithms.environments import Environments
from admrl_native.algorithms.iterative import IterativeLearner
from admrl_native.algorithms.methods import METHODS
from admrl_native.algorithms.setup import Setup
from admrl_native.configuration.options import override
from admrl_native.configuration.presets import preset
from admrl_native.evaluation.oracle import learn
from admrl_native.evaluation.settings import OracleSettings
from admrl_native.families.catalogue import FAMILIES, make_family
from admrl_native.families.declaration import Family, HealthyRange
from admrl_native.families.native import native_simulation
from admrl_native.families.physics import PhysicsSettings
from admrl_native.families.start import check_start
from admrl_native.families.torch_family import TorchFamily
from admrl_native.reporting.run_summary import summarise
from admrl_native.reporting.run_table import print_table
from admrl_native.sampling import real
from admrl_native.sampling.trajectories import Trajectories
from admrl_native.settings import SettingError
from model_free import tiny_options
from robots import whole_state
from springs import PHYSICS, spring_family
from toy import OPTIONS, Memory

SOUND = 50.0  # no sound state of the springs' block is as large: 1 s at 20 m/s² from rest, |x| < 1


def actions_of(rng: np.random.Generator, num_envs: int) -> Any:
    return rng.normal(0, 0.6, (num_envs, 1)).astype(np.float32)


@pytest.mark.parametrize("frame_skip", [1, 5])
def test_against_the_definition(tmp_path: pathlib.Path, frame_skip: int) -> None:
    """MuJoCo's warnings, and jumps beyond the model's size within a step, in a plain loop."""
    family, physics = spring_family(tmp_path), PHYSICS.replace(frame_skip=frame_skip, horizon=400)
    native = native_simulation(family, physics, 4, 2)
    m = mujoco.MjModel.from_xml_path(family.model)
    m.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_AUTORESET
    d = mujoco.MjData(m)
    bad = [getattr(mujoco.mjtWarning, f"mjWARN_BAD{x}") for x in ("QPOS", "QVEL", "QACC")]
    rng = np.random.default_rng(0)
    native.reset(1)
    seen = 0
    for t in range(1000 // frame_skip):
        states = native.state()
        actions = actions_of(rng, 4) if t % 10 == 0 else actions  # noqa: F821
        step = native.step(actions, np.zeros(1))
        for i in range(4):
            mujoco.mj_setState(m, d, states[i], mujoco.mjtState.mjSTATE_INTEGRATION)
            d.ctrl[:] = np.clip(actions[i], -1, 1)
            sound = True
            for _ in range(frame_skip):
                before = d.qvel.copy()
                counts = [d.warning[w].number for w in bad]
                mujoco.mj_step(m, d)
                sound &= counts == [d.warning[w].number for w in bad]
                sound &= bool((abs(d.qvel - before) * m.opt.timestep <= m.stat.extent).all())
                sound &= bool(np.isfinite(d.qpos).all() and (abs(d.qpos) <= 1e10).all())
            assert step["excluded"][i] == (not sound)
        excluded = step["excluded"]
        seen += int(excluded.sum())
        assert step["dones"][excluded].all()
        assert not step["timeouts"][excluded].any()
        for key in ("rewards", "base_rewards", "reward_grads"):
            assert (step[key][excluded] == 0).all()
        assert (step["rewards"][~excluded] < 0).all()
        native.reset(mask=step["dones"] | step["timeouts"])
    assert 0 < seen < 100


def test_mujocos_bad_state_is_excluded_even_without_a_jump(tmp_path: pathlib.Path) -> None:
    """A position beyond MuJoCo's largest number, reached at a constant speed."""
    family = spring_family(tmp_path, free="-1e30 1e30")
    for noise, excluded in ((1e9, False), (1e11, True)):
        physics = PhysicsSettings(reset_position_noise=noise)
        native = native_simulation(family, physics, 20, 1)
        native.reset(0)
        step = native.step(np.zeros((20, 1), np.float32), np.zeros(1))
        assert step["excluded"].any() == excluded


@pytest.mark.parametrize("scale", [1e-60, 1e-38])
def test_finite_means_finite_in_float32(tmp_path: pathlib.Path, scale: float) -> None:
    """A reward that float64 can hold and the data cannot; and one that both can."""
    family = spring_family(tmp_path, scale=(scale,))
    native = native_simulation(family, PHYSICS, 5, 1)
    native.reset(0)
    step = native.step(np.ones((5, 1), np.float32), np.zeros(1))
    overflows = scale == 1e-60
    assert (step["excluded"] == overflows).all()
    assert (step["dones"] == overflows).all()
    assert np.isfinite(step["rewards"]).all()
    assert ((step["rewards"] == 0) == overflows).all()


def test_both_interpreters_call_a_state_finite_alike(tmp_path: pathlib.Path) -> None:
    family = spring_family(tmp_path)
    states = torch.tensor([[0.0, 1e38], [0.0, 1e39], [float("nan"), 0.0], [-1e39, 1.0]]).double()
    states[1, 1], states[3, 0] = 1e39, -1e39  # finite in float64 alone
    dones = TorchFamily(family).dones(states)
    assert dones.tolist() == [False, True, True, True]
    rewards = TorchFamily(family).rewards(states, torch.zeros(4, 1).double(), torch.zeros(1))
    assert (rewards == 0).tolist() == dones.tolist()
    single = TorchFamily(family).dones(states.float())
    assert single.tolist() == dones.tolist()


def test_what_follows_is_as_if_nothing_had_been(tmp_path: pathlib.Path) -> None:
    """The next episode, and the thread's other environments, have a fresh simulation's bits."""
    family = spring_family(tmp_path, free="-1e30 1e30", gear=1e30)
    native, fresh = (native_simulation(family, PHYSICS, 3, 1) for _ in range(2))
    native.reset(4)
    fresh.reset(4)
    bad, good = np.zeros((3, 1), np.float32), np.zeros((3, 1), np.float32)
    bad[0] = 1
    step = native.step(bad, np.zeros(1))
    assert step["excluded"].tolist() == [True, False, False]
    fresh.step(good, np.zeros(1))
    mask = np.array([True, False, False])
    native.reset(mask=mask)
    fresh.reset(mask=mask)
    np.testing.assert_array_equal(native.state(), fresh.state())
    for _ in range(10):
        a, b = (s.step(good, np.zeros(1)) for s in (native, fresh))
        for key, values in a.items():
            np.testing.assert_array_equal(values, b[key])
    np.testing.assert_array_equal(native.state(), fresh.state())


POLICY = real.PolicyArrays(
    [(np.array([[0.3, 0.2]], np.float32), np.zeros(1, np.float32))],
    np.full(1, -0.5, np.float32),
    np.zeros(2, np.float32),
    np.ones(2, np.float32),
)


def test_rollouts_are_the_same_at_any_number_of_threads(tmp_path: pathlib.Path) -> None:
    family = spring_family(tmp_path)
    rollouts = []
    for threads in (1, 3):
        environment = real.RealEnvironment(family, PHYSICS, 9, threads)
        rollouts.append(environment.rollout(POLICY, 200, seed=2, psi=[0.5]))
    one, three = rollouts
    for field in dataclasses.fields(one):
        assert torch.equal(getattr(one, field.name), getattr(three, field.name)), field.name
    excluded = one.excluded
    assert 0 < excluded.sum() < 0.1 * one.num_samples
    # Every state that a policy has seen is sound, and so is every state that was not excluded.
    assert one.obs.abs().max() < SOUND
    assert one.next_obs[~excluded].abs().max() < SOUND
    assert one.next_obs[excluded].abs().max() > 1e3
    assert one.dones[excluded].all()
    # Its actions, taken one by one, are its physics, blown-up states included.
    native, ends = environment.simulation, (one.dones | one.timeouts).numpy()
    native.reset(2)
    for t in range(200):
        native.step(np.ascontiguousarray(one.actions[:, t].numpy()), np.array([0.5]))
        native.reset(mask=ends[:, t].copy())
    replayed = native.observations()
    environment.rollout(POLICY, 200, seed=2, psi=[0.5])
    np.testing.assert_array_equal(replayed, native.observations())


ASSETS = pathlib.Path(str(importlib.util.find_spec("gymnasium").origin)).parent  # type: ignore[union-attr]
MODELS = sorted((ASSETS / "envs/mujoco/assets").glob("*.xml"))


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_ordinary_robots_do_not_blow_up(path: pathlib.Path) -> None:
    """gymnasium's models, with random actions and with bang-bang ones, at two frame skips."""
    m = mujoco.MjModel.from_xml_path(str(path))
    family = whole_state(path)
    rng = np.random.default_rng(0)
    for frame_skip in (1, 5):
        native = native_simulation(family, PhysicsSettings(frame_skip=frame_skip), 6, 1)
        native.reset(0)
        for t in range(150):
            actions = rng.uniform(-1, 1, (6, m.nu))
            if t % 25 == 0:
                held = np.sign(actions)
            actions[3:] = held[3:]  # of the last three environments, bang-bang
            step = native.step(actions.astype(np.float32), np.zeros(1))
            assert not step["excluded"].any()


# Learning


def settings_of(method: str) -> Any:
    changes = (
        {k: v for k, v in OPTIONS.items() if k != "horizon"}
        if METHODS[method].model_based
        else {k: v for k, v in tiny_options(method).items() if k != "horizon"}
    )
    whole = override(preset("quick", "Hopper2D"), changes)
    return dataclasses.replace(whole, physics=PHYSICS)


def learner_of(method: str, family: Family, memory: Memory) -> Any:
    return METHODS[method].learner(Setup(family, settings_of(method), 1, 1, "cpu", memory))


def learned(method: str, family: Family) -> tuple[Memory, dict[str, Any]]:
    """A whole training and an adaptation to a task: what was told, and every number learned."""
    memory = Memory()
    learner = learner_of(method, family, memory)
    learner.train()
    task = torch.tensor([0.3], dtype=torch.float64)
    n = learner.settings.schedule.n_adapt
    n = -(-n // PHYSICS.horizon) * PHYSICS.horizon
    (adaptation,) = learner.adaptations(task.unsqueeze(0), seed=3)
    adaptation.learn(n)
    policy = adaptation.policy
    base = getattr(policy, "policy", policy)
    return memory, {"state": learner.state(), "adapted": dict(base.state_dict())}


def tensors(tree: Any) -> list[torch.Tensor]:
    if isinstance(tree, torch.Tensor):
        return [tree]
    return [t for value in tree.values() for t in tensors(value)] if isinstance(tree, dict) else []


@pytest.mark.parametrize("method", [m for m in METHODS if m not in ("mb-gauss", "pearl-mt")])
def test_no_method_learns_from_it(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """Whatever an excluded step shows, the numbers learned are the same to the bit, and sound."""
    family = spring_family(tmp_path)
    rollout = real.RealEnvironment.rollout
    outcomes = []
    for shown in (float("nan"), 1e30, 0.0):
        counts = []

        def altered(*arguments: Any, shown: float = shown, **options: Any) -> Trajectories:
            t = rollout(*arguments, **options)
            counts.append(int(t.excluded.sum()))  # noqa: B023
            t.next_obs[t.excluded] = shown
            return t

        monkeypatch.setattr(real.RealEnvironment, "rollout", altered)
        memory, numbers = learned(method, family)
        assert sum(counts) > 0
        recorded = [r["excluded"] for _, r in memory.records if "excluded" in r]
        in_training = sum(recorded[-1].values())
        assert 0 < in_training <= sum(counts)
        assert set(recorded[-1]) <= set(memory.records[-1][1]["real_samples"])
        for columns in memory.stored().values():
            assert columns["next_obs"].abs().max() < SOUND
        outcomes.append(tensors(numbers))
    for other in outcomes[1:]:
        assert all(torch.equal(a, b) for a, b in zip(outcomes[0], other, strict=True))
    assert all(torch.isfinite(x).all() for x in outcomes[0])


def test_the_oracle_does_not_learn_from_it(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    family, rollout = spring_family(tmp_path), real.RealEnvironment.rollout
    settings = OracleSettings(samples=3000, batch=1000, episodes=6, window=1)
    found = []
    for shown in (float("nan"), 1e30):

        def altered(*arguments: Any, shown: float = shown, **options: Any) -> Trajectories:
            t = rollout(*arguments, **options)
            t.next_obs[t.excluded] = shown
            return t

        monkeypatch.setattr(real.RealEnvironment, "rollout", altered)
        psi = torch.tensor([0.5], dtype=torch.float64)
        found.append(learn(family, PHYSICS, psi, settings, threads=1))
    assert found[0].curves == found[1].curves
    assert all(torch.equal(v, found[1].policy[k]) for k, v in found[0].policy.items())


def test_a_resumed_learner_goes_on_counting(tmp_path: pathlib.Path) -> None:
    family, memory = spring_family(tmp_path), Memory()
    learner_of("mt-joint", family, memory).train()
    state = memory.states[0]
    assert state["counters"]["samples"]["excluded"]
    again = Memory()
    learner = learner_of("mt-joint", family, again)
    assert isinstance(learner, IterativeLearner)
    learner.load(state, {})
    learner.train()
    assert again.records[-1] == memory.records[-1]
    old = json.loads(json.dumps(state["counters"]["samples"]))
    del old["excluded"]  # of a checkpoint that was written before they were counted
    learner.environments.set_sample_counts(old)
    assert learner.environments.sample_counts()["excluded"] == {}


def test_an_episode_that_blew_up_is_neither_better_nor_worse() -> None:
    rewards = -torch.ones(4, 5)
    flags = torch.zeros(4, 5, dtype=torch.bool)
    zeros = torch.zeros(4, 5, 1)

    def returns(excluded: torch.Tensor) -> list[float]:
        kept = rewards.masked_fill(excluded, 0.0)
        return (
            Trajectories(zeros, zeros, zeros, kept, zeros, kept, excluded, flags, kept, excluded)
            .first_episode_returns()
            .tolist()
        )

    excluded = flags.clone()
    assert returns(excluded) == [-5.0] * 4
    excluded[0, 0] = True
    rewards[1] = -2.0
    assert returns(excluded) == [-20 / 3, -10.0, -5.0, -5.0]
    excluded[2, 3] = True
    assert returns(excluded) == [-7.5, -10.0, -7.5, -5.0]
    excluded[:, 1] = True
    assert returns(excluded) == [0.0, -2.0, -1.0, -1.0]


# Most of the data


def always(folder: pathlib.Path) -> Family:
    """The springs press wherever the block is reset to."""
    return spring_family(folder, free="-1e-9 1e-9")


def test_a_model_that_blows_up_at_once_is_refused_before_any_work(tmp_path: pathlib.Path) -> None:
    message = (
        r"expected a simulation that starts: model: expected a simulation that holds, but the "
        r"state blew up in 100 of 100 steps of .*springs\.xml: see its time step, .*$"
    )
    with pytest.raises(SettingError, match=message):
        admrl.train(always(tmp_path), out=tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_most_of_a_runs_data(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run in which it comes later ends with one line; what it has learned stays."""
    # |x| > 1 within the first action where |a| > 0.55: 45 % of uniform ones, 58 % of normal ones.
    family, path = spring_family(tmp_path, gear=1800), tmp_path / "run"
    options = {**OPTIONS, "frame_skip": 5, "reset_position_noise": 0.0}
    message = r"expected a simulation that holds, but the state blew up in \d+ of \d+ steps of "
    with pytest.raises(SettingError, match=message):
        admrl.train(family, out=path, progress=False, **options)
    assert not path.exists()  # nothing was learned: the next attempt is not refused

    count, calls = Environments._count, []

    def later(self: Environments, purpose: str, trajectories: Trajectories) -> None:
        calls.append(purpose)
        with contextlib.suppress(SettingError) if len(calls) < 6 else contextlib.nullcontext():
            count(self, purpose, trajectories)

    monkeypatch.setattr(Environments, "_count", later)
    with pytest.raises(SettingError, match=message):
        admrl.train(family, out=path, progress=False, **options)

    def events() -> list[str]:
        return [line["event"] for line in admrl.Run.load(path).metrics()]

    seen = events()
    assert "slbo-stage" in seen
    with pytest.raises(SettingError, match=message):
        admrl.resume(path, progress=False)
    assert events() == seen


@pytest.mark.parametrize(
    ("healthy", "said"),
    [
        ((HealthyRange((0,), low=5.0),), r"low=5\.0, high=None .* entries \[0\], .* 100 of 100"),
        (
            (HealthyRange((1,), low=-50.0), HealthyRange((0, 1), high=-30.0, closed=False)),
            r"low=None, high=-30\.0 .* entries \[0, 1\]",
        ),
    ],
)
def test_healthy_ranges_that_no_state_meets(
    tmp_path: pathlib.Path, healthy: tuple[HealthyRange, ...], said: str
) -> None:
    family = spring_family(tmp_path, healthy=healthy)
    message = f"^healthy: expected ranges that an episode can begin in, but every .* {said}"
    with pytest.raises(ValueError, match=message):
        check_start(family, PHYSICS)
    with pytest.raises(SettingError, match="expected a simulation that starts: healthy: expected"):
        admrl.train(family, out=tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", FAMILIES)
def test_the_built_in_families_begin_well(name: str) -> None:
    """Nothing is refused, and the steps that would be are none: not just fewer than half."""
    family = make_family(name)
    for frame_skip in (1, 5):
        physics = PhysicsSettings(frame_skip=frame_skip)
        check_start(family, physics)
        simulation = native_simulation(family, physics, 50, 1)
        simulation.reset(0)
        actions = np.zeros((50, family.act_dim), np.float32)
        step = simulation.step(actions, np.array(family.task_low))
        assert not step["excluded"].any()
        assert not step["dones"].all()


# What is printed


def test_mujoco_does_not_print_what_we_count(
    tmp_path: pathlib.Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    native = native_simulation(always(tmp_path), PHYSICS, 3, 2)
    native.reset(0)
    for _ in range(5):
        assert native.step(np.zeros((3, 1), np.float32), np.zeros(1))["excluded"].all()
    assert capfd.readouterr() == ("", "")
    assert not (tmp_path / "MUJOCO_LOG.TXT").exists()


def test_a_run_shows_how_many(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In the lines of the run, in its metrics, and below its table."""
    options = {**OPTIONS, "frame_skip": 5, "n_tasks": 1, "n_adapt": 40, "threads": 1}
    run = admrl.train(spring_family(tmp_path), out=tmp_path / "run", **options)
    print_table(summarise(run.path), sys.stdout)
    total = sum(run.metrics()[-1]["excluded"].values())
    assert total > 0
    *lines, last = capsys.readouterr().out.strip().splitlines()
    assert last.startswith(f"{total:,} real samples excluded, the simulation blew up (")
    assert last.endswith("); nothing was learned from them")
    shown = [x for x in lines if "real samples excluded, the simulation blew up (" in x]
    assert any("stage 1/" in x for x in shown)

    def finished() -> list[dict[str, Any]]:
        path = run.path / "evaluation/own/finished.jsonl"
        return [json.loads(x) for x in path.read_text().splitlines()[1:]]

    evaluate_run(
        run, "own", psis=[(0.5,), (-0.5,)], real_samples=(40,), oracle=None, episodes=20, threads=1
    )
    counts = [line["excluded"] for line in finished()]
    assert len(counts) == 4
    assert sum(counts) > 0
    told = re.findall(r"; ([\d,]+) real samples excluded, the simulation", capsys.readouterr().out)
    assert sum(int(x.replace(",", "")) for x in told) == sum(counts)
