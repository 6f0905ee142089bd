"""Line 12 of Algorithm 1 and the samplers of the baselines."""

import torch

from admrl_native.algorithms.settings import TaskSelectionSettings
from admrl_native.algorithms.task_selection import (
    ascent_step,
    first_task,
    gaussian_task,
    uniform_task,
)
from admrl_native.seeding import derive_generator

SETTINGS = TaskSelectionSettings(step_size=4.0)


def test_ascent_moves_uphill_and_stays_in_the_box():
    u = torch.tensor([0.3, -0.9], dtype=torch.float64)
    gradient = torch.tensor([0.05, -0.5], dtype=torch.float64)
    expected = torch.tensor([0.5, -1.0], dtype=torch.float64)
    torch.testing.assert_close(ascent_step(u, gradient, SETTINGS), expected)


def test_first_task_is_the_authors():
    assert torch.equal(first_task(3, SETTINGS), torch.full((3,), 0.3, dtype=torch.float64))


def test_samplers_cover_the_box():
    uniform = torch.stack([uniform_task(2, derive_generator(0, i)) for i in range(2000)])
    assert uniform.abs().max() <= 1
    assert (uniform.mean(0).abs() < 0.06).all()  # 4.6 standard errors
    assert ((uniform.std(0) - 3**-0.5).abs() < 0.03).all()
    gaussian = torch.stack(
        [gaussian_task(2, SETTINGS, derive_generator(1, i)) for i in range(2000)]
    )
    on_boundary = (gaussian.abs() == 1).double().mean()
    assert abs(on_boundary - 0.3173) < 0.04  # P(|z| > 1); 5.5 standard errors
