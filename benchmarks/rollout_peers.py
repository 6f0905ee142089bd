"""The contenders of real_rollout.py: ours, MuJoCo's Python interfaces, envpool, gymnasium.

Each makes one `Contender` whose `run` advances N environments by T physics steps. All read the same
XML with its margins as loaded, except envpool, which brings its own copy and its own MuJoCo.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import functools
import multiprocessing
import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from admrl_native.families.catalogue import make_family
from admrl_native.families.declaration import Family
from admrl_native.families.physics import PhysicsSettings
from admrl_native.networks.policy import GaussianPolicy
from admrl_native.networks.settings import NetworkSettings
from admrl_native.sampling.real import PolicyArrays, RealEnvironment
from common import Contender

SEED = 1
RESET_SEED = 2  # of the states that the Python loop resets to
RESET_NOISE = 0.1  # as the families reset


@dataclasses.dataclass(frozen=True)
class Robot:
    """A robot and what each library calls it."""

    name: str
    family: str
    gymnasium: str
    envpool: str
    frame_skip: int  # of gymnasium's and envpool's environments


ROBOTS = (
    Robot("Ant", "Ant2D", "Ant-v5", "Ant-v4", 5),
    Robot("Hopper", "Hopper2D", "Hopper-v5", "Hopper-v4", 4),
    Robot("Walker", "Walker2D", "Walker2d-v5", "Walker2d-v4", 4),
    Robot("HalfCheetah", "Cheetah-Highdim", "HalfCheetah-v5", "HalfCheetah-v4", 5),
)


@dataclasses.dataclass(frozen=True)
class Case:
    """One robot, N environments, T physics steps in each, on some threads."""

    robot: Robot
    num_envs: int
    num_steps: int
    threads: int

    @property
    def work(self) -> int:
        """Physics steps of one call."""
        return self.num_envs * self.num_steps

    def family(self) -> Family:
        """The task family of the robot."""
        return make_family(self.robot.family)

    def psi(self) -> NDArray[np.float64]:
        """The task u = 0.3, (K,)."""
        family = self.family()
        low, high = np.array(family.task_low), np.array(family.task_high)
        return np.asarray(low + (0.3 + 1) / 2 * (high - low), np.float64)

    def tasks(self, n: int) -> NDArray[np.float64]:
        """n tasks drawn from Ψ, (n, K)."""
        family = self.family()
        rng = np.random.default_rng(SEED)
        return rng.uniform(family.task_low, family.task_high, (n, len(family.task_low)))


def make_policy(case: Case, hidden: int = 32, seed: int = 0) -> GaussianPolicy:
    """A policy of two hidden layers that does something: output weights are not scaled down."""
    family = case.family()
    settings = NetworkSettings(policy_hidden=(hidden, hidden), policy_output_scale=1.0)
    generator = torch.Generator().manual_seed(seed)
    return GaussianPolicy(family.obs_dim, family.act_dim, settings, generator)


class Ours:
    """The native core: closed loop, and the `mj_step` calls of the same trajectories alone."""

    def __init__(self, case: Case) -> None:
        self.case = case
        family = dataclasses.replace(case.family(), halve_margins=False)
        self.environment = RealEnvironment(family, PhysicsSettings(), case.num_envs, case.threads)
        self.simulation = self.environment.simulation
        self.policy = make_policy(case)
        self._arrays = PolicyArrays.of(self.policy)
        self._psi = torch.from_numpy(case.psi())
        self.trajectories = self.rollout()
        self.actions = self.trajectories.actions.numpy()
        self.ends = (self.trajectories.dones | self.trajectories.timeouts).numpy()
        self._replay = NativeReplay(self)

    def rollout(self, *, deterministic: bool = False) -> Any:
        """The closed-loop trajectories of the case: policy, noise, reward, ∂r/∂ψ, log π, resets."""
        return self.environment.rollout(
            self._arrays,
            self.case.num_steps,
            seed=SEED,
            psi=self._psi,
            deterministic=deterministic,
        )

    def states(self, seed: int) -> NDArray[np.float64]:
        """The reset states of a seed, rows of mjSTATE_INTEGRATION, (N, state)."""
        self.simulation.reset(seed=seed)
        return np.asarray(self.simulation.state())

    def replay(self) -> None:
        """The physics of `trajectories` and nothing else: the limit."""
        self._replay.run()

    @property
    def replayed(self) -> NDArray[np.float64]:
        """The states after `replay`, as `simulation.state()`."""
        return self._replay.states

    def contenders(self) -> list[Contender]:
        """The limit and the closed loop."""
        return [
            Contender("raw mj_step loop in C++", self.case.work, self.replay),
            Contender("ours, closed loop", self.case.work, self.rollout),
        ]


class NativeReplay:
    """The `mj_step` calls of a rollout in C++ alone (native/replay.cpp), compiled here."""

    def __init__(self, ours: Ours) -> None:
        import mujoco

        case, simulation = ours.case, ours.simulation
        self._library = replay_library()
        path = os.fspath(case.family().model_path())
        with quiet():
            model = mujoco.MjModel.from_xml_path(path)
            self._handle = self._library.replay_make(os.fsencode(path), case.num_envs, case.threads)
        assert self._handle, f"{path}: does not load"
        simulation.reset(seed=SEED)
        starts = [simulation.state()]
        for _ in range(int(ours.ends.sum(axis=1).max())):
            simulation.reset()
            starts.append(simulation.state())
        self._starts, self.states = np.stack(starts), np.empty_like(starts[0])
        low, high = model.actuator_ctrlrange.T
        actions = np.clip(ours.actions.astype(np.float64), -1, 1)
        self._controls = np.ascontiguousarray((low + high) / 2 + (high - low) / 2 * actions)
        self._ends = np.ascontiguousarray(ours.ends)
        self._sizes = (case.num_steps, PhysicsSettings().frame_skip)

    def run(self) -> None:
        """T steps of every environment; `states` are those at the end."""
        arrays = (self._controls, self._ends, self._starts, self.states)
        failed = self._library.replay_run(
            self._handle, *self._sizes, *(a.ctypes.data_as(ctypes.c_void_p) for a in arrays)
        )
        assert failed == 0, f"{failed} environments failed"


@functools.cache
def replay_library() -> ctypes.CDLL:
    """native/replay.cpp as a library; MuJoCo's is loaded already.

    Raises:
        subprocess.CalledProcessError: the compiler of $CXX, or c++, fails.
    """
    import mujoco

    source = pathlib.Path(__file__).parent / "native" / "replay.cpp"
    include = pathlib.Path(mujoco.__file__).parent / "include"
    with tempfile.TemporaryDirectory() as folder:
        library = os.path.join(folder, "replay.so")
        options = ["-std=c++20", "-O3", "-shared", "-fPIC", f"-I{include}", "-o", library]
        subprocess.run([os.environ.get("CXX", "c++"), *options, os.fspath(source)], check=True)
        loaded = ctypes.CDLL(library)
    loaded.replay_make.restype = ctypes.c_void_p
    handle, number = ctypes.c_void_p, ctypes.c_int
    loaded.replay_run.argtypes = [handle, number, number, handle, handle, handle, handle]
    return loaded


class ManyPolicies(Ours):
    """The same for one policy and one task ψ for each of B equal shares of the environments."""

    def __init__(self, case: Case, num_policies: int, hidden: int) -> None:
        self.policies = [make_policy(case, hidden, seed) for seed in range(num_policies)]
        self._several = [PolicyArrays.of(policy) for policy in self.policies]
        share = case.num_envs // num_policies
        self.policy_of_env = torch.arange(num_policies).repeat_interleave(share)
        self._psis = torch.from_numpy(case.tasks(num_policies))[self.policy_of_env]
        super().__init__(case)

    def rollout(self, *, deterministic: bool = False) -> Any:
        """The closed-loop trajectories, in one call."""
        return self.environment.rollout(
            self._several,
            self.case.num_steps,
            seed=SEED,
            psi=self._psis,
            policy_of_env=self.policy_of_env,
            deterministic=deterministic,
        )


class MuJoCo:
    """What the two interfaces of the `mujoco` package share."""

    def __init__(self, ours: Ours) -> None:
        import mujoco

        self.mujoco = mujoco
        self.ours = ours
        self.case = ours.case
        self.family = ours.case.family()
        with quiet():
            self.model = mujoco.MjModel.from_xml_path(os.fspath(self.family.model_path()))
        low, high = self.model.actuator_ctrlrange.T
        self._middle, self._half = (low + high) / 2, (high - low) / 2
        self.start = ours.states(SEED)

    def controls(self, actions: NDArray[np.float32]) -> NDArray[np.float64]:
        """Actions in [−1, 1] units (…, A) as controls (…, A)."""
        clipped = np.clip(actions.astype(np.float64), -1, 1)
        return np.asarray(self._middle + self._half * clipped)

    def observe(
        self, qpos: NDArray[np.float64], qvel: NDArray[np.float64], rate: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        """The family's observation (N, D) of positions, velocities and the rate of qpos."""
        sources = {"qpos": qpos, "qvel": qvel, "qpos_rate": rate}
        blocks = []
        for b in self.family.obs_blocks:
            block = sources[b.source][:, b.start : b.stop]
            blocks.append(block if b.clip is None else np.clip(block, -b.clip, b.clip))
        return np.concatenate(blocks, axis=1).astype(np.float32)

    def done(self, obs: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Where the family's rule ends the episode, (N,)."""
        done = np.zeros(len(obs), bool)
        for h in self.family.healthy:
            values = obs[:, list(h.indices)]
            low = -np.inf if h.low is None else h.low
            high = np.inf if h.high is None else h.high
            inside = (values >= low) & (values <= high)
            if not h.closed:
                inside = (values > low) & (values < high)
            done |= ~inside.all(axis=1)
        return done


class MuJoCoBatch(MuJoCo):
    """`mujoco.batch` stepped from Python, with a torch policy.

    It does less than ours: no reward, no gradient, no log-probability, no float64 termination test.
    """

    def __init__(self, ours: Ours) -> None:
        super().__init__(ours)
        from mujoco.batch import Batch

        case = self.case
        self.batch = Batch(self.model, case.num_envs, nthread=case.threads)
        self.qpos, self.qvel = self.batch.bind("qpos"), self.batch.bind("qvel")
        self.ctrl = self.batch.bind("ctrl")
        self._dt = self.model.opt.timestep
        self._restart = ours.states(RESET_SEED)
        # The bare network: the fastest form of the same policy (its normaliser is the identity).
        layers: list[torch.nn.Module] = []
        for layer in ours.policy.mean.layers:
            layers += [layer, torch.nn.Tanh()]
        self.network = torch.nn.Sequential(*layers[:-1])
        self._std = ours.policy.log_std.detach().exp()
        self._wants_rate = any(b.source == "qpos_rate" for b in self.family.obs_blocks)

    def reset(self) -> None:
        """Every environment to the states that ours starts from."""
        self.batch.state[:] = self.start
        torch.set_num_threads(1)  # the fastest choice for a network this small

    def step(self, actions: NDArray[np.float32]) -> NDArray[np.float32]:
        """One physics step; the next observation (N, D)."""
        before = self.qpos.copy() if self._wants_rate else self.qpos
        self.ctrl[:] = self.controls(actions)
        self.batch.step()
        rate = (self.qpos - before) / self._dt if self._wants_rate else self.qvel
        return self.observe(self.qpos, self.qvel, rate)

    def run(self) -> None:
        """The closed loop, recording observations and actions."""
        case, family = self.case, self.family
        all_obs = np.empty((case.num_steps, case.num_envs, family.obs_dim), np.float32)
        all_actions = np.empty((case.num_steps, case.num_envs, family.act_dim), np.float32)
        obs = self.observe(self.qpos, self.qvel, self.qvel)
        with torch.inference_mode():
            for t in range(case.num_steps):
                mean = self.network(torch.from_numpy(obs))
                actions = (mean + self._std * torch.randn_like(mean)).numpy()
                all_obs[t], all_actions[t] = obs, actions
                obs = self.step(actions)
                done = self.done(obs)
                if done.any():
                    self.batch.state[done] = self._restart[done]
                    obs[done] = self.observe(self.qpos[done], self.qvel[done], self.qvel[done])

    def contender(self) -> Contender:
        """Ready to be timed."""
        return Contender("mujoco.batch + torch policy", self.case.work, self.run, self.reset)


class MuJoCoRollout(MuJoCo):
    """`mujoco.rollout`, open loop: the actions of ours, no policy, no resets."""

    def __init__(self, ours: Ours) -> None:
        super().__init__(ours)
        from mujoco.rollout import Rollout

        case, mujoco = self.case, self.mujoco
        self.data = [mujoco.MjData(self.model) for _ in range(case.threads)]
        self.rollout = Rollout(nthread=case.threads if case.threads > 1 else 0)
        full = mujoco.mjtState.mjSTATE_FULLPHYSICS
        self.state = np.empty(
            (case.num_envs, case.num_steps, mujoco.mj_stateSize(self.model, full))
        )
        self._initial = np.empty((case.num_envs, self.state.shape[2]))
        self._warmstart = np.empty((case.num_envs, self.model.nv))
        for i, row in enumerate(self.start):
            mujoco.mj_setState(self.model, self.data[0], row, mujoco.mjtState.mjSTATE_INTEGRATION)
            mujoco.mj_getState(self.model, self.data[0], self._initial[i], full)
            self._warmstart[i] = self.data[0].qacc_warmstart
        self._control = self.controls(ours.actions)

    def run(self) -> None:
        """T steps of every environment."""
        self.rollout.rollout(
            self.model,
            self.data,
            self._initial,
            self._control,
            initial_warmstart=self._warmstart,
            state=self.state,
        )

    def contender(self) -> Contender:
        """Ready to be timed."""
        return Contender(
            "mujoco.rollout, open loop", self.case.work, self.run, close=self.rollout.close
        )


def envpool_contender(case: Case, frame_skip: int) -> Contender:
    """envpool, synchronous, drawn actions, no policy.

    Raises:
        ImportError: envpool is not installed.
    """
    import envpool

    with quiet():
        pool = envpool.make(
            case.robot.envpool,
            "gymnasium",
            num_envs=case.num_envs,
            num_threads=case.threads,
            frame_skip=frame_skip,
            reset_noise_scale=RESET_NOISE,
            seed=SEED,
        )
    steps = case.num_steps // frame_skip
    actions = _drawn_actions(case, steps, pool.action_space).astype(np.float64)
    counter = _PhysicsSteps(case.num_envs, frame_skip)

    def run() -> None:
        counter.begin()
        for action in actions:
            counter.ends.append(pool.step(action)[2:4])

    name = f"envpool, frame skip {frame_skip}"
    work = steps * frame_skip * case.num_envs
    return Contender(name, work, run, pool.reset, pool.close, counter.total)


class _PhysicsSteps:
    """Counts physics steps where the step after the end of an episode resets and steps nothing."""

    def __init__(self, num_envs: int, frame_skip: int) -> None:
        self._num_envs, self._frame_skip = num_envs, frame_skip
        self.ends: list[tuple[NDArray[np.bool_], NDArray[np.bool_]]] = []

    def begin(self) -> None:
        """Forgets the last run."""
        self.ends = []

    def total(self) -> int:
        """Physics steps since `begin`, all environments."""
        resets = sum(int((done | truncated).sum()) for done, truncated in self.ends[:-1])
        return (len(self.ends) * self._num_envs - resets) * self._frame_skip


class Gymnasium:
    """gymnasium's vector environments, "sync" or "async", drawn actions, no policy.

    The asynchronous one has a process for each environment; `threads` of a case is then the number
    of processors that they and the caller may use.

    Raises:
        ImportError: what gymnasium's MuJoCo environments need is not installed.
    """

    def __init__(self, case: Case, mode: str) -> None:
        import gymnasium

        # Forked from a clean process: this one has threads.
        extra: dict[str, Any] = {}
        if mode == "async":
            # The clean process imports once what every worker would import: this file's needs.
            multiprocessing.set_forkserver_preload(
                ["torch", "gymnasium.envs.mujoco", "admrl_native.sampling.real"]
            )
            extra["vector_kwargs"] = {"context": "forkserver"}
        try:
            with quiet():
                self.envs = gymnasium.make_vec(
                    case.robot.gymnasium,
                    num_envs=case.num_envs,
                    vectorization_mode=mode,
                    xml_file=os.fspath(case.family().model_path()),
                    frame_skip=case.robot.frame_skip,
                    reset_noise_scale=RESET_NOISE,
                    **extra,
                )
        except gymnasium.error.DependencyNotInstalled as error:
            raise ImportError(str(error)) from error
        self.mode = mode
        self._workers = [p.pid for p in getattr(self.envs, "processes", [])]

    def contender(self, case: Case) -> Contender:
        """Ready to be timed on `case.threads` processors; `close` is left to the maker."""
        steps = case.num_steps // case.robot.frame_skip
        actions = _drawn_actions(case, steps, self.envs.single_action_space)

        def prepare() -> None:
            for pid in self._workers:
                os.sched_setaffinity(pid, _processors(case.threads))
            self.envs.reset(seed=SEED)

        counter = _PhysicsSteps(case.num_envs, case.robot.frame_skip)

        def run() -> None:
            counter.begin()
            with _confined(case.threads) if self._workers else contextlib.nullcontext():
                for action in actions:
                    counter.ends.append(self.envs.step(action)[2:4])

        work = steps * case.robot.frame_skip * case.num_envs
        name = f"gymnasium {self.mode.capitalize()}"
        return Contender(name, work, run, prepare, done=counter.total)


def _drawn_actions(case: Case, steps: int, space: Any) -> NDArray[np.float32]:
    """Clipped normal actions (steps, N, A), as the policy's noise, in the bounds of a Box."""
    rng = np.random.default_rng(SEED)
    clipped = np.clip(rng.standard_normal((steps, case.num_envs, space.shape[-1])), -1, 1)
    middle, half = (space.high + space.low) / 2, (space.high - space.low) / 2
    return np.asarray(middle + half * clipped, np.float32)


def _processors(threads: int) -> set[int]:
    return set(sorted(os.sched_getaffinity(os.getpid()))[:threads])


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Output and working directory elsewhere: MuJoCo warns once per load, in a file too."""
    sys.stdout.flush()
    sys.stderr.flush()
    saved = {fd: os.dup(fd) for fd in (1, 2)}
    here = os.getcwd()
    with tempfile.TemporaryDirectory() as elsewhere, open(os.devnull, "wb") as nowhere:
        os.chdir(elsewhere)
        for fd in saved:
            os.dup2(nowhere.fileno(), fd)
        try:
            yield
        finally:
            os.chdir(here)
            for fd, kept in saved.items():
                os.dup2(kept, fd)
                os.close(kept)


@contextlib.contextmanager
def _confined(threads: int) -> Iterator[None]:
    """The calling thread on `threads` processors."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, _processors(threads))
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
