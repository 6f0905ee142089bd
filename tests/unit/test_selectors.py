"""Line 12 of Algorithm 1 and the samplers of the baselines."""

import dataclasses

import torch

from admrl_native.algorithms.admrl.selectors.ascent import ascent_step
from admrl_native.algorithms.admrl.selectors.gaussian import Gaussian
from admrl_native.algorithms.admrl.selectors.selector import Evidence
from admrl_native.algorithms.admrl.selectors.uniform import Uniform
from admrl_native.algorithms.settings import TaskSelectionSettings
from admrl_native.families.catalogue import make_family
from admrl_native.families.task_space import TaskSpace
from admrl_native.seeding import derive_generator
from toy import Memory, make_trainer

SETTINGS = TaskSelectionSettings(step_size=4.0)


def evidence() -> Evidence:
    space = TaskSpace(make_family("Ant2D"))
    current = space.at(torch.zeros(2, dtype=torch.float64))

    def refused(*_: object) -> None:
        raise AssertionError("a baseline asks for nothing that costs samples, and records nothing")

    return Evidence(1, current, {}, space, SETTINGS, refused, refused, refused)


def test_ascent_moves_uphill_and_stays_in_the_box():
    u = torch.tensor([0.3, -0.9], dtype=torch.float64)
    gradient = torch.tensor([0.05, -0.5], dtype=torch.float64)
    expected = torch.tensor([0.5, -1.0], dtype=torch.float64)
    torch.testing.assert_close(ascent_step(u, gradient, SETTINGS), expected)


def test_first_task_is_the_authors():
    first = make_trainer(Memory()).current
    assert torch.equal(first.u, torch.full((2,), 0.3, dtype=torch.float64))


def test_samplers_cover_the_box():
    known = evidence()
    tasks = [Uniform().next_task(known, derive_generator(0, i)) for i in range(2000)]
    uniform = torch.stack([task.u for task in tasks])
    assert uniform.abs().max() <= 1
    assert (uniform.mean(0).abs() < 0.06).all()  # 4.6 standard errors
    assert ((uniform.std(0) - 3**-0.5).abs() < 0.03).all()
    torch.testing.assert_close(torch.stack([task.psi for task in tasks]), 3 * uniform)
    gaussian = torch.stack(
        [Gaussian().next_task(known, derive_generator(1, i)).u for i in range(2000)]
    )
    on_boundary = (gaussian.abs() == 1).double().mean()
    assert abs(on_boundary - 0.3173) < 0.04  # P(|z| > 1); 5.5 standard errors


def test_the_spread_of_the_gaussian_is_a_setting():
    narrow = dataclasses.replace(evidence(), settings=SETTINGS.replace(gaussian_std=0.01))
    u = [Gaussian().next_task(narrow, derive_generator(1, i)).u for i in range(100)]
    assert torch.stack(u).abs().max() < 0.05
