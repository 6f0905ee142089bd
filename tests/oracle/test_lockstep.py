"""The native environment against a plain Python loop over mj_step, exactly.

The plain loop is written from the published description of the tasks (models, observation, reward,
termination), not from the declarations that the package interprets.
"""

from __future__ import annotations

import importlib.util
import math
import pathlib

import mujoco
import numpy as np
import pytest
from numpy.typing import NDArray

from admrl_native.families.catalogue import FAMILIES, make_family
from admrl_native.families.declaration import Family
from admrl_native.families.native import native_simulation
from admrl_native.families.physics import PhysicsSettings

Vector = NDArray[np.float64]

HORIZON = 15
NUM_ENVS = 5


class PlainEnv:
    """One environment: MuJoCo's Python bindings and the task's description, in float64."""

    xml = ""
    num_actions = 0

    def __init__(self, frame_skip: int) -> None:
        spec = importlib.util.find_spec("gymnasium")
        assert spec is not None
        assert spec.origin is not None
        assets = pathlib.Path(spec.origin).parent / "envs" / "mujoco" / "assets"
        self.m = mujoco.MjModel.from_xml_path(str(assets / self.xml))
        self.m.geom_margin[:] = 0.5 * self.m.geom_margin
        self.m.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_AUTORESET
        self.d = mujoco.MjData(self.m)
        self.frame_skip = frame_skip
        self.steps = 0

    def reset(self, state: Vector) -> None:
        mujoco.mj_setState(self.m, self.d, state, mujoco.mjtState.mjSTATE_INTEGRATION)
        self.steps = 0

    def obs(self, before: Vector | None) -> Vector:
        raise NotImplementedError

    def reward(self, o: Vector, a: Vector, psi: Vector) -> tuple[float, float, list[float]]:
        """Reward, its part without ψ, and its gradient with respect to ψ."""
        raise NotImplementedError

    def done(self, o: Vector) -> bool:
        raise NotImplementedError

    def step(self, action: NDArray[np.float32], psi: Vector) -> dict[str, object]:
        a = np.clip(action.astype(np.float64), -1, 1)
        low, high = self.m.actuator_ctrlrange.T
        self.d.ctrl[:] = (low + high) / 2 + (high - low) / 2 * a
        before = self.d.qpos.copy()
        for _ in range(self.frame_skip):
            mujoco.mj_step(self.m, self.d)
        self.steps += 1
        o = self.obs(before)
        done = not np.isfinite(o).all() or self.done(o)
        reward, base, grad = self.reward(o, a, psi)
        return {
            "next_obs": o.astype(np.float32),
            "rewards": np.float32(reward),
            "reward_grads": np.array(grad, np.float32),
            "base_rewards": np.float32(base),
            "dones": done,
            "timeouts": self.steps >= HORIZON and not done,
            "excluded": False,
        }


def squared(a: Vector) -> float:
    return sum(x * x for x in a.tolist())


def sign(x: float) -> float:
    return 0.0 if x == 0 else math.copysign(1.0, x)


class Legged(PlainEnv):
    """Hopper and Walker: −|vx − ψ1| − 5 |z − ψ2| − 0.001 ‖a‖² + 10."""

    vx = 0

    def obs(self, before: Vector | None) -> Vector:
        return np.concatenate([self.d.qpos[1:], np.clip(self.d.qvel, -10, 10)])

    def reward(self, o: Vector, a: Vector, psi: Vector) -> tuple[float, float, list[float]]:
        dv, dz = o[self.vx] - psi[0], o[0] - psi[1]
        base = -0.001 * squared(a) + 10
        return -abs(dv) - 5 * abs(dz) + base, base, [sign(dv), 5 * sign(dz)]


class Hopper(Legged):
    xml, num_actions, vx = "hopper.xml", 3, 5

    def done(self, o: Vector) -> bool:
        return bool((o[2:] >= 100).any() or o[0] <= 0.7 or abs(o[1]) >= 0.2)


class Walker(Legged):
    xml, num_actions, vx = "walker2d.xml", 6, 8

    def done(self, o: Vector) -> bool:
        return not (0.8 < o[0] < 2.0 and -1 < o[1] < 1)


class Ant2D(PlainEnv):
    """−|vx − ψ1| − |vy − ψ2| − 0.005 ‖a‖² + 0.05 + 5."""

    xml, num_actions, alive = "ant.xml", 8, 5.0

    def obs(self, before: Vector | None) -> Vector:
        position = self.d.qpos[:3]
        if before is None:
            velocity = self.d.qvel[:3]
        else:
            velocity = (position - before[:3]) / (self.frame_skip * self.m.opt.timestep)
        return np.concatenate([self.d.qpos, self.d.qvel, position, velocity])

    def reward(self, o: Vector, a: Vector, psi: Vector) -> tuple[float, float, list[float]]:
        dx, dy = o[-3] - psi[0], o[-2] - psi[1]
        base = -0.005 * squared(a) + (0.05 + self.alive)
        return -abs(dx) - abs(dy) + base, base, [sign(dx), sign(dy)]

    def done(self, o: Vector) -> bool:
        return not 0.2 <= o[2] <= 1.0


class Ant3D(Ant2D):
    """As Ant2D, −30 |z − ψ3|, alive bonus 3."""

    alive = 3.0

    def reward(self, o: Vector, a: Vector, psi: Vector) -> tuple[float, float, list[float]]:
        reward, base, grad = super().reward(o, a, psi)
        dz = o[2] - psi[2]
        return reward - base - 30 * abs(dz) + base, base, [*grad, 30 * sign(dz)]


class Cheetah(PlainEnv):
    """ψᵀ (s' − μ)/σ − 0.05 ‖a‖²; never done."""

    xml, num_actions = "half_cheetah.xml", 6
    mean: Vector
    std: Vector

    def obs(self, before: Vector | None) -> Vector:
        return np.concatenate([self.d.qpos, self.d.qvel])

    def reward(self, o: Vector, a: Vector, psi: Vector) -> tuple[float, float, list[float]]:
        f = ((o - self.mean) / self.std).tolist()
        base = -0.05 * squared(a)
        return sum(p * x for p, x in zip(psi.tolist(), f, strict=True)) + base, base, f

    def done(self, o: Vector) -> bool:
        return False


PLAIN: dict[str, type[PlainEnv]] = {
    "Hopper2D": Hopper,
    "Walker2D": Walker,
    "Ant2D": Ant2D,
    "Ant3D": Ant3D,
    "Cheetah-Highdim": Cheetah,
}

# Ψ as published: lower and upper corner.
BOXES: dict[str, tuple[list[float], list[float]]] = {
    "Hopper2D": ([-2, 1.2], [2, 2.0]),
    "Walker2D": ([-2, 1.0], [2, 1.8]),
    "Ant2D": ([-3, -3], [3, 3]),
    "Ant3D": ([-3, -3, 0.4], [3, 3, 0.6]),
    "Cheetah-Highdim": ([-1] * 18, [1] * 18),
}


def make_plain(family: Family, frame_skip: int) -> list[PlainEnv]:
    envs = [PLAIN[family.name](frame_skip) for _ in range(NUM_ENVS)]
    for env in envs:
        if isinstance(env, Cheetah):
            env.mean, env.std = np.array(family.offset), np.array(family.scale)
    return envs


@pytest.mark.parametrize("num_threads", [1, 2, 3])
@pytest.mark.parametrize("frame_skip", [1, 5])
@pytest.mark.parametrize("name", FAMILIES)
def test_lockstep(name: str, frame_skip: int, num_threads: int) -> None:
    family = make_family(name)
    physics = PhysicsSettings(frame_skip=frame_skip, horizon=HORIZON)
    native = native_simulation(family, physics, NUM_ENVS, num_threads)
    plain = make_plain(family, frame_skip)
    rng = np.random.default_rng([frame_skip, num_threads])
    low, high = BOXES[name]
    psi = rng.uniform(low, high)
    native.reset(7)
    mask = np.ones(NUM_ENVS, bool)
    ended = 0
    for _ in range(60):
        obs, state = native.observations(), native.state()
        for i in np.flatnonzero(mask):
            plain[i].reset(state[i])
            np.testing.assert_array_equal(obs[i], plain[i].obs(None).astype(np.float32))
        actions = rng.uniform(-1.5, 1.5, (NUM_ENVS, plain[0].num_actions)).astype(np.float32)
        got = native.step(actions, psi)
        want = [env.step(a, psi) for env, a in zip(plain, actions, strict=True)]
        for key, values in got.items():
            np.testing.assert_array_equal(values, np.array([w[key] for w in want]), err_msg=key)
        np.testing.assert_array_equal(native.observations(), got["next_obs"])
        ends = got["dones"] | got["timeouts"]
        ended += int(ends.sum())
        mask = ends | (rng.uniform(size=NUM_ENVS) < 0.02)  # and some in the middle of an episode
        native.reset(mask=mask)
    assert ended >= 2 * NUM_ENVS


@pytest.mark.parametrize("name", FAMILIES)
def test_the_boxes_are_the_published_ones(name: str) -> None:
    family = make_family(name)
    assert (list(family.task_low), list(family.task_high)) == BOXES[name]
    assert family.act_dim == PLAIN[name].num_actions


def philox4x32(counter: list[int], key: list[int]) -> list[int]:
    """Salmon et al. 2011, in Python's integers."""
    c, k = list(counter), list(key)
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        word = 2**32
        c = [p1 // word ^ c[1] ^ k[0], p1 % word, p0 // word ^ c[3] ^ k[1], p0 % word]
        k = [(k[0] + 0x9E3779B9) % word, (k[1] + 0xBB67AE85) % word]
    return c


def uniforms(seed: int, env: int, episode: int, purpose: int, n: int) -> list[float]:
    words: list[int] = []
    for block in range((n + 1) // 2):
        words += philox4x32([block, episode, env, purpose], [seed % 2**32, seed >> 32])
    return [((words[2 * i + 1] << 32 | words[2 * i]) >> 11) * 2.0**-53 for i in range(n)]


@pytest.mark.parametrize("seed", [0, 2**40 + 5])
def test_reset_noise(seed: int) -> None:
    """qpos0 + U(−0.1, 0.1) and 0.1 N(0, 1), keyed (seed, environment, episode)."""
    family = make_family("Hopper2D")
    native = native_simulation(family, PhysicsSettings(), 3, 2)
    nq = nv = 6
    qpos0 = Hopper(1).m.qpos0
    for episode in range(3):
        if episode == 0:
            native.reset(seed)
        else:
            native.reset()
        for env, state in enumerate(native.state()):
            u = np.array(uniforms(seed, env, episode, 0, nq))
            np.testing.assert_array_equal(state[1 : 1 + nq], qpos0 + 0.1 * (2 * u - 1))
            w = uniforms(seed, env, episode, 1, nv)
            normal = [
                math.sqrt(-2 * math.log(1 - a)) * f(2 * math.pi * b)
                for a, b in zip(w[::2], w[1::2], strict=True)
                for f in (math.cos, math.sin)
            ]
            # The same libm, but a compiler may join sine and cosine: one unit in the last place.
            np.testing.assert_allclose(
                state[1 + nq : 1 + nq + nv], 0.1 * np.array(normal), rtol=1e-15, atol=1e-16
            )


def test_initial_observations_are_those_of_a_reset() -> None:
    for name in FAMILIES:
        native = native_simulation(make_family(name), PhysicsSettings(), 4, 1)
        native.reset(123)
        many = native.initial_observations(9, 123)
        np.testing.assert_array_equal(many[:4], native.observations())
        assert len(np.unique(many[:, 0])) == 9
