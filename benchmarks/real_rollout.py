"""How fast are real rollouts? Ours, closed loop, beside the limit and every alternative.

Physics steps a second: 1 and 2 threads, 50 and 1024 environments, four robots. First it asserts
that the contenders compute the same thing, then it times them in turns. `pip install '.[bench]'`
installs the peers; one that is missing is named below the tables. The part "maml" is the sampling
of one iteration of MAML: 40 tasks with a policy each, 20 rollouts of a task, in one call.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import itertools
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

import common
from admrl_native import build_info
from common import Contender, Timing
from rollout_peers import (
    ROBOTS,
    Case,
    Gymnasium,
    ManyPolicies,
    MuJoCoBatch,
    MuJoCoRollout,
    Ours,
    Robot,
    envpool_contender,
)

LIMIT = "raw mj_step loop in C++"
OURS = "ours, closed loop"
BATCH = "mujoco.batch + torch policy"
PACKAGES = ("admrl-native", "mujoco-core", "mujoco", "numpy", "torch", "gymnasium", "envpool")

# What is asked for at 50 environments and 2 threads: (robot, other, least ratio ours/other).
TARGETS = (
    ("Ant", LIMIT, 0.90),
    ("Hopper", LIMIT, 0.90),
    ("Walker", LIMIT, 0.90),
    ("HalfCheetah", LIMIT, 0.80),
    ("Ant", BATCH, 1.25),
    ("HalfCheetah", BATCH, 1.40),
    ("Ant", "envpool, frame skip 5", 1.40),
)
MAML_HIDDEN = 100  # the size of a layer that MAML was published with for MuJoCo
MAML_LEAST = 0.85  # ours ÷ raw, at that size and 2 threads
SCALING_TOLERANCE = 0.05  # of the raw loop's gain from 1 to 2 threads


def check_replay(ours: Ours) -> None:
    """Asserts that the raw loop does the physics of ours: the same bits, resets included."""
    ours.rollout()
    after_rollout = ours.simulation.state()
    ours.replay()
    assert np.array_equal(ours.replayed, after_rollout), "raw loop: other physics"


def check_same(ours: Ours, batch: MuJoCoBatch, rollout: MuJoCoRollout) -> None:
    """Asserts that ours, the raw loop, `mujoco.batch` and `mujoco.rollout` do the same work."""
    case, trajectories = ours.case, ours.trajectories
    check_replay(ours)
    batch.reset()
    rollout.run()
    alive = np.ones(case.num_envs, bool)
    time_and_qpos = slice(1, 1 + batch.model.nq)  # a full-physics state begins with the time
    for t in range(case.num_steps):
        obs = batch.step(ours.actions[:, t])
        # Up to the first reset of an environment: the same bits again.
        expected = trajectories.next_obs[:, t].numpy()
        assert np.array_equal(obs[alive], expected[alive]), f"mujoco.batch: other physics, {t=}"
        qpos = rollout.state[:, t, time_and_qpos]
        assert np.array_equal(qpos[alive], batch.qpos[alive]), f"mujoco.rollout differs, {t=}"
        # `done` of the Python loop tests float32 observations: equal but at the very bound.
        dones = trajectories.dones[:, t].numpy()
        assert np.array_equal(batch.done(obs)[alive], dones[alive]), f"termination differs, {t=}"
        alive &= ~ours.ends[:, t]

    steady = ours.rollout(deterministic=True)
    with torch.inference_mode():
        mean = batch.network(steady.obs)
    # float32 sums of at most 35 terms in another order, twice through tanh.
    torch.testing.assert_close(steady.actions, mean, rtol=1e-4, atol=1e-5)


def check_policies(ours: ManyPolicies) -> None:
    """Asserts that every environment acts by its own policy, and that the raw loop follows."""
    check_replay(ours)
    steady = ours.rollout(deterministic=True)
    for env in range(0, ours.case.num_envs, 7):
        with torch.inference_mode():
            mean = ours.policies[int(ours.policy_of_env[env])](steady.obs[env])
        # float32 sums of at most 100 terms in another order, twice through tanh.
        torch.testing.assert_close(steady.actions[env], mean, rtol=1e-4, atol=2e-5)


def measure_maml(robot: Robot, hidden: int, options: Options) -> dict[tuple[str, int], Timing]:
    """Times the sampling of MAML and the raw loop on the same actions, in turns.

    Returns:
        The timings by (contender, threads).
    """
    named: dict[tuple[str, int], Contender] = {}
    tasks, rollouts = options.maml
    for threads in options.threads:
        case = Case(robot, tasks * rollouts, 20 if options.quick else 200, threads)
        ours = ManyPolicies(case, tasks, hidden)
        check_policies(ours)
        named |= {(c.name, threads): c for c in ours.contenders()}
    flat = [dataclasses.replace(c, name=f"{name} @{n}") for (name, n), c in named.items()]
    timings = common.interleave(flat, options.repeats)
    return {key: timings[f"{key[0]} @{key[1]}"] for key in named}


def measure(
    robot: Robot, num_envs: int, num_steps: int, options: Options, missing: dict[str, str]
) -> dict[tuple[str, int], Timing]:
    """Times every contender at every number of threads, all in turns.

    Args:
        missing: gets the contenders that cannot run here, with the reason.

    Returns:
        The timings by (contender, threads).
    """
    cases = [Case(robot, num_envs, num_steps, threads) for threads in options.threads]
    named: dict[tuple[str, int], Contender] = {}
    with contextlib.ExitStack() as stack:

        def add(case: Case, name: str, make: Callable[[], Contender]) -> None:
            try:
                contender = make()
            except ImportError as error:
                missing[name] = f"{error}; pip install '.[bench]'"
                return
            stack.callback(contender.close)
            named[contender.name, case.threads] = contender

        for case in cases:
            ours = Ours(case)
            batch, rollout = MuJoCoBatch(ours), MuJoCoRollout(ours)
            check_same(ours, batch, rollout)
            for made in (*ours.contenders(), batch.contender(), rollout.contender()):
                add(case, made.name, lambda made=made: made)  # type: ignore[misc]
            for skip in (1, robot.frame_skip):
                name = f"envpool, frame skip {skip}"
                add(case, name, lambda c=case, k=skip: envpool_contender(c, k))  # type: ignore[misc]
        for mode in ("sync", "async"):
            name = f"gymnasium {mode.capitalize()}"
            if mode == "async" and num_envs > options.async_limit:
                missing[f"{name}, {num_envs} environments"] = (
                    f"a process for each environment; --async-limit is {options.async_limit}"
                )
                continue
            try:
                peer = Gymnasium(cases[0], mode)
            except ImportError as error:
                missing[name] = f"{error}; pip install '.[bench]'"
                continue
            stack.callback(peer.envs.close)
            # The synchronous one knows no threads: it is timed once.
            for case in cases if mode == "async" else cases[:1]:
                add(case, name, lambda c=case, p=peer: p.contender(c))  # type: ignore[misc]

        flat = [dataclasses.replace(c, name=f"{name} @{n}") for (name, n), c in named.items()]
        timings = common.interleave(flat, options.repeats)
    return {key: timings[f"{key[0]} @{key[1]}"] for key in named}


def rows(timings: Mapping[tuple[str, int], Timing]) -> list[list[str]]:
    """Table rows: contender, threads, rate and quartiles, beside the limit, ours beside it."""
    out = []
    for (name, threads), timing in timings.items():
        low, high = timing.spread
        out.append(
            [
                name,
                str(threads),
                f"{timing.median:,.0f}",
                f"{low:,.0f} – {high:,.0f}",
                f"{timing.ratio(timings[LIMIT, threads]):.2f}",
                f"{timings[OURS, threads].ratio(timing):.2f}",
            ]
        )
    return out


HEADER = ("", "threads", "steps/s", "quartiles", "÷ raw", "ours ÷ it")


def judge(
    results: Mapping[tuple[str, int], Mapping[tuple[str, int], Timing]],
) -> list[dict[str, Any]]:
    """The acceptance ratios at 50 environments, as far as they were measured."""
    out: list[dict[str, Any]] = []
    for robot, other, least in TARGETS:
        timings = results.get((robot, 50), {})
        if (OURS, 2) in timings and (other, 2) in timings:
            ratio = timings[OURS, 2].ratio(timings[other, 2])
            out.append({"robot": robot, "what": f"ours ÷ {other}", "ratio": ratio, "least": least})
    for (robot, num_envs), timings in results.items():
        if num_envs == 50 and (OURS, 1) in timings and (OURS, 2) in timings:
            ours = timings[OURS, 2].ratio(timings[OURS, 1])
            limit = timings[LIMIT, 2].ratio(timings[LIMIT, 1])
            what = "gain of ours from 1 to 2 threads ÷ gain of raw"
            least = 1 - SCALING_TOLERANCE
            out.append({"robot": robot, "what": what, "ratio": ours / limit, "least": least})
    return out


def judge_maml(
    results: Mapping[tuple[str, int], Mapping[tuple[str, int], Timing]],
) -> list[dict[str, Any]]:
    """The acceptance ratios of MAML's sampling, as far as they were measured."""
    return [
        {
            "robot": robot,
            "what": f"MAML, {hidden}–{hidden} policies: ours ÷ {LIMIT}",
            "ratio": timings[OURS, 2].ratio(timings[LIMIT, 2]),
            "least": MAML_LEAST,
        }
        for (robot, hidden), timings in results.items()
        if hidden == MAML_HIDDEN and (OURS, 2) in timings
    ]


@dataclasses.dataclass(frozen=True)
class Options:
    """What the command line asks for."""

    robots: tuple[Robot, ...]
    num_envs: tuple[int, ...]
    maml_hidden: tuple[int, ...]
    threads: tuple[int, ...]
    repeats: int
    quick: bool
    async_limit: int

    @property
    def maml(self) -> tuple[int, int]:
        """Tasks, and rollouts of each."""
        return (5, 3) if self.quick else (40, 20)

    def num_steps(self, num_envs: int) -> int:
        """Physics steps in each environment: a paper episode, or as many as a turn can afford."""
        if self.quick:
            return 20  # a multiple of every frame skip
        return 200 if num_envs <= 100 else 40


def parse(argv: Sequence[str] | None) -> tuple[Options, argparse.Namespace]:
    """Reads the command line."""
    parser = common.parser(__doc__)
    names = [r.name for r in ROBOTS]
    parser.add_argument("--robots", nargs="+", choices=names, default=names)
    parser.add_argument("--num-envs", nargs="+", type=int, help="default 50 1024; 8 if --quick")
    parser.add_argument(
        "--parts", nargs="+", choices=("peers", "maml"), default=["peers", "maml"], help="all"
    )
    parser.add_argument(
        "--maml-hidden",
        nargs="+",
        type=int,
        default=[32, MAML_HIDDEN],
        help=f"sizes of the two layers of MAML's policies (default 32 {MAML_HIDDEN})",
    )
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument(
        "--async-limit",
        type=int,
        default=1024,
        help="most processes, of 13 MB each, for gymnasium's Async (default 1024)",
    )
    arguments = parser.parse_args(argv)
    num_envs = arguments.num_envs or ([8] if arguments.quick else [50, 1024])
    options = Options(
        tuple(r for r in ROBOTS if r.name in arguments.robots),
        tuple(num_envs) if "peers" in arguments.parts else (),
        tuple(arguments.maml_hidden) if "maml" in arguments.parts else (),
        tuple(arguments.threads),
        common.repeats(arguments),
        arguments.quick,
        arguments.async_limit,
    )
    return options, arguments


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the benchmark; returns the exit code."""
    options, arguments = parse(argv)
    machine = common.machine(PACKAGES)
    machine["build"] = build_info()
    for key, value in machine.items():
        print(f"{key}: {value}")
    missing: dict[str, str] = {}
    results: dict[tuple[str, int], dict[tuple[str, int], Timing]] = {}
    for robot, num_envs in itertools.product(options.robots, options.num_envs):
        num_steps = options.num_steps(num_envs)
        timings = measure(robot, num_envs, num_steps, options, missing)
        results[robot.name, num_envs] = timings
        print(
            f"\n### {robot.name}, {num_envs} environments × {num_steps} physics steps, "
            f"{options.repeats} repeats\n"
        )
        print(common.table(HEADER, rows(timings)), flush=True)
    maml: dict[tuple[str, int], dict[tuple[str, int], Timing]] = {}
    for robot, hidden in itertools.product(options.robots, options.maml_hidden):
        maml[robot.name, hidden] = timings = measure_maml(robot, hidden, options)
        tasks, rollouts = options.maml
        print(
            f"\n### {robot.name}, MAML sampling: {tasks} tasks × {rollouts} rollouts, "
            f"{hidden}–{hidden} policies, {options.repeats} repeats\n"
        )
        print(common.table(HEADER, rows(timings)), flush=True)
    for name, reason in missing.items():
        print(f"\nnot measured: {name}: {reason}")
    verdicts = [] if options.quick else [*judge(results), *judge_maml(maml)]
    for verdict in verdicts:
        verdict["met"] = verdict["ratio"] >= verdict["least"]
    if verdicts:
        lines = [
            [v["robot"], v["what"], f"{v['ratio']:.2f}", f"{v['least']:.2f}", yes_no(v["met"])]
            for v in verdicts
        ]
        print("\n" + common.table(("robot", "ratio", "measured", "at least", "met"), lines))
    if arguments.json is not None:
        figures = {
            "benchmark": "real_rollout",
            "unit": "physics steps/s",
            "machine": machine,
            "quick": options.quick,
            "missing": missing,
            "acceptance": verdicts,
            "results": [
                {
                    "robot": robot,
                    "num_envs": num_envs,
                    "num_steps": options.num_steps(num_envs),
                    "contender": name,
                    "threads": threads,
                    "timing": timing,
                }
                for (robot, num_envs), timings in results.items()
                for (name, threads), timing in timings.items()
            ],
            "maml_sampling": [
                {
                    "robot": robot,
                    "hidden": hidden,
                    "tasks": options.maml[0],
                    "rollouts": options.maml[1],
                    "contender": name,
                    "threads": threads,
                    "ratio_to_raw": timing.ratio(timings[LIMIT, threads]),
                    "timing": timing,
                }
                for (robot, hidden), timings in maml.items()
                for (name, threads), timing in timings.items()
            ],
        }
        common.write_json(arguments.json, figures)
    return 0


def yes_no(value: bool) -> str:
    """For a table."""
    return "yes" if value else "NO"


if __name__ == "__main__":
    sys.exit(main())
