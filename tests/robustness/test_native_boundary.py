"""What Python may do to native objects: lend them arrays, threads, forks; copy them; end."""

from __future__ import annotations

import copy
import gc
import itertools
import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from admrl_native._native import _core
from admrl_native.families.catalogue import make_family
from admrl_native.families.native import native_simulation, native_spec
from admrl_native.families.physics import PhysicsSettings

FAMILY = make_family("Hopper2D")
D, A, K = FAMILY.obs_dim, FAMILY.act_dim, FAMILY.task_dim
RNG = np.random.default_rng(0)


class Lazy:
    """A sequence that makes its items whenever it is asked for them, and keeps none."""

    def __init__(self, items: list[Any]) -> None:
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, i: int) -> Any:
        item = self._items[i]
        if isinstance(item, tuple):
            return tuple(x.copy() for x in item)
        return item.copy() if isinstance(item, np.ndarray) else item


def layers(*sizes: int) -> list[tuple[Any, Any]]:
    pairs = itertools.pairwise(sizes)
    return [
        (RNG.normal(size=(out, n)).astype(np.float32) / n, RNG.normal(size=out).astype(np.float32))
        for n, out in pairs
    ]


def policy() -> _core.PolicyArrays:
    zeros, ones = np.zeros(D, np.float32), np.ones(D, np.float32)
    return _core.PolicyArrays(layers(D, 16, A), np.zeros(A, np.float32), zeros, ones)


def trpo(rows: int = 64, *, cg_iterations: int = 5) -> _core.TrpoUpdate:
    obs, actions = RNG.normal(size=(rows, D)), RNG.normal(size=(rows, A))
    return _core.TrpoUpdate(
        layers(D, 16, A), np.zeros(A, np.float32), np.zeros(D, np.float32),
        np.ones(D, np.float32), obs.astype(np.float32), actions.astype(np.float32),
        RNG.normal(size=rows).astype(np.float32), trpo_settings(cg_iterations),
    )  # fmt: skip


def trpo_settings(cg_iterations: int = 5) -> _core.TrpoSettings:
    return _core.TrpoSettings(
        max_kl=0.01, cg_iterations=cg_iterations, fisher_damping=0.1, line_search_steps=5,
        line_search_decay=0.5, kl_tolerance=1.5, entropy_coefficient=0.0,
    )  # fmt: skip


def value_fit(rows: int = 64) -> _core.ValueFit:
    def zeros() -> list[tuple[Any, Any]]:
        return [(np.zeros_like(w), np.zeros_like(b)) for w, b in parameters]

    parameters = layers(D, 16, 1)
    return _core.ValueFit(
        parameters, zeros(), zeros(), 0, RNG.normal(size=(rows, D)).astype(np.float32),
        RNG.normal(size=rows).astype(np.float32), np.tile(np.arange(rows), (2, 1)),
        minibatch=16, adam=_core.AdamSettings(learning_rate=1e-3),
    )  # fmt: skip


def model(pool: _core.ThreadPool, *hidden: int) -> _core.VirtualModel:
    bound = np.full(D, 100, np.float32)
    return _core.VirtualModel(pool, layers(D + A, *hidden, D), -bound, bound)


def rollouts(pool: _core.ThreadPool, wrap: Callable[[list[Any]], Any] = list) -> Any:
    rng, tasks, steps, envs = np.random.default_rng(1), 5, 20, 6
    return _core.virtual_rollouts(
        pool, model(pool, 8), native_spec(FAMILY), wrap([policy() for _ in range(tasks)]),
        rng.normal(size=(tasks, K)), rng.normal(size=(30, D)).astype(np.float32),
        wrap([rng.normal(size=(steps, envs, A)).astype(np.float32) for _ in range(tasks)]),
        wrap([rng.integers(0, 30, (steps + 1, envs)) for _ in range(tasks)]), horizon=10,
    )  # fmt: skip


# Sequences


def test_items_made_on_access_are_kept() -> None:
    """Of a lazy sequence nothing else holds the arrays that are viewed."""
    global RNG
    pool = _core.ThreadPool(2)
    RNG = np.random.default_rng(3)
    expected = rollouts(pool)
    RNG = np.random.default_rng(3)
    got = rollouts(pool, Lazy)
    assert all(np.array_equal(expected[name], got[name]) for name in expected)

    parameters = layers(D, 16, 1)
    x = RNG.normal(size=(7, D)).astype(np.float32)
    mean, std = np.zeros(D, np.float32), np.ones(D, np.float32)
    assert np.array_equal(
        _core.mlp_forward(parameters, "tanh", x), _core.mlp_forward(Lazy(parameters), "tanh", x)
    )
    assert np.array_equal(
        _core.mlp_forward_rows(pool, parameters, mean, std, x),
        _core.mlp_forward_rows(pool, Lazy(parameters), mean, std, x),
    )


def test_jobs_keep_what_they_view() -> None:
    """Also where the caller's sequences and arrays are gone by the time they run."""
    results = []
    for lazy in (False, True):
        rng = np.random.default_rng(4)
        pairs = [(rng.normal(size=(A, D)).astype(np.float32), np.zeros(A, np.float32))]
        arrays = [rng.normal(size=(50, n)).astype(np.float32) for n in (D, A)]
        job = _core.TrpoUpdate(
            Lazy(pairs) if lazy else pairs, np.zeros(A, np.float32), np.zeros(D, np.float32),
            np.ones(D, np.float32), *arrays, rng.normal(size=50).astype(np.float32),
            trpo_settings(),
        )  # fmt: skip
        del pairs, arrays
        gc.collect()
        junk = [np.full((A, D), np.nan, np.float32) for _ in range(50)]  # where they were
        _core.ThreadPool(1).run([job])
        found = job.result
        results.append((found.kl, found.improvement, found.entropy, found.line_search_steps))
        del junk
    assert results[0] == results[1]


@pytest.mark.parametrize("items", [[3], [(1,)], ["ab"], [(1, 2, 3)]])
def test_layers_that_are_no_pairs(items: list[Any]) -> None:
    x = np.zeros((1, D), np.float32)
    with pytest.raises(ValueError, match=r"^layers\[0\]"):
        _core.mlp_forward(items, "tanh", x)


# Arrays


def test_arrays_at_odd_addresses_are_refused() -> None:
    raw = np.zeros(4 * D * 3 + 1, np.uint8)
    x = raw[1:].view(np.float32).reshape(3, D)
    assert not x.flags.aligned
    with pytest.raises(ValueError, match=r"x: expected .* at aligned addresses, got others"):
        _core.mlp_forward(layers(D, 1), "tanh", x)


def test_bools_of_other_bytes_are_refused() -> None:
    native = native_simulation(FAMILY, PhysicsSettings(), 4, 1)
    mask = np.array([0, 1, 2, 255], np.uint8).view(bool)
    with pytest.raises(ValueError, match=r"mask: expected \(N=4,\) bool of bytes 0 and 1"):
        native.reset(mask=mask)
    native.reset(mask=np.array([False, True, True, True]))


# Copies, and objects that are not made


def trpo_result() -> _core.TrpoResult:
    job = trpo()
    _core.ThreadPool(1).run([job])
    return job.result


def krylov_settings() -> _core.KrylovSettings:
    return _core.KrylovSettings(
        method="cg", damping=0.0, max_iterations=3, tolerance=1e-6, rounding=1e-16
    )


def lanczos() -> _core.LanczosResult:
    return _core.lanczos(lambda x: x, np.ones(2), np.ones(1), max_iterations=3, tolerance=1e-6)


OBJECTS: dict[str, Callable[[], Any]] = {
    "ThreadPool": lambda: _core.ThreadPool(1),
    "TrpoUpdate": trpo,
    "ValueFit": value_fit,
    "TrpoSettings": trpo_settings,
    "TrpoResult": trpo_result,
    "AdamSettings": lambda: _core.AdamSettings(learning_rate=1e-3),
    "DynamicsFitSettings": lambda: _core.DynamicsFitSettings(
        adam=_core.AdamSettings(learning_rate=1e-3), weight_decay=0.0, max_grad_norm=1.0
    ),
    "KrylovSettings": krylov_settings,
    "KrylovResult": lambda: _core.solve_symmetric(lambda x: x, np.ones(2), krylov_settings()),
    "LanczosResult": lanczos,
    "LanczosSolution": lambda: lanczos().solutions[0],
    "VirtualModel": lambda: model(_core.ThreadPool(1), 8),
    "FamilySpec": lambda: native_spec(FAMILY),
    "Simulation": lambda: native_simulation(FAMILY, PhysicsSettings(), 2, 1),
    "PolicyArrays": policy,
    "SquashedPolicyArrays": lambda: _core.SquashedPolicyArrays(
        layers(D, 8, 2 * A), np.zeros(D, np.float32), np.ones(D, np.float32), -20.0, 2.0
    ),
}


def classes() -> list[type]:
    found = [x for x in vars(_core).values() if isinstance(x, type)]
    return [x for x in found if not issubclass(x, Exception)]


def test_every_class_is_tested() -> None:
    assert {c.__name__ for c in classes()} == {"Job", "AnyPolicyArrays", *OBJECTS}


@pytest.mark.parametrize("name", OBJECTS)
@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, pickle.dumps])
def test_native_objects_are_not_copied(name: str, way: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError, match=f"{name}: expected something else to pickle or copy"):
        way(OBJECTS[name]())


@pytest.mark.parametrize("kind", classes(), ids=lambda kind: kind.__name__)
def test_an_object_is_not_made_without_init(kind: type) -> None:
    for new in (kind.__new__, object.__new__):
        with pytest.raises(TypeError, match="is not safe"):
            new(kind)

    class Derived(kind):  # type: ignore[misc, valid-type]
        def __init__(self) -> None:
            pass

    with pytest.raises(TypeError, match="__init__"):
        Derived()


# Threads


def test_a_job_in_two_pools_at_once_is_refused() -> None:
    job, refused, done = trpo(20_000, cg_iterations=50), [], []
    barrier = threading.Barrier(2)

    def run() -> None:
        pool = _core.ThreadPool(2)
        barrier.wait()
        for _ in range(8):
            try:
                pool.run([job])
                done.append(job.result)
            except RuntimeError as error:
                refused.append(str(error))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done
    assert refused
    assert set(refused) == {
        "job: expected one that nobody runs, got one that another thread runs now"
    }
    pool = _core.ThreadPool(2)
    pool.run([job])  # it can be used again
    with pytest.raises(ValueError, match="expected each once"):
        pool.run([job, job])
    pool.run([job])


def ticking() -> Iterator[list[float]]:
    """The times at which another thread had the interpreter."""
    times: list[float] = []
    stop = threading.Event()

    def tick() -> None:
        while not stop.is_set():
            times.append(time.monotonic())
            time.sleep(0.001)

    thread = threading.Thread(target=tick)
    thread.start()
    yield times
    stop.set()
    thread.join()


def test_packing_a_model_leaves_the_interpreter_to_others() -> None:
    """Also while it waits for a pool that somebody else has."""
    pool, job = _core.ThreadPool(2), trpo(60_000, cg_iterations=200)
    other = threading.Thread(target=lambda: pool.run([job]))
    generator = ticking()
    times = next(generator)
    other.start()
    time.sleep(0.05)
    before = time.monotonic()
    model(pool, 512, 512)
    after = time.monotonic()
    next(generator, None)
    other.join()
    inside = [before, *(t for t in times if before < t < after), after]
    # A tick is a millisecond apart; a busy machine may put the thread aside for some more.
    assert max(np.diff(inside)) < max(0.25, 0.5 * (after - before))


# Forks


def in_fork(script: str, threads: int) -> str:
    """What a forked child prints, or how the process ended."""
    text = f"""
import os, sys, faulthandler
import numpy as np
from admrl_native._native import _core
from admrl_native.families.catalogue import make_family
from admrl_native.families.native import native_simulation
from admrl_native.families.physics import PhysicsSettings
simulation = native_simulation(make_family("Hopper2D"), PhysicsSettings(), 4, THREADS)
pool = _core.ThreadPool(THREADS)
layers = [(np.zeros((1, 3), np.float32), np.zeros(1, np.float32))]
x, mean, std = np.zeros((5000, 3), np.float32), np.zeros(3, np.float32), np.ones(3, np.float32)
def use(pool, simulation):
    _core.mlp_forward_rows(pool, layers, mean, std, x)
    simulation.step(np.zeros((4, 3), np.float32), np.zeros(2))
use(pool, simulation)
child = os.fork()
if child == 0:
{script}
    del pool, simulation
    print("end", flush=True)
    os._exit(0)
print("child", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
use(pool, simulation)
"""
    text = text.replace("THREADS", str(threads))
    done = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout


ASK = """
    for what in (lambda: use(pool, simulation), lambda: simulation.reset(0),
                 lambda: simulation.state()):
        try:
            what()
            print("fine")
        except RuntimeError as error:
            print(error)
    use(_core.ThreadPool(2), native_simulation(make_family("Hopper2D"), PhysicsSettings(), 4, 2))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
def test_a_forked_child_is_told_that_it_has_no_threads() -> None:
    lines = in_fork(ASK, 2).splitlines()
    assert lines[0].startswith("pool: expected one made in this process")
    assert lines[1].startswith("simulation: expected one made in this process")
    assert lines[2].startswith("simulation: expected one made in this process")
    assert lines[3:] == ["end", "child 0"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
def test_a_forked_child_can_use_what_has_no_threads() -> None:
    assert in_fork(ASK, 1).splitlines() == ["fine", "fine", "fine", "end", "child 0"]


# The end


def test_a_daemon_thread_in_a_native_call_does_not_abort_the_end() -> None:
    script = """
import threading, time
import numpy as np
from admrl_native._native import _core
from admrl_native.families.catalogue import make_family
from admrl_native.families.native import native_simulation
from admrl_native.families.physics import PhysicsSettings
simulation = native_simulation(make_family("Hopper2D"), PhysicsSettings(), 2, 2)
layers = [(np.zeros((64, 64), np.float32), np.zeros(64, np.float32))] * 3
x, mean, std = np.zeros((4000, 64), np.float32), np.zeros(64, np.float32), np.ones(64, np.float32)
def forward():
    pool = _core.ThreadPool(2)
    while True:
        _core.mlp_forward_rows(pool, layers, mean, std, x)
zeros, ones = np.zeros(11, np.float32), np.ones(11, np.float32)
policy = _core.PolicyArrays([(np.zeros((3, 11), np.float32), zeros[:3])], zeros[:3], zeros, ones)
def simulate():
    while True:
        simulation.rollout(policies=[policy], num_steps=100_000, seed=0, psi=np.zeros(2))
for work in (forward, forward, simulate):
    threading.Thread(target=work, daemon=True).start()
time.sleep(0.3)
print("end")
"""
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, timeout=60
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")


def test_a_subinterpreter_is_refused() -> None:
    script = """
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
code = '''
import sys
sys.path[:] = {path!r}
try:
    import admrl_native
    from admrl_native._native import _core
    print("imported")
except ImportError as error:
    print("refused", str(error).splitlines()[0])
'''
import sys
interpreters.run_string(interpreters.create(), code.format(path=sys.path))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    expected = "refused admrl_native: expected the main interpreter, got a subinterpreter\n"
    assert done.stdout == expected, done.stderr
