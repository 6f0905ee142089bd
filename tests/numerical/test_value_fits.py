"""Value fits of several tasks at once against the plain loop of torch for each."""

import pytest
import torch

from admrl_native.networks.settings import NetworkSettings
from admrl_native.networks.value import ValueFunction
from admrl_native.training.settings import ValueFitSettings
from admrl_native.training.value_fit import ValueFit
from admrl_native.training.value_fits import ValueFits, fit_values
from devices import DEVICES, generators

B, M, OBS_DIM = 3, 150, 4
NETWORKS = NetworkSettings(value_hidden=(9, 7))


def problem(settings, dtype=torch.float64, device="cpu", networks=NETWORKS):
    """B fits with normalisers of their own, obs (B, M, D) and returns (B, M)."""
    g = torch.Generator().manual_seed(0)
    fits = []
    obs = torch.randn(B, M, OBS_DIM, generator=g) * 2 + 1
    for b in range(B):
        value = ValueFunction(OBS_DIM, networks, g)
        value.normaliser.update(obs[b] + 0.3)
        fits.append(ValueFit(value.to(device, dtype), settings))
    returns = 3 * obs.sum(2).sin() + torch.randn(B, M, generator=g) + 5 * torch.arange(B)[:, None]
    return fits, obs.to(device, dtype), returns.to(device, dtype)


def plain(fit, obs, returns, generator):
    return fit.fit(obs, returns, generator)


def tensors(fit):
    states = [fit.optimiser.state[p] for p in fit.value.net.parameters()]
    moments = [state[name] for state in states for name in ("exp_avg", "exp_avg_sq")]
    return [*fit.value.state_dict().values(), *moments]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    ("minibatch", "normalise"), [(64, False), (50, True), (1000, False), (149, True), (1, False)]
)
def test_fits_are_those_of_torch(minibatch, normalise, device):
    settings = ValueFitSettings(epochs=2, minibatch=minibatch, normalise_targets=normalise)
    references, obs, returns = problem(settings, device=device)
    fits, *_ = problem(settings, device=device)
    together = ValueFits(fits, M)
    for call in range(2):  # the second goes on from the moments of the first
        losses = together.fit(obs, returns, generators(device, range(call, call + B)))
        expected = [
            plain(*each)
            for each in zip(
                references, obs, returns, generators(device, range(call, call + B)), strict=True
            )
        ]
        assert losses == pytest.approx(expected, rel=1e-6)  # torch's loop sums them in float32
        for ours, theirs in zip(fits, references, strict=True):
            for x, y in zip(tensors(ours), tensors(theirs), strict=True):
                # float64 on both sides; Adam's first steps divide gradients near zero by themselves
                torch.testing.assert_close(x, y, rtol=1e-6, atol=1e-7)
            steps = 2 * (call + 1) * -(-M // min(minibatch, M))
            assert all(state["step"] == steps for state in ours.optimiser.state.values())


@pytest.mark.parametrize("device", DEVICES)
def test_tasks_at_once_are_the_tasks_one_by_one(device):
    settings = ValueFitSettings(epochs=3)
    fits, obs, returns = problem(settings, torch.float32, device)
    singles, *_ = problem(settings, torch.float32, device)
    losses = fit_values(fits, obs, returns, generators(device, range(B)))
    for b, generator in enumerate(generators(device, range(B))):
        (loss,) = fit_values(singles[b : b + 1], obs[b : b + 1], returns[b : b + 1], [generator])
        # float32: 9 Adam steps of 1e-3 whose sums may round differently
        assert loss == pytest.approx(losses[b], rel=1e-5)
        for x, y in zip(tensors(fits[b]), tensors(singles[b]), strict=True):
            torch.testing.assert_close(x, y, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("device", DEVICES)
def test_nothing_but_buffers_is_kept_between_fits(device):
    settings = ValueFitSettings(epochs=2)
    kept, obs, returns = problem(settings, torch.float32, device)
    used = ValueFits(kept, M)
    start = [fit.value.state_dict() for fit in problem(settings, torch.float32, device)[0]]
    used.fit(-obs, returns + 1, generators(device, range(9, 9 + B)))
    with torch.no_grad():  # as the warm-up of a capture does
        used._step.zero_()
        for _ in range(3):
            used._step_all()
    for fit, state in zip(kept, start, strict=True):
        fit.value.load_state_dict(state)
        for entry in fit.optimiser.state.values():
            for tensor in entry.values():
                tensor.zero_()
    fresh, *_ = problem(settings, torch.float32, device)
    losses = used.fit(obs, returns, generators(device, range(B)))
    assert losses == fit_values(fresh, obs, returns, generators(device, range(B)))
    for one, other in zip(kept, fresh, strict=True):
        assert all(torch.equal(x, y) for x, y in zip(tensors(one), tensors(other), strict=True))


def test_fits_that_differ_are_refused():
    fits, obs, returns = problem(ValueFitSettings())
    others, *_ = problem(ValueFitSettings(epochs=1))
    with pytest.raises(ValueError, match=r"^fits: expected one settings, "):
        ValueFits([fits[0], others[0]], M)
    wide, *_ = problem(ValueFitSettings(), networks=NetworkSettings(value_hidden=(8,)))
    with pytest.raises(ValueError, match=r"^fits: expected one shape, "):
        ValueFits([fits[0], wide[0]], M)
    plain(fits[0], obs[0], returns[0], torch.Generator())
    with pytest.raises(ValueError, match=r"same number of Adam steps done, got \[15, 0, 0\]"):
        fit_values(fits, obs, returns, generators("cpu", range(B)))
