"""Drives the extension once through all that it does, bad input included; prints "driven".

For a build with sanitizers (.ci/run), which stop it at the first fault. Nothing here looks at the
numbers: that is what the tests do.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from admrl_native._native import _core
from admrl_native.families.catalogue import make_family
from admrl_native.families.native import native_simulation, native_spec
from admrl_native.families.physics import PhysicsSettings

RNG = np.random.default_rng(0)
FAMILY = make_family("Hopper2D")
D, A, K = FAMILY.obs_dim, FAMILY.act_dim, len(FAMILY.features)
ZEROS, ONES = np.zeros(D, np.float32), np.ones(D, np.float32)
PSI = np.array([0.5, 1.2])

Layers = list[tuple[NDArray[np.float32], NDArray[np.float32]]]


def normal(*shape: int) -> NDArray[np.float32]:
    """Numbers of order 1, float32."""
    return RNG.standard_normal(shape).astype(np.float32)


def layers(*sizes: int) -> Layers:
    """A network of these sizes."""
    return [(0.3 * normal(o, i), 0.1 * normal(o)) for i, o in itertools.pairwise(sizes)]


def moments(of: Layers) -> tuple[Layers, Layers]:
    """Adam's moments before its first step."""
    return tuple([(np.zeros_like(w), np.zeros_like(b)) for w, b in of] for _ in range(2))  # type: ignore[return-value]


def refused(call: Callable[[], Any], error: type[Exception] = ValueError) -> None:
    """Calls what has to be refused."""
    try:
        call()
    except error:
        return
    raise AssertionError(f"expected {error.__name__}, got none")


def policy() -> _core.PolicyArrays:
    """A policy of odd sizes."""
    return _core.PolicyArrays(layers(D, 17, A), 0.1 * normal(A), ZEROS, ONES)


def drive_simulation() -> None:
    """Resets, steps, rollouts of both kinds of policies, and what is refused."""
    simulation = native_simulation(FAMILY, PhysicsSettings(horizon=20), 5, 2)
    simulation.reset(1)
    simulation.step(normal(5, A), PSI)
    simulation.reset(mask=np.array([True, False, True, False, True]))
    simulation.initial_observations(9, 3)
    request: dict[str, Any] = {"num_steps": 60, "seed": 2, "psi": PSI}
    sample = simulation.rollout(policies=[policy()], ou_theta=0.15, ou_sigma=0.3, **request)
    squashed = _core.SquashedPolicyArrays(
        layers(D + 2, 9, 2 * A), np.zeros(D + 2, np.float32), np.ones(D + 2, np.float32), -5.0, 2.0
    )
    simulation.rollout(
        policies=[squashed, squashed],
        policy_of_env=np.array([0, 1, 1, 0, 1], np.int32),
        contexts=normal(5, 2),
        **request,
    )
    native_spec(FAMILY).evaluate(sample["next_obs"][0], sample["actions"][0], PSI)
    values = sample["rewards"], normal(5, 60), normal(5, 60), sample["dones"], sample["timeouts"]
    _core.advantages(*values, 0.99, 0.95)
    _core.reward_grad_advantages(sample["reward_grads"], *values[3:], 0.99, 0.95)
    weights = _core.episode_weights(*values[3:], 0.99)
    _core.cross_step_scan(weights, weights, *values[3:], 0.5)
    _core.episode_sum_scan(weights, weights, *values[3:])
    _core.centre_by_age(sample["reward_grads"], *values[3:])
    refused(lambda: simulation.rollout(policies=[], **request))
    refused(lambda: simulation.rollout(policies=[policy(), squashed], **request))
    refused(lambda: simulation.rollout(policies=[policy()], contexts=normal(5, 1), **request))
    refused(lambda: simulation.step(np.full((5, A), np.nan, np.float32), PSI))
    refused(lambda: simulation.step(normal(4, A), PSI))
    refused(lambda: _core.PolicyArrays([(normal(A, D),)], ZEROS[:A], ZEROS, ONES))  # type: ignore[list-item]
    refused(lambda: _core.model_content("nowhere.xml"))


def drive_virtual_training(pool: _core.ThreadPool) -> None:
    """Rollouts in a model, its fit, a policy update beside a value fit, and what is refused."""
    network, bound = layers(D + A, 33, 21, D), np.full(D, 100, np.float32)
    precisions = ("fp32", "bf16") if _core.build_info()["bf16"] else ("fp32",)
    for precision in precisions:
        model = _core.VirtualModel(pool, network, -bound, bound, precision=precision)
        model.predict(pool, normal(101, D), normal(101, A))
    sample = _core.virtual_rollouts(
        pool, model, native_spec(FAMILY), [policy(), policy()], np.array([PSI, PSI]), normal(7, D),
        [normal(30, 5, A)] * 2, [RNG.integers(0, 7, (31, 5))] * 2, horizon=11,
    )  # fmt: skip
    obs, actions = sample["obs"][0].reshape(-1, D), sample["actions"][0].reshape(-1, A)
    settings = _core.TrpoSettings(
        max_kl=0.01, cg_iterations=5, fisher_damping=0.1, line_search_steps=5,
        line_search_decay=0.5, kl_tolerance=1.5, entropy_coefficient=0.005,
    )  # fmt: skip
    adam = _core.AdamSettings(learning_rate=1e-3)

    def update(rows: int = 150) -> _core.TrpoUpdate:
        return _core.TrpoUpdate(
            layers(D, 17, A), ZEROS[:A].copy(), ZEROS, ONES, obs, actions, normal(rows), settings
        )

    def fit(order: NDArray[np.int64]) -> _core.ValueFit:
        value = layers(D, 13, 1)
        return _core.ValueFit(
            value, *moments(value), 0, obs, normal(150), order, minibatch=32, adam=adam
        )

    for dynamics_precision in precisions:
        _core.fit_dynamics(
            pool, network, *moments(network), 0, normal(200, 2 * D + A),
            RNG.integers(0, 200, (10, 37)), ZEROS, ONES, ZEROS, ONES,
            _core.DynamicsFitSettings(
                adam=adam, weight_decay=1e-5, max_grad_norm=2.0, precision=dynamics_precision
            ),
        )  # fmt: skip
    jobs = update(), fit(np.tile(np.arange(150), (2, 1)))
    pool.run(jobs)
    pool.run(jobs[:1])
    _ = jobs[0].result, jobs[0].gradient(), jobs[1].losses
    _core.mlp_forward_rows(pool, layers(D, 13, 1), ZEROS, ONES, obs)
    _core.mlp_forward(layers(D, 13, 1), "relu", obs)
    refused(lambda: update(rows=149))
    refused(lambda: fit(np.full((1, 150), 150)))
    refused(lambda: pool.run([jobs[0], jobs[0]]))
    refused(lambda: _core.mlp_forward(layers(D, 5) + layers(6, 1), "tanh", obs))


def drive_solvers() -> None:
    """Every solver, a callback that raises and one that gives another shape."""
    matrix, b = RNG.standard_normal((20, 20)), RNG.standard_normal(20)
    matrix += matrix.T
    options: dict[str, Any] = {"max_iterations": 30, "tolerance": 1e-8}
    for method in ("cgnr", "minres", "cg", "dense", "auto"):
        settings = _core.KrylovSettings(method=method, damping=0.1, rounding=2e-16, **options)
        found = _core.solve_symmetric(lambda x: matrix @ x, b, settings)
        _ = found.solution, found.image, found.history, found.ritz_values
        refused(
            lambda settings=settings: _core.solve_symmetric(lambda x: x[:-1], b, settings),  # type: ignore[misc]
            _core.SolverError,
        )
        refused(
            lambda settings=settings: _core.solve_symmetric(lambda x: x / [], b, settings),  # type: ignore[misc]
        )
    path = _core.lanczos(lambda x: matrix @ x, b, np.array([0.0, 0.1]), **options)
    _ = [s.x for s in path.solutions], path.ritz_values


if __name__ == "__main__":
    drive_simulation()
    drive_virtual_training(_core.ThreadPool(3))
    drive_solvers()
    print("driven")
