"""Every stream of a run is its own."""

import numpy as np
import pytest
import torch

from admrl_native import seeding
from admrl_native.seeding import derive_generator, derive_seed


def test_seeds_depend_on_every_element_of_the_path():
    seeds = {derive_seed(0), derive_seed(1), derive_seed(0, 1), derive_seed(0, "1", 2)}
    assert len(seeds | {derive_seed(0, 1, 2, "x"), derive_seed(0, 12)}) == 6
    assert derive_seed(0, 1, "a") == derive_seed(0, 1, "a")


def test_a_generator_depends_on_every_bit_of_its_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    def numbers(seed: int) -> list[float]:
        monkeypatch.setattr(seeding, "derive_seed", lambda *_: seed)
        generator = derive_generator(0)
        return [*torch.rand(3, generator=generator), *torch.randn(3, generator=generator)]

    streams = {tuple(numbers(0))} | {tuple(numbers(1 << bit)) for bit in range(63)}
    assert len(streams) == 64
    assert numbers(5) == numbers(5)


def test_a_derived_generator_draws_as_the_mersenne_twister_does() -> None:
    """The same words in numpy's MT19937: 24 random bits of each output are a float of torch."""
    words = np.random.SeedSequence(derive_seed(3, "x")).generate_state(624)
    reference = np.random.MT19937()
    reference.state = {"bit_generator": "MT19937", "state": {"key": words, "pos": 624}}
    expected = (reference.random_raw(700) & (2**24 - 1)) * 2.0**-24
    found = torch.rand(700, generator=derive_generator(3, "x"))
    np.testing.assert_array_equal(found.numpy(), expected.astype(np.float32))
