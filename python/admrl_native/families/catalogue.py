"""The five task families of the paper.

Source: Section 5 and Appendix C; models, indices and ranges as the authors ran them. The paper
prints the low-dimensional reward without its minus sign (docs/equations.md).
"""

from __future__ import annotations

import dataclasses
import functools

from .declaration import Family, HealthyRange, ObsBlock
from .state_normalisation import StateNormalisation, initial_policy_statistics


def _legged_2d(
    name: str, model: str, act_dim: int, dof: int, vx: int, z: tuple[float, float]
) -> Family:
    """Hopper and Walker: ψ is a forward velocity (m/s) and a height (m)."""
    return Family(
        name=name,
        model=model,
        act_dim=act_dim,
        obs_blocks=(
            ObsBlock("qpos", 1, dof),  # the robot does not see how far it has come
            ObsBlock("qvel", 0, dof, clip=10.0),
        ),
        task_names=("forward velocity", "height"),
        task_low=(-2.0, z[0]),
        task_high=(2.0, z[1]),
        form="abs",
        features=(vx, 0),
        coefficients=(1.0, 5.0),
        control_cost=0.001,
        bonus=10.0,
    )


_HOPPER = dataclasses.replace(
    _legged_2d("Hopper2D", "gymnasium:hopper.xml", 3, 6, vx=5, z=(1.2, 2.0)),
    healthy=(
        HealthyRange(tuple(range(2, 11)), high=100.0, closed=False),
        HealthyRange((0,), low=0.7, closed=False),
        HealthyRange((1,), low=-0.2, high=0.2, closed=False),
    ),
)

_WALKER = dataclasses.replace(
    _legged_2d("Walker2D", "gymnasium:walker2d.xml", 6, 9, vx=8, z=(1.0, 1.8)),
    healthy=(
        HealthyRange((0,), low=0.8, high=2.0, closed=False),
        HealthyRange((1,), low=-1.0, high=1.0, closed=False),
    ),
)

_ANT_2D = Family(
    name="Ant2D",
    model="gymnasium:ant.xml",
    act_dim=8,
    obs_blocks=(
        ObsBlock("qpos", 0, 15),
        ObsBlock("qvel", 0, 14),
        ObsBlock("qpos", 0, 3),
        ObsBlock("qpos_rate", 0, 3),
    ),
    task_names=("x velocity", "y velocity"),
    task_low=(-3.0, -3.0),
    task_high=(3.0, 3.0),
    form="abs",
    features=(-3, -2),
    coefficients=(1.0, 1.0),
    control_cost=0.005,
    bonus=0.05 + 5.0,
    healthy=(HealthyRange((2,), low=0.2, high=1.0),),
)

_ANT_3D = dataclasses.replace(
    _ANT_2D,
    name="Ant3D",
    task_names=("x velocity", "y velocity", "height"),
    task_low=(-3.0, -3.0, 0.4),
    task_high=(3.0, 3.0, 0.6),
    features=(-3, -2, 2),
    coefficients=(1.0, 1.0, 30.0),
    offset=(),
    scale=(),
    bonus=0.05 + 3.0,
)

_CHEETAH_DIM = 18
_CHEETAH = Family(
    name="Cheetah-Highdim",
    model="gymnasium:half_cheetah.xml",
    act_dim=6,
    obs_blocks=(ObsBlock("qpos", 0, 9), ObsBlock("qvel", 0, 9)),
    task_names=tuple(f"{q}[{i}]" for q in ("qpos", "qvel") for i in range(9)),
    task_low=(-1.0,) * _CHEETAH_DIM,
    task_high=(1.0,) * _CHEETAH_DIM,
    form="linear",
    features=tuple(range(_CHEETAH_DIM)),
    coefficients=(1.0,) * _CHEETAH_DIM,
    control_cost=0.05,
)

# Made for MuJoCo 2.0; the authors begin wherever the noise leads, also beyond a joint's limits.
_DECLARED = {
    f.name: dataclasses.replace(f, halve_margins=True, reset_within_limits=False)
    for f in (_HOPPER, _WALKER, _ANT_2D, _ANT_3D, _CHEETAH)
}

FAMILIES: tuple[str, ...] = tuple(_DECLARED)
"""The names that `make_family` knows."""


def make_family(name: str, state_normalisation: StateNormalisation | None = None) -> Family:
    """A family of the paper.

    Args:
        name: one of `FAMILIES`.
        state_normalisation: μ and σ of Cheetah-Highdim's features; None: computed by running an
            initial policy (a tenth of a second), always to the same numbers.

    Raises:
        ValueError: an unknown name, or a normalisation for a family that has none.
    """
    if name not in _DECLARED:
        raise ValueError(f"family: expected one of {', '.join(FAMILIES)}, got {name!r}")
    family = _DECLARED[name]
    if family.form == "abs":
        if state_normalisation is not None:
            raise ValueError(f"state_normalisation: expected None, {name} has none")
        return family
    statistics = state_normalisation or _cheetah_statistics()
    return dataclasses.replace(family, offset=statistics.mean, scale=statistics.std)


@functools.cache
def _cheetah_statistics() -> StateNormalisation:
    return initial_policy_statistics(_DECLARED[_CHEETAH.name])
