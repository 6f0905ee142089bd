"""The health report: figures with known answers."""

import dataclasses

import pytest
import torch

from admrl_native.task_gradient.health import Health, cosine, jackknife, trusted_signs, verdict
from admrl_native.task_gradient.implicit import Solve

HEALTH = Health(
    ritz_smallest=-2.0,
    ritz_largest=-1.0,
    stationarity=0.1,
    stationarity_noise=0.1,
    standard_error=torch.tensor([0.1, 0.1], dtype=torch.float64),
    halves=torch.tensor([[1.0, 1.0], [1.0, 2.0]], dtype=torch.float64),
    halves_cosine=0.9,
    trusted=(True, True),
)
TOTAL = torch.tensor([1.0, -1.0], dtype=torch.float64)
IMPLICIT = 0.1 * TOTAL
SOLVED = Solve(torch.zeros(3), "minres", "asked for", "converged", 3, 5, 0.5, 1e-7)


def test_jackknife_of_a_mean_is_the_textbook_standard_error():
    x = torch.randn(12, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = jackknife(lambda i: torch.cat([x[:i], x[i + 1 :]]).mean(0), 12)
    torch.testing.assert_close(found, x.std(0) / 12**0.5)


def test_a_sign_is_trusted_beyond_two_standard_errors():
    total = torch.tensor([0.3, -0.3, 0.1, 0.0])
    errors = torch.tensor([0.1, 0.1, 0.1, 0.0])
    assert trusted_signs(total, errors) == (True, True, False, False)
    assert trusted_signs(torch.tensor([float("nan")]), torch.tensor([1.0])) == (False,)


def test_cosine():
    a, b = torch.tensor([1.0, 0.0]), torch.tensor([1.0, 1.0])
    assert cosine(a, b) == pytest.approx(0.5**0.5)
    assert cosine(a, 0 * b) is None
    assert cosine(a, b * float("inf")) is None


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "trusted"),
        ({"trusted": (True, False)}, "sign not to be trusted in component 2"),
        ({"trusted": (False, False)}, "no component's sign can be trusted"),
        ({"trusted": None, "standard_error": None}, "no standard errors"),
        ({"halves_cosine": -0.1}, "the halves of the data disagree on the direction"),
        (
            {"stationarity": 0.5},
            "theta^ is not stationary in the model, which the implicit term assumes",
        ),
    ],
)
def test_verdict(changes, expected):
    assert verdict(dataclasses.replace(HEALTH, **changes), TOTAL, IMPLICIT, [SOLVED]) == expected


def test_verdict_on_a_failed_solve_and_on_numbers_that_are_not_finite():
    failed = dataclasses.replace(SOLVED, status="max_iterations")
    assert verdict(HEALTH, TOTAL, IMPLICIT, [SOLVED, failed]) == (
        "the solve did not converge (max_iterations)"
    )
    assert verdict(HEALTH, TOTAL * float("nan"), IMPLICIT, [SOLVED]) == "not finite"


def test_verdict_on_a_term_that_the_damping_takes_away():
    suppressed = dataclasses.replace(SOLVED, residual=0.97)
    assert verdict(HEALTH, TOTAL, IMPLICIT, [suppressed]) == (
        "the damping suppresses the implicit term (residual 0.97)"
    )
    # M = 0: there is no such term, whatever the damping
    assert verdict(HEALTH, TOTAL, 0 * IMPLICIT, [suppressed]) == "trusted"


def test_long_lists_of_components_are_shortened():
    health = dataclasses.replace(HEALTH, trusted=(True, *[False] * 6))
    expected = "sign not to be trusted in component 2, 3, 4, 5, ..."
    assert verdict(health, TOTAL, IMPLICIT, [SOLVED]) == expected
