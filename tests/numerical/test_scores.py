"""Score products and the per-step Hessian against torch.autograd.functional, float64."""

import pytest
import torch

from admrl_native.networks.policy import GaussianPolicy
from admrl_native.networks.settings import NetworkSettings
from admrl_native.task_gradient.hessian import per_step_hessian
from admrl_native.task_gradient.scores import ScoreProducts

TOLERANCE = {"rtol": 1e-10, "atol": 1e-10}  # float64; sums of 60 samples


@pytest.fixture
def problem():
    generator = torch.Generator().manual_seed(3)
    policy = GaussianPolicy(3, 2, NetworkSettings(policy_hidden=(5, 4)), generator)
    with torch.no_grad():
        policy.log_std += torch.tensor([0.3, -0.4])
    policy.normaliser.update(torch.randn(50, 3, generator=generator) * 2 + 1)
    obs = torch.randn(60, 3, generator=generator)
    actions = torch.randn(60, 2, generator=generator)
    weights = torch.randn(60, generator=generator, dtype=torch.float64)
    x = torch.randn(policy.get_params().numel(), generator=generator, dtype=torch.float64)
    return policy, ScoreProducts(policy, obs, actions), obs, actions, weights, x


def test_log_probs_are_the_distribution_s(problem):
    policy, scores, obs, actions, _, _ = problem
    expected = torch.distributions.Normal(policy(obs), policy.log_std.exp()).log_prob(actions)
    # The policy itself works in float32.
    torch.testing.assert_close(
        scores.log_probs(scores.params).float(), expected.sum(-1), rtol=1e-5, atol=1e-5
    )
    torch.testing.assert_close(policy.log_prob(obs, actions), expected.sum(-1))


def test_jvp_and_vjp(problem):
    _, scores, _, _, weights, x = problem
    jacobian = torch.autograd.functional.jacobian(scores.log_probs, scores.params)
    torch.testing.assert_close(scores.jvp(x), jacobian @ x, **TOLERANCE)
    torch.testing.assert_close(scores.vjp(weights), jacobian.T @ weights, **TOLERANCE)


def test_hvp(problem):
    _, scores, _, _, weights, x = problem
    hessian = torch.autograd.functional.hessian(
        lambda p: weights @ scores.log_probs(p), scores.params
    )
    torch.testing.assert_close(scores.hvp(weights, x), hessian @ x, **TOLERANCE)


def test_per_step_hessian_is_appendix_b_with_parameter_copies(problem):
    """Eq. 20 differentiated as Appendix B says, with three copies of θ."""
    _, scores, _, _, weights, x = problem

    def eta_h(theta_1, theta_2, theta_3):
        pairs = scores.log_probs(theta_1) * scores.log_probs(theta_2)
        return weights @ (pairs + scores.log_probs(theta_3))

    copies = [scores.params.clone().requires_grad_() for _ in range(3)]
    gradient_2, gradient_3 = torch.autograd.grad(eta_h(*copies), copies[1:], create_graph=True)
    g1 = torch.autograd.grad(gradient_2 @ x, copies[0], retain_graph=True)[0]
    g2 = torch.autograd.grad(gradient_3 @ x, copies[2])[0]
    torch.testing.assert_close(per_step_hessian(scores, weights)(x), g1 + g2, **TOLERANCE)


def test_per_step_hessian_is_symmetric(problem):
    _, scores, _, _, weights, x = problem
    product = per_step_hessian(scores, weights)
    columns = torch.stack([product(e) for e in torch.eye(x.numel(), dtype=x.dtype)])
    torch.testing.assert_close(columns, columns.T, **TOLERANCE)
