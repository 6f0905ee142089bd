"""Every random number of a run comes from its seed and a path of names.

A generator is derived afresh from (seed, task, stage, purpose, …) wherever one is needed, so that
a run that is stopped and resumed draws the same numbers as one that is not, and no random state has
to be saved.
"""

from __future__ import annotations

import hashlib

import torch


def derive_seed(seed: int, *path: int | str) -> int:
    """A seed in [0, 2⁶³) that depends on `seed` and on every element of `path`."""
    text = "/".join(str(p) for p in (seed, *path))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def derive_generator(
    seed: int, *path: int | str, device: torch.device | str = "cpu"
) -> torch.Generator:
    """A generator on `device`, seeded with `derive_seed(seed, *path)`."""
    return torch.Generator(device=device).manual_seed(derive_seed(seed, *path))
