"""Types of the native core."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

_Float32 = NDArray[np.float32]
_Float64 = NDArray[np.float64]
_Int32 = NDArray[np.int32]
_Bool = NDArray[np.bool_]
_Reason = Literal["converged", "max_iterations", "stagnated", "indefinite", "zero_right_hand_side"]

# Errors (bindings/errors.cpp)

class SimulationError(RuntimeError):
    env_ids: list[int]

class SolverError(RuntimeError): ...
class NotFiniteError(ValueError): ...

# Threads (bindings/thread_pool.cpp)

class Job:
    def __init__(self, *args: Any, **kwargs: Any) -> None: ...  # always raises TypeError

class ThreadPool:
    def __init__(self, num_threads: int) -> None: ...
    @property
    def num_threads(self) -> int: ...
    def run(self, jobs: Sequence[Job]) -> None: ...

# Families, simulation, policies, rollouts (bindings/family.cpp, simulation.cpp, policy.cpp,
# virtual_rollout.cpp)

class FamilySpec:
    def __init__(
        self,
        *,
        name: str,
        act_dim: int,
        obs_blocks: Sequence[tuple[str, int, int, float]],
        form: str,
        features: Sequence[int],
        coefficients: Sequence[float],
        offset: Sequence[float],
        scale: Sequence[float],
        control_cost: float,
        bonus: float,
        healthy: Sequence[tuple[Sequence[int], float, float, bool]],
    ) -> None: ...
    @property
    def obs_dim(self) -> int: ...
    @property
    def act_dim(self) -> int: ...
    @property
    def task_dim(self) -> int: ...
    def evaluate(
        self, next_obs: _Float32, actions: _Float32, psi: _Float64
    ) -> tuple[_Float32, _Float32, _Float32, _Bool]: ...

class AnyPolicyArrays:
    def __init__(self, *args: Any, **kwargs: Any) -> None: ...  # always raises TypeError

class PolicyArrays(AnyPolicyArrays):
    def __init__(
        self,
        layers: Sequence[tuple[_Float32, _Float32]],
        log_std: _Float32,
        obs_mean: _Float32,
        obs_std: _Float32,
    ) -> None: ...

class SquashedPolicyArrays(AnyPolicyArrays):
    def __init__(
        self,
        layers: Sequence[tuple[_Float32, _Float32]],
        obs_mean: _Float32,
        obs_std: _Float32,
        log_std_low: float,
        log_std_high: float,
    ) -> None: ...

class VirtualModel:
    def __init__(
        self,
        pool: ThreadPool,
        layers: _Layers,
        low: _Float32,
        high: _Float32,
        *,
        precision: str = "fp32",
    ) -> None: ...
    def predict(self, pool: ThreadPool, states: _Float32, actions: _Float32) -> _Float32: ...

def virtual_rollouts(
    pool: ThreadPool,
    model: VirtualModel,
    family: FamilySpec,
    policies: Sequence[AnyPolicyArrays],
    psis: _Float64,
    start_states: _Float32,
    noise: Sequence[_Float32],
    starts: Sequence[_Int64],
    *,
    horizon: int,
) -> dict[str, Any]: ...

class Simulation:
    def __init__(
        self,
        *,
        spec: FamilySpec,
        model_path: str | bytes,
        num_envs: int,
        num_threads: int,
        frame_skip: int,
        horizon: int,
        halve_margins: bool,
        reset_within_limits: bool,
        position_noise: float,
        velocity_noise: float,
    ) -> None: ...
    @property
    def obs_dim(self) -> int: ...
    @property
    def act_dim(self) -> int: ...
    @property
    def task_dim(self) -> int: ...
    @property
    def num_envs(self) -> int: ...
    @property
    def num_threads(self) -> int: ...
    @property
    def horizon(self) -> int: ...
    @property
    def timestep(self) -> float: ...
    @property
    def load_warning(self) -> str: ...
    def reset(self, seed: int | None = None, mask: _Bool | None = None) -> None: ...
    def observations(self) -> _Float32: ...
    def initial_observations(self, n: int, seed: int) -> _Float32: ...
    def state(self) -> _Float64: ...
    def step(self, actions: _Float32, psi: _Float64) -> dict[str, NDArray[Any]]: ...
    def rollout(
        self,
        *,
        policies: Sequence[AnyPolicyArrays],
        num_steps: int,
        seed: int,
        psi: _Float64,
        policy_of_env: _Int32 | None = None,
        contexts: _Float32 | None = None,
        ou_theta: float = 0.0,
        ou_sigma: float = 0.0,
        deterministic: bool = False,
    ) -> dict[str, NDArray[Any]]: ...

# Build, networks, fits, TRPO, advantages, solvers (bindings/build_info.cpp, network.cpp,
# update.cpp, trajectories.cpp, solve.cpp)

_Int64 = NDArray[np.int64]
_Layers = Sequence[tuple[_Float32, _Float32]]

def build_info() -> dict[str, Any]: ...
def model_content(path: str | bytes) -> dict[str, bytes]: ...
def mlp_forward(layers: _Layers, activation: str, x: _Float32) -> _Float32: ...
def mlp_forward_rows(
    pool: ThreadPool, layers: _Layers, mean: _Float32, std: _Float32, x: _Float32
) -> _Float32: ...

class AdamSettings:
    def __init__(
        self, *, learning_rate: float, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8
    ) -> None: ...

class ValueFit(Job):
    def __init__(
        self,
        layers: _Layers,
        first: _Layers,
        second: _Layers,
        steps_done: int,
        x: _Float32,
        targets: _Float32,
        order: _Int64,
        *,
        minibatch: int,
        adam: AdamSettings,
    ) -> None: ...
    @property
    def steps(self) -> int: ...
    @property
    def losses(self) -> _Float64: ...

class DynamicsFitSettings:
    def __init__(
        self,
        *,
        adam: AdamSettings,
        weight_decay: float,
        max_grad_norm: float,
        precision: str = "fp32",
    ) -> None: ...

def fit_dynamics(
    pool: ThreadPool,
    layers: _Layers,
    first: _Layers,
    second: _Layers,
    steps_done: int,
    rows: _Float32,
    order: _Int64,
    obs_mean: _Float32,
    obs_std: _Float32,
    difference_mean: _Float32,
    difference_std: _Float32,
    settings: DynamicsFitSettings,
) -> float: ...

class TrpoSettings:
    def __init__(
        self,
        *,
        max_kl: float,
        cg_iterations: int,
        fisher_damping: float,
        line_search_steps: int,
        line_search_decay: float,
        kl_tolerance: float,
        entropy_coefficient: float,
    ) -> None: ...

class TrpoResult:
    def __init__(self, *args: Any, **kwargs: Any) -> None: ...  # always raises TypeError
    @property
    def kl(self) -> float: ...
    @property
    def improvement(self) -> float: ...
    @property
    def entropy(self) -> float: ...
    @property
    def line_search_steps(self) -> int: ...

class TrpoUpdate(Job):
    def __init__(
        self,
        layers: _Layers,
        log_std: _Float32,
        obs_mean: _Float32,
        obs_std: _Float32,
        obs: _Float32,
        actions: _Float32,
        advantages: _Float32,
        settings: TrpoSettings,
    ) -> None: ...
    @property
    def result(self) -> TrpoResult: ...
    def gradient(self) -> _Float64: ...
    def fisher_product(self, v: _Float64) -> _Float64: ...

def advantages(
    rewards: _Float32,
    values: _Float32,
    next_values: _Float32,
    dones: _Bool,
    timeouts: _Bool,
    gamma: float,
    lam: float,
) -> tuple[_Float32, _Float32]: ...
def reward_grad_advantages(
    reward_grads: _Float32, dones: _Bool, timeouts: _Bool, gamma: float, lam: float
) -> _Float32: ...
def episode_weights(dones: _Bool, timeouts: _Bool, gamma: float) -> _Float64: ...
def cross_step_scan(
    weights: _Float64, c: _Float64, dones: _Bool, timeouts: _Bool, decay: float
) -> _Float64: ...
def episode_sum_scan(weights: _Float64, c: _Float64, dones: _Bool, timeouts: _Bool) -> _Float64: ...
def centre_by_age(x: _Float32, dones: _Bool, timeouts: _Bool) -> _Float64: ...

class KrylovSettings:
    def __init__(
        self,
        *,
        method: str,
        damping: float,
        max_iterations: int,
        tolerance: float,
        rounding: float,
    ) -> None: ...

class KrylovResult:
    def __init__(self, *args: Any, **kwargs: Any) -> None: ...  # always raises TypeError
    @property
    def solution(self) -> _Float64: ...
    @property
    def image(self) -> _Float64: ...
    @property
    def residual(self) -> float: ...
    @property
    def regularised_residual(self) -> float: ...
    @property
    def iterations(self) -> int: ...
    @property
    def products(self) -> int: ...
    @property
    def reason(self) -> _Reason: ...
    @property
    def history(self) -> _Float64: ...
    @property
    def ritz_values(self) -> _Float64: ...
    @property
    def method(self) -> str: ...
    @property
    def why(self) -> str: ...

class LanczosSolution:
    def __init__(self, *args: Any, **kwargs: Any) -> None: ...  # always raises TypeError
    @property
    def x(self) -> _Float64: ...
    @property
    def residual(self) -> float: ...
    @property
    def regularised_residual(self) -> float: ...
    @property
    def reason(self) -> _Reason: ...

class LanczosResult:
    def __init__(self, *args: Any, **kwargs: Any) -> None: ...  # always raises TypeError
    @property
    def solutions(self) -> list[LanczosSolution]: ...
    @property
    def iterations(self) -> int: ...
    @property
    def products(self) -> int: ...
    @property
    def ritz_values(self) -> _Float64: ...

def solve_symmetric(
    hvp: Callable[[_Float64], _Float64], b: _Float64, settings: KrylovSettings
) -> KrylovResult: ...
def lanczos(
    hvp: Callable[[_Float64], _Float64],
    b: _Float64,
    dampings: _Float64,
    *,
    max_iterations: int,
    tolerance: float,
) -> LanczosResult: ...
