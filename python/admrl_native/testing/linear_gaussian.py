"""A linear-Gaussian decision problem, in which everything the method estimates is known exactly.

    s' = A s + B a,   a ~ N(W s + b, σ² I),   s₀ ~ N(m₀, S₀),   t = 0 … T − 1
    r_ψ(s, a, s') = −‖s' − C ψ‖² − ρ ‖a − D ψ‖²,   discounted by γ^t

The mean and the covariance of the state propagate in closed form, and with them η(θ, ψ); its
derivatives are those of the propagation, by float64 automatic differentiation. The model's A and B
are not the real ones, so θ̂ ≠ θ* and every term of Eq. 2 is there.

Letters: d state dim, A act dim, K task dim, P = A d + A parameters θ = [W row by row, b]; σ is
fixed and not part of θ. Everything is float64 on the CPU and per trajectory, that is, not divided
by the horizon.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

import torch
from torch import Tensor

from ..networks.policy import gaussian_log_prob
from ..sampling.trajectories import Trajectories
from .checks import expect, expect_finite, expect_matrix
from .linear_policy import LinearGaussianPolicy, split_theta
from .newton import maximise, value_gradient_hessian
from .quadratic_value import QuadraticValue

Where = Literal["real", "model"]


@dataclasses.dataclass(frozen=True)
class LinearDynamics:
    """s' = A s + B a.

    Attributes:
        a: A (d, d) float64.
        b: B (d, A) float64.
    """

    a: Tensor
    b: Tensor

    def __post_init__(self) -> None:
        expect_matrix("a", self.a)
        expect_matrix("b", self.b)
        state_dim, act_dim = len(self.a), self.b.shape[1]
        expect("a", self.a, ("d", state_dim), ("d", state_dim))
        expect("b", self.b, ("d", state_dim), ("A", act_dim))
        expect_finite("a", self.a)
        expect_finite("b", self.b)


@dataclasses.dataclass(frozen=True)
class ExactTerms:
    """Eq. 2 and all that goes into it, float64, per trajectory.

    Attributes:
        theta_hat: θ̂ (P,), the best parameters in the model.
        theta_star: θ* (P,), the best parameters in the real dynamics.
        g: ∂η*/∂θ at θ̂ (P,).
        h: ∂²η̂/∂θ∂θᵀ at θ̂ (P, P).
        m: ∂²η̂/∂θ∂ψᵀ at θ̂ (P, K).
        at_theta_star: ∂η*/∂ψ at θ* (K,).
        at_theta_hat: ∂η*/∂ψ at θ̂ (K,).
    """

    theta_hat: Tensor
    theta_star: Tensor
    g: Tensor
    h: Tensor
    m: Tensor
    at_theta_star: Tensor
    at_theta_hat: Tensor

    @property
    def implicit(self) -> Tensor:
        """Mᵀ H⁻¹ g (K,), by a dense solve."""
        implicit: Tensor = self.m.T @ torch.linalg.solve(self.h, self.g)
        return implicit

    @property
    def total(self) -> Tensor:
        """dL/dψ (K,), Eq. 2."""
        return self.at_theta_star - self.at_theta_hat + self.implicit


@dataclasses.dataclass(frozen=True)
class LinearGaussianProblem:
    """The problem above.

    Attributes:
        real: A*, B*.
        model: Â, B̂, of the same shapes.
        start_mean: m₀ (d,).
        start_cov: S₀ (d, d), symmetric and positive semidefinite. Where it is singular and the
            horizon is short, the best θ may not be unique.
        state_target: C (d, K).
        action_target: D (A, K).
        action_cost: ρ ≥ 0.
        noise_std: σ > 0.
        gamma: γ in (0, 1].
        horizon: T ≥ 1.

    Raises:
        ValueError: an argument is not as above.
    """

    real: LinearDynamics
    model: LinearDynamics
    start_mean: Tensor
    start_cov: Tensor
    state_target: Tensor
    action_target: Tensor
    action_cost: float
    noise_std: float
    gamma: float
    horizon: int

    def __post_init__(self) -> None:
        d, act_dim = ("d", self.state_dim), ("A", self.act_dim)
        expect("model.a", self.model.a, d, d)
        expect("model.b", self.model.b, d, act_dim)
        expect("start_mean", self.start_mean, d)
        expect("start_cov", self.start_cov, d, d)
        expect_matrix("state_target", self.state_target)
        expect("state_target", self.state_target, d, ("K", self.task_dim))
        expect("action_target", self.action_target, act_dim, ("K", self.task_dim))
        for name in ("start_mean", "start_cov", "state_target", "action_target"):
            expect_finite(name, getattr(self, name))
        eigenvalues = torch.linalg.eigvalsh(self.start_cov)
        symmetric = torch.allclose(self.start_cov, self.start_cov.T, rtol=1e-12, atol=0.0)
        if not symmetric or eigenvalues.min() < -1e-12 * eigenvalues.abs().max():
            raise ValueError(
                "start_cov: expected a symmetric, positive semidefinite matrix, "
                f"got {self.start_cov.tolist()}"
            )
        if not (self.action_cost >= 0 and math.isfinite(self.action_cost)):
            raise ValueError(f"action_cost: expected a finite number ≥ 0, got {self.action_cost}")
        if not (self.noise_std > 0 and math.isfinite(self.noise_std)):
            raise ValueError(f"noise_std: expected a finite number > 0, got {self.noise_std}")
        if not 0 < self.gamma <= 1:
            raise ValueError(f"gamma: expected a number in (0, 1], got {self.gamma}")
        if isinstance(self.horizon, bool) or not isinstance(self.horizon, int) or self.horizon < 1:
            raise ValueError(f"horizon: expected an int ≥ 1, got {self.horizon!r}")

    @property
    def state_dim(self) -> int:
        """d."""
        return len(self.real.a)

    @property
    def act_dim(self) -> int:
        """A."""
        return self.real.b.shape[1]

    @property
    def task_dim(self) -> int:
        """K."""
        return self.state_target.shape[1]

    @property
    def num_params(self) -> int:
        """P."""
        return self.act_dim * (self.state_dim + 1)

    # η and its derivatives

    def expected_return(self, theta: Tensor, psi: Tensor, where: Where) -> Tensor:
        """η(θ, ψ) (), exact and differentiable, of θ (P,) and ψ (K,)."""
        dynamics = self._checked(theta, psi, where)
        weight, bias = split_theta(theta, self.state_dim)
        state_target, action_target = self.state_target @ psi, self.action_target @ psi
        gain, drift = dynamics.a + dynamics.b @ weight, dynamics.b @ bias
        noise_cov = self.noise_std**2 * dynamics.b @ dynamics.b.T
        action_noise = self.act_dim * self.noise_std**2

        mean, cov = self.start_mean, self.start_cov
        total = theta.new_zeros(())
        for t in range(self.horizon):
            action_error = weight @ mean + bias - action_target
            action_spread = ((weight @ cov) * weight).sum() + action_noise  # tr W S Wᵀ + A σ²
            mean, cov = gain @ mean + drift, gain @ cov @ gain.T + noise_cov
            state_error = mean - state_target
            reward = -(state_error @ state_error + cov.trace()) - self.action_cost * (
                action_error @ action_error + action_spread
            )
            total = total + self.gamma**t * reward
        return total

    def policy_gradient(self, theta: Tensor, psi: Tensor, where: Where) -> Tensor:
        """∂η/∂θ (P,)."""
        gradient: Tensor = torch.func.grad(self.expected_return)(theta, psi, where)
        return gradient

    def task_derivative(self, theta: Tensor, psi: Tensor, where: Where) -> Tensor:
        """∂η/∂ψ (K,), θ held fixed (Eq. 3)."""
        gradient: Tensor = torch.func.grad(self.expected_return, argnums=1)(theta, psi, where)
        return gradient

    def hessian(self, theta: Tensor, psi: Tensor, where: Where) -> Tensor:
        """∂²η/∂θ∂θᵀ (P, P), at any θ (Eq. 7)."""
        return value_gradient_hessian(lambda x: self.expected_return(x, psi, where), theta)[2]

    def mixed_derivative(self, theta: Tensor, psi: Tensor, where: Where) -> Tensor:
        """∂²η/∂θ∂ψᵀ (P, K), at any θ (Eq. 6)."""
        mixed: Tensor = torch.func.jacrev(self.policy_gradient, argnums=1)(theta, psi, where)
        return mixed

    # θ*, θ̂ and the gap

    def best_params(self, psi: Tensor, where: Where, start: Tensor | None = None) -> Tensor:
        """argmax_θ η(θ, ψ) (P,), to rounding error.

        For T > 1 η may have several maxima: this is the one that Newton's method reaches from
        `start` (P,), by default 0. From a nearby maximum it stays on that one's branch.

        Raises:
            NoMaximumError: no convergence, or a Hessian that is not negative definite.
        """
        start = psi.new_zeros(self.num_params) if start is None else start
        self._checked(start, psi, where)
        expect_finite("start", start)
        expect_finite("psi", psi)
        return maximise(lambda theta: self.expected_return(theta, psi, where), start)

    def gap(self, psi: Tensor) -> Tensor:
        """L(ψ) = η*(θ*, ψ) − η*(θ̂, ψ) () (Eq. 1)."""
        return self._gap(psi, None, None)

    def gap_gradient_by_central_differences(self, psi: Tensor, step: float = 3e-3) -> Tensor:
        """dL/dψ (K,) from four values of L along each axis: the error is of order step⁴.

        θ* and θ̂ are found afresh for each, on the branches of those at ψ. Shares nothing with
        Eq. 2.

        Cost: 8 K + 2 runs of Newton's method.
        """
        if not step > 0:
            raise ValueError(f"step: expected a number > 0, got {step}")
        theta_star, theta_hat = (self.best_params(psi, where) for where in ("real", "model"))

        def slope(axis: Tensor, width: float) -> Tensor:
            ahead = self._gap(psi + width * axis, theta_star, theta_hat)
            behind = self._gap(psi - width * axis, theta_star, theta_hat)
            return (ahead - behind) / (2 * width)

        axes = torch.eye(self.task_dim, dtype=torch.float64)
        return torch.stack([(4 * slope(x, step) - slope(x, 2 * step)) / 3 for x in axes])

    def _gap(self, psi: Tensor, start_star: Tensor | None, start_hat: Tensor | None) -> Tensor:
        theta_star = self.best_params(psi, "real", start_star)
        theta_hat = self.best_params(psi, "model", start_hat)
        best = self.expected_return(theta_star, psi, "real")
        return best - self.expected_return(theta_hat, psi, "real")

    def exact_terms(self, psi: Tensor) -> ExactTerms:
        """θ̂, θ* and every term of Eq. 2 at ψ (K,)."""
        theta_hat = self.best_params(psi, "model")
        theta_star = self.best_params(psi, "real")
        return ExactTerms(
            theta_hat=theta_hat,
            theta_star=theta_star,
            g=self.policy_gradient(theta_hat, psi, "real"),
            h=self.hessian(theta_hat, psi, "model"),
            m=self.mixed_derivative(theta_hat, psi, "model"),
            at_theta_star=self.task_derivative(theta_star, psi, "real"),
            at_theta_hat=self.task_derivative(theta_hat, psi, "real"),
        )

    # what estimators take: a policy, its value function, trajectories

    def policy(self, theta: Tensor) -> LinearGaussianPolicy:
        """π_θ of θ (P,)."""
        expect("theta", theta, ("P", self.num_params))
        return LinearGaussianPolicy(theta.detach().clone(), self.state_dim, self.noise_std)

    def value_function(self, theta: Tensor, psi: Tensor, where: Where) -> QuadraticValue:
        """V^π_t(s), exact, by the recursion V_t(s) = E[r + γ V_{t+1}(s')] from V_T = 0."""
        dynamics = self._checked(theta, psi, where)
        weight, bias = split_theta(theta.detach(), self.state_dim)
        state_target = self.state_target @ psi.detach()
        bias_error = bias - self.action_target @ psi.detach()
        gain, drift = dynamics.a + dynamics.b @ weight, dynamics.b @ bias
        noise_cov = self.noise_std**2 * dynamics.b @ dynamics.b.T
        rho, action_noise = self.action_cost, self.act_dim * self.noise_std**2

        p = torch.zeros(self.horizon + 1, self.state_dim, self.state_dim, dtype=torch.float64)
        q = torch.zeros(self.horizon + 1, self.state_dim, dtype=torch.float64)
        c = torch.zeros(self.horizon + 1, dtype=torch.float64)
        for t in reversed(range(self.horizon)):
            # −‖s' − C ψ‖² + γ V_{t+1}(s') is the quadratic (p2, q1, c0) of s', and s' itself is
            # N(gain s + drift, noise_cov)
            p2 = self.gamma * p[t + 1] - torch.eye(self.state_dim, dtype=torch.float64)
            q1 = self.gamma * q[t + 1] + 2 * state_target
            c0 = self.gamma * c[t + 1] - state_target @ state_target
            p[t] = gain.T @ p2 @ gain - rho * weight.T @ weight
            q[t] = gain.T @ (2 * p2 @ drift + q1) - 2 * rho * weight.T @ bias_error
            c[t] = drift @ p2 @ drift + (p2 * noise_cov).sum() + q1 @ drift + c0
            c[t] -= rho * (bias_error @ bias_error + action_noise)
        return QuadraticValue(p, q, c)

    @torch.no_grad()
    def sample(
        self, theta: Tensor, psi: Tensor, where: Where, episodes: int, generator: torch.Generator
    ) -> Trajectories:
        """N = episodes trajectories of T steps, D = d + 1: obs [s, t/T], next_obs [s', (t + 1)/T].

        Drawn in float64 and rounded to float32 at the end. `dones` is set in the last column and
        nowhere else, `timeouts` nowhere. `base_rewards` is r at ψ = 0.

        Determinism: the same generator state gives the same bits.
        """
        dynamics = self._checked(theta, psi, where)
        if isinstance(episodes, bool) or not isinstance(episodes, int) or episodes < 1:
            raise ValueError(f"episodes: expected an int ≥ 1, got {episodes!r}")

        def draw(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator, dtype=torch.float64)

        weight, bias = split_theta(theta, self.state_dim)
        eigenvalues, vectors = torch.linalg.eigh(self.start_cov)
        root = vectors * eigenvalues.clamp_min(0.0).sqrt()  # S₀ = root rootᵀ, also if singular
        states = [self.start_mean + draw(episodes, self.state_dim) @ root.T]
        means, actions = [], []
        for _ in range(self.horizon):
            means.append(states[-1] @ weight.T + bias)
            actions.append(means[-1] + self.noise_std * draw(episodes, self.act_dim))
            states.append(states[-1] @ dynamics.a.T + actions[-1] @ dynamics.b.T)

        s, a = torch.stack(states, 1), torch.stack(actions, 1)
        times = torch.arange(self.horizon + 1, dtype=torch.float64) / self.horizon
        obs = torch.cat([s, times.expand(episodes, -1).unsqueeze(-1)], -1)
        rewards, reward_grads = self._rewards(a, s[:, 1:], psi)
        base_rewards, _ = self._rewards(a, s[:, 1:], torch.zeros_like(psi))
        dones = torch.zeros(episodes, self.horizon, dtype=torch.bool)
        dones[:, -1] = True
        log_std = torch.full((self.act_dim,), math.log(self.noise_std), dtype=torch.float64)
        return Trajectories(
            obs=obs[:, :-1].float(),
            actions=a.float(),
            next_obs=obs[:, 1:].float(),
            rewards=rewards.float(),
            reward_grads=reward_grads.float(),
            base_rewards=base_rewards.float(),
            dones=dones,
            timeouts=torch.zeros_like(dones),
            log_probs=gaussian_log_prob(a, torch.stack(means, 1), log_std).float(),
        )

    def _rewards(self, actions: Tensor, next_states: Tensor, psi: Tensor) -> tuple[Tensor, Tensor]:
        """r (N, T) and ∂r/∂ψ (N, T, K)."""
        state_error = next_states - self.state_target @ psi
        action_error = actions - self.action_target @ psi
        rho = self.action_cost
        rewards = -state_error.square().sum(-1) - rho * action_error.square().sum(-1)
        grads = 2 * (state_error @ self.state_target + rho * action_error @ self.action_target)
        return rewards, grads

    def _checked(self, theta: Tensor, psi: Tensor, where: Where) -> LinearDynamics:
        """The dynamics of that name, once θ and ψ have been looked at."""
        expect("theta", theta, ("P", self.num_params))
        expect("psi", psi, ("K", self.task_dim))
        if where not in ("real", "model"):
            raise ValueError(f"where: expected 'real' or 'model', got {where!r}")
        return self.real if where == "real" else self.model
