"""Ready-made linear-Gaussian problems, each with a task ψ."""

from __future__ import annotations

import torch
from torch import Tensor

from ..seeding import derive_seed
from .linear_gaussian import LinearDynamics, LinearGaussianProblem
from .newton import NoMaximumError

STABLE = 0.9  # largest singular value of A: without actions the state dies out
MIN_GAP = 0.02  # of L(ψ), relative to |η*(θ*)|
MIN_IMPLICIT = 0.2  # of ‖Mᵀ H⁻¹ g‖, relative to ‖∂η*/∂ψ|θ* − ∂η*/∂ψ|θ̂‖
MAX_DRAWS = 100


def scalar_problem() -> tuple[LinearGaussianProblem, Tensor]:
    """A problem with two parameters, and its ψ = (1,).

    In the model s' = 0.9 s + 0.5 a; in the real dynamics s' = 0.8 s + 0.7 a.
    """

    def number(x: float) -> Tensor:
        return torch.tensor([[x]], dtype=torch.float64)

    problem = LinearGaussianProblem(
        real=LinearDynamics(number(0.8), number(0.7)),
        model=LinearDynamics(number(0.9), number(0.5)),
        start_mean=number(0.3)[0],
        start_cov=number(0.0),
        state_target=number(1.0),
        action_target=number(0.0),
        action_cost=0.05,
        noise_std=0.4,
        gamma=0.95,
        horizon=5,
    )
    return problem, number(1.0)[0]


def random_problem(
    seed: int,
    *,
    state_dim: int,
    action_dim: int,
    task_dim: int,
    horizon: int,
    mismatch: float = 0.4,
    action_cost: float = 0.1,
    noise_std: float = 0.3,
    gamma: float = 0.95,
) -> tuple[LinearGaussianProblem, Tensor]:
    """A random problem and a ψ (K,) at which θ*, θ̂ and every term of Eq. 2 are worth looking at.

    The dynamics are stable, S₀ is positive definite, and problems are drawn until both θ* and θ̂
    exist, θ* is what Newton's method reaches from θ̂ as well as from 0, and neither the gap nor the
    implicit term is negligible.

    Args:
        mismatch: spectral norm of B̂ − B*, and of Â − A* before Â is made stable, where those of A*
            and B* are 0.9 and 1.

    Raises:
        ValueError: an argument that makes no problem, or no such problem in 100 draws.

    Determinism: the seed and the arguments decide everything.
    """
    sizes = {"state_dim": state_dim, "action_dim": action_dim, "task_dim": task_dim}
    for name, value in sizes.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{name}: expected an int ≥ 1, got {value!r}")
    if not mismatch > 0:
        raise ValueError(f"mismatch: expected a number > 0, got {mismatch}")

    for attempt in range(MAX_DRAWS):
        # By torch's own seeding: the problems of published measurements stay what they are.
        derived = derive_seed(seed, *sizes.values(), horizon, attempt)
        generator = torch.Generator().manual_seed(derived)

        def normal(*shape: int, generator: torch.Generator = generator) -> Tensor:
            return torch.randn(*shape, generator=generator, dtype=torch.float64)

        a, b = STABLE * _unit(normal(state_dim, state_dim)), _unit(normal(state_dim, action_dim))
        model_a = a + mismatch * _unit(normal(state_dim, state_dim))
        model_b = b + mismatch * _unit(normal(state_dim, action_dim))
        root = 0.3 * normal(state_dim, state_dim)
        problem = LinearGaussianProblem(
            real=LinearDynamics(a, b),
            model=LinearDynamics(model_a * min(1.0, STABLE / float(_norm(model_a))), model_b),
            start_mean=normal(state_dim),
            start_cov=0.2 * torch.eye(state_dim, dtype=torch.float64) + root @ root.T,
            state_target=normal(state_dim, task_dim),
            action_target=normal(action_dim, task_dim),
            action_cost=action_cost,
            noise_std=noise_std,
            gamma=gamma,
            horizon=horizon,
        )
        psi = normal(task_dim)
        if _worthwhile(problem, psi):
            return problem, psi
    raise ValueError(f"seed: {seed} and these arguments gave no suitable problem")


def _worthwhile(problem: LinearGaussianProblem, psi: Tensor) -> bool:
    try:
        terms = problem.exact_terms(psi)
        from_hat = problem.best_params(psi, "real", terms.theta_hat)
    except NoMaximumError:
        return False
    explicit = terms.at_theta_star - terms.at_theta_hat
    best = problem.expected_return(terms.theta_star, psi, "real")
    return bool(
        (from_hat - terms.theta_star).norm() < 1e-8 * (1 + from_hat.norm())
        and problem.gap(psi) > MIN_GAP * best.abs()
        and terms.implicit.norm() > MIN_IMPLICIT * explicit.norm()
    )


def _norm(matrix: Tensor) -> Tensor:
    """Largest singular value ()."""
    norm: Tensor = torch.linalg.matrix_norm(matrix, ord=2)
    return norm


def _unit(matrix: Tensor) -> Tensor:
    """The matrix scaled to a largest singular value of 1."""
    return matrix / _norm(matrix)
