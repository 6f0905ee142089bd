"""Running statistics against numpy."""

import numpy as np
import torch

from admrl_native.networks.normaliser import Normaliser


def test_matches_numpy_over_uneven_batches():
    rng = np.random.default_rng(0)
    rows = rng.normal(50.0, [0.1, 1.0, 20.0], size=(1000, 3)).astype(np.float32)
    normaliser = Normaliser(3)
    for batch in np.split(rows, [1, 5, 300]):
        normaliser.update(torch.from_numpy(batch))
    exact = rows.astype(np.float64)
    # The statistics are kept in float64 and rounded to float32 once.
    np.testing.assert_allclose(normaliser.mean, exact.mean(0), rtol=2e-7)
    np.testing.assert_allclose(normaliser.std, exact.std(0), rtol=2e-7)
    assert normaliser.count == 1000


def test_identity_before_the_first_row():
    x = torch.randn(4, 2)
    assert torch.equal(Normaliser(2)(x), x)


def test_constant_coordinate_stays_finite():
    normaliser = Normaliser(2)
    normaliser.update(torch.tensor([[3.0, 1.0], [3.0, 2.0]]))
    assert torch.isfinite(normaliser(torch.tensor([[3.0, 1.5]]))).all()
    assert normaliser(torch.tensor([[3.0, 1.5]])).abs().max() == 0
