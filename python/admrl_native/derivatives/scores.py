"""Products with the scores ∇log π_θ(a_t|s_t) of a batch of samples.

Write G [M, P] for the matrix whose row t is ∇log π_θ(a_t|s_t). No product forms G.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from ..networks.policy import GaussianPolicy, gaussian_log_prob
from .linearisation import MlpCurvature, MlpLinearisation

# A linear map of per-sample numbers, (M,) to (M,).
SampleMap = Callable[[Tensor], Tensor]


class DifferentiablePolicy(Protocol):
    """What scores need of a Gaussian policy; `networks.policy.GaussianPolicy` has it."""

    def get_params(self) -> Tensor:
        """θ (P,)."""

    def normaliser(self, obs: Tensor) -> Tensor:
        """What the mean is a function of, (M, D), from obs (M, D)."""

    def mean_and_log_std(self, params: Tensor, normalised_obs: Tensor) -> tuple[Tensor, Tensor]:
        """μ (M, A) and log σ (A,) as a differentiable function of θ (P,)."""


class ScoreProducts(Protocol):
    """G x, Gᵀ w and second derivatives, at the policy's θ.

    Source: Eq. 7, Appendix B: what Hessian and gradient estimators are made of.
    """

    def jvp(self, x: Tensor) -> Tensor:
        """G x: ∇log π_t · x for every sample, (M,), of a direction x (P,)."""

    def vjp(self, weights: Tensor) -> Tensor:
        """Gᵀ w: Σ_t w_t ∇log π_t, (P,), of weights w (M,)."""

    def curvature(self, weights: Tensor) -> Callable[[Tensor, SampleMap], Tensor]:
        """(x, A) ↦ Gᵀ A(G x) + Σ_t w_t ∇²log π_t x, (P,), for fixed weights w (M,)."""


def score_products(
    policy: DifferentiablePolicy, obs: Tensor, actions: Tensor, dtype: torch.dtype = torch.float64
) -> ScoreProducts:
    """The fastest there is for this kind of policy.

    Args:
        policy: π_θ; not changed.
        obs: (M, D).
        actions: (M, A), unclipped.
        dtype: precision of the products; float64 costs twice float32.
    """
    kind = MlpScores if isinstance(policy, GaussianPolicy) else AutodiffScores
    return kind(policy, obs, actions, dtype)  # type: ignore[arg-type]


class MlpScores:
    """`ScoreProducts` of a Gaussian policy with an MLP, by its linearisation.

    With z = (a − μ)/σ: ∂log π/∂μ = z/σ, ∂log π/∂log σ = z² − 1. A step along x changes μ by J x and
    log σ by s, hence z by −(J x)/σ − z s.

    Args: as `score_products`.
    """

    def __init__(
        self, policy: GaussianPolicy, obs: Tensor, actions: Tensor, dtype: torch.dtype
    ) -> None:
        self.params = policy.get_params().to(dtype)
        layers, log_std = policy.split_params(self.params)
        self._split = policy.split_params
        self._mlp = MlpLinearisation(layers, policy.normaliser(obs).to(dtype))
        self._inverse_std = torch.exp(-log_std)
        z = (actions.to(dtype) - self._mlp.output) * self._inverse_std
        self._mean_score = z * self._inverse_std
        self._square = z * z
        self._log_std_score = self._square - 1

    def jvp(self, x: Tensor) -> Tensor:
        layers, log_std = self._split(x.to(self.params))
        return self._contract(self._mlp.jvp(layers), log_std)

    def vjp(self, weights: Tensor) -> Tensor:
        w = weights.to(self.params).unsqueeze(1)
        return _joined(self._mlp.vjp(w * self._mean_score), (w * self._log_std_score).sum(0))

    def curvature(self, weights: Tensor) -> Callable[[Tensor, SampleMap], Tensor]:
        w = weights.to(self.params).unsqueeze(1)
        curvature = MlpCurvature(self._mlp, w * self._mean_score)
        mean_by_mean = -w * self._inverse_std**2
        mean_by_log_std = -2 * w * self._mean_score
        log_std_by_log_std = -2 * (w * self._square).sum(0)

        def product(x: Tensor, sample_map: SampleMap) -> Tensor:
            layers, log_std = self._split(x.to(self.params))
            tangents = self._mlp.tangents(layers)
            mean = tangents[-1]
            v = sample_map(self._contract(mean, log_std)).unsqueeze(1)
            of_log_std = (mean_by_log_std * mean + v * self._log_std_score).sum(0)
            of_mean = mean_by_log_std * log_std
            of_mean.addcmul_(mean_by_mean, mean).addcmul_(v, self._mean_score)
            return _joined(
                curvature.product(layers, tangents, of_mean),
                of_log_std + log_std_by_log_std * log_std,
            )

        return product

    def _contract(self, mean_tangent: Tensor, log_std_tangent: Tensor) -> Tensor:
        """∇log π_t · x from the changes of μ and log σ."""
        return (self._mean_score * mean_tangent).sum(1) + self._log_std_score @ log_std_tangent


class AutodiffScores:
    """`ScoreProducts` of any Gaussian policy, by automatic differentiation: the plain twin.

    Args: as `score_products`.
    """

    def __init__(
        self, policy: DifferentiablePolicy, obs: Tensor, actions: Tensor, dtype: torch.dtype
    ) -> None:
        x = policy.normaliser(obs).to(dtype)
        actions = actions.to(dtype)

        def log_probs(theta: Tensor) -> Tensor:
            mean, log_std = policy.mean_and_log_std(theta, x)
            return gaussian_log_prob(actions, mean, log_std)

        self.params = policy.get_params().to(dtype)
        self.log_probs = log_probs
        self._vjp: Callable[[Tensor], tuple[Tensor]] = torch.func.vjp(log_probs, self.params)[1]

    def jvp(self, x: Tensor) -> Tensor:
        product: Tensor = torch.func.jvp(self.log_probs, (self.params,), (x.to(self.params),))[1]
        return product

    def vjp(self, weights: Tensor) -> Tensor:
        (product,) = self._vjp(weights.to(self.params))
        return product

    def hvp(self, weights: Tensor, x: Tensor) -> Tensor:
        """Σ_t w_t ∇²log π_t x, (P,), of weights w (M,) and a direction x (P,)."""
        weights = weights.to(self.params)

        def weighted_gradient(theta: Tensor) -> Tensor:
            gradient: Tensor = torch.func.grad(lambda p: weights @ self.log_probs(p))(theta)
            return gradient

        product: Tensor = torch.func.jvp(weighted_gradient, (self.params,), (x.to(self.params),))[1]
        return product

    def curvature(self, weights: Tensor) -> Callable[[Tensor, SampleMap], Tensor]:
        return lambda x, sample_map: self.vjp(sample_map(self.jvp(x))) + self.hvp(weights, x)


def _joined(layers: list[tuple[Tensor, Tensor]], log_std: Tensor) -> Tensor:
    """One vector (P,) in the order of θ."""
    return torch.cat([part.reshape(-1) for pair in layers for part in pair] + [log_std])
