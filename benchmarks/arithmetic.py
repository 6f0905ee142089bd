"""The floating-point operations of an inner iteration, counted from the sizes of its networks."""

from __future__ import annotations

import dataclasses
import itertools
import typing
from collections.abc import Mapping, Sequence

from admrl_native.algorithms.settings import TrainingSettings
from admrl_native.families.declaration import Family

ROLLOUT, DYNAMICS, ADVANTAGES, TRPO, VALUE = (
    "virtual rollout",
    "dynamics fit",
    "advantages",
    "TRPO",
    "value fit",
)
UPDATE = "TRPO and value fit"
PARTS = (ROLLOUT, DYNAMICS, ADVANTAGES, TRPO, VALUE, UPDATE)
LARGE = (ROLLOUT, DYNAMICS)  # the parts whose products may be bfloat16


@dataclasses.dataclass(frozen=True)
class Arithmetic:
    """Operations of one call of each part.

    Attributes:
        flops: by part.
        calls: of each part in an inner iteration.
    """

    flops: Mapping[str, float]
    calls: Mapping[str, int]

    @classmethod
    def of(cls, settings: TrainingSettings, family: Family) -> typing.Self:
        networks, schedule = settings.networks, settings.schedule
        obs_dim, act_dim, samples = family.obs_dim, family.act_dim, schedule.n_trpo
        model = _Network((obs_dim + act_dim, *networks.dynamics_hidden, obs_dim))
        policy = _Network((obs_dim, *networks.policy_hidden, act_dim))
        value = _Network((obs_dim, *networks.value_hidden, 1))
        minibatches = settings.dynamics_fit.batch_size * schedule.n_model
        gradient = policy.forward + policy.backward
        # One for each iteration and one for the length of the step; at least one candidate.
        products = (settings.trpo.cg_iterations + 1) * (policy.tangent + policy.backward)
        flops = {
            ROLLOUT: samples * model.forward,
            DYNAMICS: minibatches * (model.forward + model.backward),
            ADVANTAGES: 2 * samples * value.forward,
            TRPO: samples * (gradient + products + policy.forward),
            VALUE: settings.value_fit.epochs * samples * (value.forward + value.backward),
        }
        flops[UPDATE] = flops[TRPO] + flops[VALUE]
        n = schedule.n_policy
        return cls(flops, {ROLLOUT: n, DYNAMICS: 1, ADVANTAGES: n, TRPO: n, VALUE: n, UPDATE: n})

    def seconds(self, part: str, precision: str, peaks: Mapping[str, float]) -> float:
        """Least time of one call, at `peaks` FLOP/s by precision."""
        return self.flops[part] / peaks[precision if part in LARGE else "fp32"]

    def iteration_seconds(self, precision: str, peaks: Mapping[str, float]) -> float:
        """Least time of an inner iteration."""
        parts = (ROLLOUT, DYNAMICS, ADVANTAGES, UPDATE)
        return sum(self.calls[p] * self.seconds(p, precision, peaks) for p in parts)


class _Network:
    """Operations per sample of a dense network's products; activations are not counted."""

    def __init__(self, sizes: Sequence[int]) -> None:
        products = [2.0 * i * o for i, o in itertools.pairwise(sizes)]
        self.forward = sum(products)
        self.backward = 2 * sum(products) - products[0]  # of the weights, and of all inputs but x
        self.tangent = 2 * sum(products) - products[0]  # along the weights, and through the layers
