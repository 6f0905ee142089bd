"""Declarations, their catalogue, and the space of tasks."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from admrl_native.families.catalogue import FAMILIES, make_family
from admrl_native.families.declaration import Family, HealthyRange, ObsBlock
from admrl_native.families.state_normalisation import StateNormalisation
from admrl_native.families.task_space import TaskSpace
from admrl_native.families.torch_family import TorchFamily

ANT = make_family("Ant2D")


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_survives_json_and_yaml(name: str) -> None:
    family = make_family(name)
    for text, load in (
        (json.dumps(family.to_dict()), json.loads),
        (yaml.safe_dump(family.to_dict()), yaml.safe_load),
    ):
        assert Family.from_dict(load(text)) == family


def test_an_unknown_name_lists_the_known() -> None:
    with pytest.raises(ValueError, match=r"^family: expected one of Hopper2D, .*, got 'Humanoid'$"):
        make_family("Humanoid")


def test_normalisation_is_for_cheetah_alone() -> None:
    given = StateNormalisation((1.0,) * 18, (2.0,) * 18)
    family = make_family("Cheetah-Highdim", given)
    assert family.offset == given.mean
    assert family.scale == given.std
    with pytest.raises(ValueError, match="state_normalisation: expected None, Ant2D has none"):
        make_family("Ant2D", given)


def test_cheetahs_features_are_standardised() -> None:
    family = make_family("Cheetah-Highdim")
    scale = np.array(family.scale)
    # Positions (m, rad) spread by tenths, velocities by units, under a random policy.
    assert (scale[:9] > 0.01).all()
    assert (scale[:9] < 2).all()
    assert (scale[9:] > 0.1).all()
    assert (scale[9:] < 20).all()


def test_negative_indices_count_from_the_end() -> None:
    assert ANT.features == (32, 33)
    assert ANT.obs_dim == 35
    range_ = HealthyRange((-1,), low=0.0)
    assert dataclasses.replace(ANT, healthy=(range_,)).healthy[0].indices == (34,)


CHANGES: list[tuple[dict[str, Any], str]] = [
    ({"name": ""}, "name: expected a name"),
    ({"act_dim": 0}, "act_dim: expected at least 1, got 0"),
    ({"obs_blocks": ()}, "obs_blocks: expected at least one block"),
    ({"task_low": (0.0,)}, r"task_low: expected \(K=2,\) finite numbers, got \(0.0,\)"),
    ({"task_high": (-4.0, 3.0)}, r"task_low, task_high: expected low < high, got \(-3.0, -4.0\)"),
    ({"coefficients": (1.0, float("nan"))}, r"coefficients: expected \(K=2,\) finite numbers"),
    ({"scale": (1.0, 0.0)}, "scale: expected positive numbers"),
    ({"form": "quadratic"}, "form: expected one of abs, linear, got 'quadratic'"),
    ({"features": (35, 0)}, r"features: expected indices in \[-35, 35\), got 35"),
    ({"features": (1,)}, r"features: expected \(K=2,\) indices"),
    ({"healthy": (HealthyRange((40,), low=0.0),)}, r"healthy: expected indices in \[-35, 35\)"),
    ({"bonus": float("inf")}, "bonus: expected a finite number"),
]


@pytest.mark.parametrize(("changes", "message"), CHANGES)
def test_contradictions(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(ANT, **changes)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: ObsBlock("xpos", 0, 1),
            "source: expected one of qpos, qvel, qpos_rate, got 'xpos'",
        ),
        (lambda: ObsBlock("qpos", 1, 1), "start, stop: expected 0 <= start < stop"),
        (lambda: ObsBlock("qpos", 0, 1, clip=0.0), "clip: expected a positive number or None"),
        (lambda: HealthyRange((), low=0.0), "indices: expected at least one index"),
        (lambda: HealthyRange((0,)), "low, high: expected a finite number or None each"),
        (lambda: HealthyRange((0,), 1.0, 1.0), "low, high: expected low < high"),
    ],
)
def test_parts(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_from_dict_names_what_is_wrong() -> None:
    values = ANT.to_dict()
    with pytest.raises(ValueError, match=r"family: expected the fields of a Family: .*colour"):
        Family.from_dict({**values, "colour": "red"})
    del values["obs_blocks"]
    with pytest.raises(ValueError, match="family: expected the fields of a Family: 'obs_blocks'"):
        Family.from_dict(values)


def test_missing_models() -> None:
    with pytest.raises(FileNotFoundError, match="model: expected an XML file, found none at"):
        dataclasses.replace(ANT, model="gymnasium:unicorn.xml").model_path()


def test_declaring_imports_neither_gymnasium_nor_the_core() -> None:
    code = (
        "import sys; from admrl_native.families.declaration import Family; "
        "bad = {'gymnasium', 'torch', 'mujoco', 'admrl_native._core'} & set(sys.modules); "
        "sys.exit(', '.join(bad) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", FAMILIES)
def test_task_space(name: str) -> None:
    family = make_family(name)
    space = TaskSpace(family)
    k = family.task_dim
    assert space.from_normalised(-torch.ones(k)).tolist() == list(family.task_low)
    assert space.from_normalised(torch.ones(k)).tolist() == list(family.task_high)
    u = torch.rand((4, k), generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2 - 1
    # A few float64 roundings.
    torch.testing.assert_close(space.to_normalised(space.from_normalised(u)), u, rtol=0, atol=1e-13)
    v = u.clone().requires_grad_()
    weights = torch.arange(1, k + 1, dtype=torch.float64)
    (space.from_normalised(v) * weights).sum().backward()
    assert v.grad is not None
    # The same product of three numbers in another order.
    torch.testing.assert_close(
        space.gradient_in_u(weights).expand(4, k), v.grad, rtol=1e-15, atol=0
    )


def test_task_validation() -> None:
    space = TaskSpace(ANT)
    assert space.validate([1, -3]).tolist() == [1.0, -3.0]
    assert space.validate([5.0, -5.0], inside=False).tolist() == [5.0, -5.0]
    for psi, message in (
        ([1.0], r"psi: expected \(K=2,\) numbers \(x velocity, y velocity\), got \(1,\)"),
        ([0.0, 3.5], r"psi: expected y velocity in \[-3, 3\], got 3.5"),
        ([float("nan"), 0.0], r"psi: expected x velocity in \[-3, 3\], got nan"),
    ):
        with pytest.raises(ValueError, match=message):
            space.validate(psi)
    with pytest.raises(ValueError, match="psi: expected x velocity finite, got inf"):
        space.validate([float("inf"), 0.0], inside=False)


def test_torch_bounds_are_those_of_float64() -> None:
    """A float32 comparison must agree with the float64 one next to and at every bound."""
    for closed in (True, False):
        for bound in (0.7, 0.2, 1.0, -0.2, 100.0):
            x = np.float32(bound)
            near = [np.nextafter(x, np.float32(-np.inf)), x, np.nextafter(x, np.float32(np.inf))]
            for kind in ("low", "high"):
                range_ = HealthyRange((0,), **{kind: bound}, closed=closed)  # type: ignore[arg-type]
                family = dataclasses.replace(ANT, healthy=(range_,))
                obs = torch.zeros((3, 35))
                obs[:, 0] = torch.tensor(np.array(near))
                inside = [
                    (float(v) == bound and closed)
                    or (float(v) > bound if kind == "low" else float(v) < bound)
                    for v in near
                ]
                assert TorchFamily(family).dones(obs).tolist() == [not i for i in inside]
