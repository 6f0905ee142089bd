"""What adaptation to a task ends with."""

from __future__ import annotations

import dataclasses

from torch import Tensor

from ..networks.conditioned import Policy


@dataclasses.dataclass(frozen=True)
class AdaptedPolicy:
    """A policy adapted to one task.

    Attributes:
        policy: π_θ with the normaliser it was made with.
        psi: the task (K,).
        real_samples: n, real samples of this task that were used.
    """

    policy: Policy
    psi: Tensor
    real_samples: int
