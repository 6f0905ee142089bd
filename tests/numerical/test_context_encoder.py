"""The context encoder against its definition, plainly and in double precision."""

from __future__ import annotations

import math

import numpy as np
import torch

from admrl_native.networks.context_encoder import ContextEncoder, Posterior, product_of_gaussians

WIDTH, LATENT = 7, 3


def make_encoder(seed: int = 0) -> ContextEncoder:
    generator = torch.Generator().manual_seed(seed)
    encoder = ContextEncoder(WIDTH, LATENT, (16, 16), generator)
    with torch.no_grad():  # factors that differ from one another
        encoder.net.weights_and_biases()[-1][0].normal_(generator=generator)
    encoder.normaliser.update(2 + 3 * torch.randn(100, WIDTH, generator=generator))
    return encoder


def rows(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(*shape, WIDTH, generator=torch.Generator().manual_seed(seed))


def test_a_factor_is_a_plain_network() -> None:
    encoder, context = make_encoder(), rows(2, 5)
    means, variances = encoder.factors(context)
    layers = [
        (w.detach().double(), b.detach().double()) for w, b in encoder.net.weights_and_biases()
    ]
    normaliser = encoder.normaliser
    for task in range(2):
        for i in range(5):
            x = (context[task, i].double() - normaliser.mean.double()) / normaliser.std.double()
            for weight, bias in layers[:-1]:
                x = (weight @ x + bias).clamp(min=0)
            x = layers[-1][0] @ x + layers[-1][1]
            softplus = [math.log1p(math.exp(value)) for value in x[LATENT:].tolist()]
            # Three layers in float32.
            np.testing.assert_allclose(means[task, i].tolist(), x[:LATENT], rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(variances[task, i].tolist(), softplus, rtol=1e-4)


def test_the_product_is_the_normalised_product_of_densities() -> None:
    # On a grid: multiply the densities, normalise, take mean and variance.
    grid = torch.linspace(-12, 12, 200_001, dtype=torch.float64)
    means = torch.tensor([[[0.5], [-1.0], [2.0]]], dtype=torch.float64)
    variances = torch.tensor([[[0.3], [2.0], [1.1]]], dtype=torch.float64)
    logs = sum(
        -0.5 * (grid - mean) ** 2 / variance
        for mean, variance in zip(means.flatten(), variances.flatten(), strict=True)
    )
    weights = torch.softmax(torch.as_tensor(logs), 0)
    mean = (weights * grid).sum()
    variance = (weights * (grid - mean) ** 2).sum()
    product = product_of_gaussians(means, variances)
    # The trapezoid rule on Gaussians is exact to rounding.
    np.testing.assert_allclose(product.mean.item(), mean, rtol=1e-9)
    np.testing.assert_allclose(product.variance.item(), variance, rtol=1e-9)


def test_the_product_of_many_factors() -> None:
    encoder, context = make_encoder(), rows(3, 400)
    means, variances = (x.detach().double().numpy() for x in encoder.factors(context))
    with torch.no_grad():
        posterior = encoder(context)
    for task in range(3):
        for k in range(LATENT):
            precision, weighted = 0.0, 0.0
            for mean, variance in zip(means[task, :, k], variances[task, :, k], strict=True):
                precision += 1 / variance
                weighted += mean / variance
            # Sums of 400 float32 terms.
            assert math.isclose(posterior.variance[task, k], 1 / precision, rel_tol=1e-5)
            assert math.isclose(posterior.mean[task, k], weighted / precision, abs_tol=1e-5)


def test_the_order_of_the_context_changes_rounding_only() -> None:
    encoder, context = make_encoder(), rows(4, 64)
    order = torch.randperm(64, generator=torch.Generator().manual_seed(0))
    one, other = encoder(context), encoder(context[:, order])
    # Sums of 64 float32 numbers in another order.
    torch.testing.assert_close(one.mean, other.mean, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(one.variance, other.variance, rtol=1e-5, atol=0)
    double = encoder.double()
    one, other = double(context.double()), double(context.double()[:, order])
    torch.testing.assert_close(one.mean, other.mean, rtol=1e-13, atol=1e-14)
    torch.testing.assert_close(one.variance, other.variance, rtol=1e-13, atol=0)


def test_each_task_has_its_own_context() -> None:
    encoder, context = make_encoder(), rows(3, 10)
    together = encoder(context)
    for task in range(3):
        alone = encoder(context[task : task + 1])
        # Products of other sizes may be summed in another order.
        torch.testing.assert_close(alone.mean[0], together.mean[task], rtol=1e-5, atol=1e-6)


def test_no_transitions_no_knowledge() -> None:
    belief = make_encoder()(torch.empty(2, 0, WIDTH))
    assert torch.equal(belief.mean, torch.zeros(2, LATENT))
    assert torch.equal(belief.variance, torch.ones(2, LATENT))
    assert torch.equal(belief.kl_from_prior(), torch.zeros(2))


def test_more_transitions_narrow_the_belief() -> None:
    encoder, context = make_encoder(), rows(1, 50)
    variances = [encoder(context[:, :n]).variance for n in (1, 10, 50)]
    assert (variances[0] > variances[1]).all()
    assert (variances[1] > variances[2]).all()


def test_kl_is_an_integral() -> None:
    grid = torch.linspace(-15, 15, 100_001, dtype=torch.float64)
    means, variances = [0.7, -2.0], [0.4, 1.7]
    expected = 0.0
    for mean, variance in zip(means, variances, strict=True):
        q = -0.5 * ((grid - mean) ** 2 / variance + math.log(2 * math.pi * variance))
        p = -0.5 * (grid**2 + math.log(2 * math.pi))
        expected += torch.trapezoid(q.exp() * (q - p), grid).item()
    belief = Posterior(
        torch.tensor([means], dtype=torch.float64), torch.tensor([variances], dtype=torch.float64)
    )
    np.testing.assert_allclose(belief.kl_from_prior().item(), expected, rtol=1e-9)


def test_samples_have_the_belief_s_mean_and_variance() -> None:
    mean = torch.tensor([[1.0, -2.0]]).expand(100_000, 2).clone().requires_grad_()
    variance = torch.tensor([[0.25, 4.0]]).expand(100_000, 2)
    z = Posterior(mean, variance).sample(torch.Generator().manual_seed(0))
    # Four standard errors: σ/√n, and σ² √(2/n).
    np.testing.assert_allclose(z.mean(0).tolist(), [1.0, -2.0], atol=4 * 2 / 316)
    np.testing.assert_allclose(z.var(0).tolist(), [0.25, 4.0], rtol=4 * (2 / 1e5) ** 0.5)
    (gradient,) = torch.autograd.grad(z.sum(), mean)
    assert torch.equal(gradient, torch.ones_like(mean))
