"""Score products and Hessian estimators against torch.autograd.functional, float64."""

import pytest
import torch

from admrl_native.derivatives.scores import AutodiffScores, MlpScores, score_products
from admrl_native.networks.policy import GaussianPolicy
from admrl_native.networks.settings import NetworkSettings
from admrl_native.task_gradient.hessian import per_step_hessian

TOLERANCE = {"rtol": 1e-10, "atol": 1e-10}  # float64; sums of 60 samples


class OwnPolicy:
    """A policy that is no GaussianPolicy: one layer, and a standard deviation that is not in θ."""

    def __init__(self, theta):
        self.theta = theta

    def get_params(self):
        return self.theta

    def normaliser(self, obs):
        return obs

    def mean_and_log_std(self, params, x):
        return x @ params.view(2, 3).T, torch.tensor([0.2, -0.1], dtype=params.dtype)


@pytest.fixture(params=["mlp", "autodiff", "own policy"])
def problem(request):
    generator = torch.Generator().manual_seed(3)
    policy = GaussianPolicy(3, 2, NetworkSettings(policy_hidden=(5, 4)), generator)
    with torch.no_grad():
        policy.log_std += torch.tensor([0.3, -0.4])
    policy.normaliser.update(torch.randn(50, 3, generator=generator) * 2 + 1)
    if request.param == "own policy":
        policy = OwnPolicy(torch.randn(6, generator=generator, dtype=torch.float64))
    obs = torch.randn(60, 3, generator=generator)
    actions = torch.randn(60, 2, generator=generator)
    weights = torch.randn(60, generator=generator, dtype=torch.float64)
    theta = policy.get_params().double()
    x = torch.randn(theta.numel(), generator=generator, dtype=torch.float64)
    kind = MlpScores if request.param == "mlp" else AutodiffScores
    scores = kind(policy, obs, actions, torch.float64)

    def log_probs(params):
        mean, log_std = policy.mean_and_log_std(params, policy.normaliser(obs).double())
        return torch.distributions.Normal(mean, log_std.exp()).log_prob(actions).sum(1)

    return scores, log_probs, theta, weights, x


def test_the_linearisation_serves_gaussian_policies_and_autodiff_all_others():
    generator = torch.Generator().manual_seed(0)
    policy = GaussianPolicy(3, 2, NetworkSettings(policy_hidden=(5,)), generator)
    obs, actions = torch.randn(4, 3), torch.randn(4, 2)
    assert isinstance(score_products(policy, obs, actions), MlpScores)
    own = OwnPolicy(torch.zeros(6, dtype=torch.float64))
    assert isinstance(score_products(own, obs, actions), AutodiffScores)


def test_jvp_and_vjp(problem):
    scores, log_probs, theta, weights, x = problem
    jacobian = torch.autograd.functional.jacobian(log_probs, theta)
    torch.testing.assert_close(scores.jvp(x), jacobian @ x, **TOLERANCE)
    torch.testing.assert_close(scores.vjp(weights), jacobian.T @ weights, **TOLERANCE)


def test_curvature(problem):
    """Gᵀ A G x + Σ w ∇²log π x, for a map A that mixes the samples."""
    scores, log_probs, theta, weights, x = problem
    jacobian = torch.autograd.functional.jacobian(log_probs, theta)
    hessian = torch.autograd.functional.hessian(lambda p: weights @ log_probs(p), theta)
    mixing = torch.randn(60, 60, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    product = scores.curvature(weights)
    for matrix in (torch.zeros_like(mixing), mixing):
        expected = jacobian.T @ (matrix @ (jacobian @ x)) + hessian @ x
        got = product(x, lambda c, matrix=matrix: matrix @ c)
        torch.testing.assert_close(got, expected, **TOLERANCE)


def test_single_precision_is_close(problem):
    scores, _, _, weights, x = problem
    if isinstance(scores, AutodiffScores):
        pytest.skip("one precision is enough for the plain twin")
    generator = torch.Generator().manual_seed(3)
    policy = GaussianPolicy(3, 2, NetworkSettings(policy_hidden=(5, 4)), generator)
    obs, actions = torch.randn(60, 3), torch.randn(60, 2)
    double, single = (
        MlpScores(policy, obs, actions, dtype).curvature(weights)(x, lambda c: weights.to(c) * c)
        for dtype in (torch.float64, torch.float32)
    )
    assert single.dtype == torch.float32
    # sums of 60 terms in float32
    torch.testing.assert_close(single.double(), double, rtol=1e-4, atol=1e-4)


def test_per_step_hessian_is_appendix_b_with_parameter_copies(problem):
    """Eq. 20 differentiated as Appendix B says, with three copies of θ."""
    scores, log_probs, theta, weights, x = problem

    def eta_h(theta_1, theta_2, theta_3):
        return weights @ (log_probs(theta_1) * log_probs(theta_2) + log_probs(theta_3))

    copies = [theta.clone().requires_grad_() for _ in range(3)]
    gradient_2, gradient_3 = torch.autograd.grad(eta_h(*copies), copies[1:], create_graph=True)
    g1 = torch.autograd.grad(gradient_2 @ x, copies[0], retain_graph=True)[0]
    g2 = torch.autograd.grad(gradient_3 @ x, copies[2])[0]
    torch.testing.assert_close(per_step_hessian(scores, weights)(x), g1 + g2, **TOLERANCE)
