"""Every random number of a run comes from its seed and a path of names.

A generator is derived afresh from (seed, task, stage, purpose, …) wherever one is needed, so that
a run that is stopped and resumed draws the same numbers as one that is not, and no random state has
to be saved.
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch

# Where torch's CPU generator keeps the 624 words of its Mersenne Twister, eight bytes each.
_WORDS = slice(24, 24 + 624 * 8)


def derive_seed(seed: int, *path: int | str) -> int:
    """A seed in [0, 2⁶³) that depends on `seed` and on every element of `path`."""
    text = "/".join(str(p) for p in (seed, *path))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def derive_generator(
    seed: int, *path: int | str, device: torch.device | str = "cpu"
) -> torch.Generator:
    """A generator on `device`, seeded with all 63 bits of `derive_seed(seed, *path)`.

    torch's own seeding of a CPU generator reads 32 of them, so that two of the many streams of a
    run may well be one: of 20 000 streams, in one run of twenty.
    """
    derived = derive_seed(seed, *path)
    generator = torch.Generator(device=device).manual_seed(derived)
    if generator.device.type == "cpu":
        state = generator.get_state()
        words = np.random.SeedSequence(derived).generate_state(624).astype(np.uint64)
        state[_WORDS] = torch.from_numpy(words.view(np.uint8))
        generator.set_state(state)
    return generator
