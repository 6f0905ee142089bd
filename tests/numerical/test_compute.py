"""Native and plain torch behind one interface: the same numbers; and which of them is chosen."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys

import pytest
import torch

from admrl_native._native import _core
from admrl_native.derivatives.settings import TrpoSettings
from admrl_native.families.catalogue import make_family
from admrl_native.settings import SettingError
from admrl_native.training.choose_compute import choose_compute
from admrl_native.training.native_compute import NativeCompute
from admrl_native.training.settings import AdvantageSettings, ComputeSettings
from admrl_native.training.torch_compute import TorchCompute
from toy import Memory, make_trainer

CPU = torch.device("cpu")
PSIS = torch.tensor([[0.5, 1.4], [1.0, 1.1], [-0.5, 1.3]], dtype=torch.float64)
FAMILY = make_family("Hopper2D")


class Bench:
    """A environments with a model that has seen some data, and an agent for each task."""

    def __init__(self, compute, tasks=3):
        self.compute, self.environments = compute, make_trainer(Memory()).environments
        self.model = self.environments.new_model(torch.Generator().manual_seed(0))
        self.agents = [
            self.environments.new_agent(torch.Generator().manual_seed(1)) for _ in range(tasks)
        ]
        policy = self.agents[0].policy
        self.model.add("train", self.environments.collect(policy, PSIS[0], 400, 2, "train"))
        for agent in self.agents:
            agent.adopt_normaliser(self.model.dynamics.states)

    def train(self, psis=PSIS, iterations=2):
        figures: list[list[dict[str, float]]] = []
        self.environments.virtual_training(
            self.agents,
            self.model,
            psis,
            iterations,
            3,
            lambda _iteration, of_tasks: figures.append(of_tasks),
            compute=self.compute,
        )
        return figures

    def batch(self):
        """Samples of every agent and their targets."""
        sampler = self.compute.virtual_sampler(
            self.model.dynamics,
            [a.policy for a in self.agents],
            num_envs=10,
            num_steps=40,
            horizon=25,
        )
        generators = [torch.Generator().manual_seed(5) for _ in self.agents]
        samples = sampler.sample(
            PSIS[: len(self.agents)], self.environments.start_states(0), generators
        )
        values = [agent.value for agent in self.agents]
        return samples, self.compute.advantages_and_returns(samples, values, AdvantageSettings())


def native(threads=1, precision="fp32"):
    return NativeCompute(FAMILY, threads, precision)


def plain():
    return TorchCompute(FAMILY, CPU, "fp32")


def parameters(agent):
    return torch.cat(
        [p.detach().flatten() for p in (*agent.policy.parameters(), *agent.value.parameters())]
    )


def test_tasks_at_once_are_the_tasks_one_by_one_bit_for_bit():
    together = Bench(native(2))
    figures = together.train()
    for b, psi in enumerate(PSIS):
        alone = Bench(native(), tasks=1)
        expected = alone.train(psi.unsqueeze(0))
        assert torch.equal(parameters(together.agents[b]), parameters(alone.agents[0]))
        assert [of_tasks[b] for of_tasks in figures] == [of_task for (of_task,) in expected]
        for ours, theirs in zip(
            together.model.dynamics.parameters(), alone.model.dynamics.parameters(), strict=True
        ):
            assert torch.equal(ours, theirs)
    returns = [of_task["virtual_return"] for of_task in figures[-1]]
    assert len(set(returns)) == len(PSIS)


def test_advantages_and_updates_are_torchs():
    ours, theirs = Bench(native(2)), Bench(plain())
    samples, targets = ours.batch()
    for (a, r), (b, s) in zip(
        targets,
        theirs.compute.advantages_and_returns(
            samples, [x.value for x in theirs.agents], AdvantageSettings()
        ),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)  # float32 sums of 25 steps
        torch.testing.assert_close(r, s, rtol=1e-5, atol=1e-5)
    updates = []
    for bench in (ours, theirs):
        generators = [torch.Generator().manual_seed(7) for _ in PSIS]
        updates.append(
            bench.compute.update_agents(bench.agents, samples, targets, TrpoSettings(), generators)
        )
    before = parameters(Bench(plain()).agents[0])
    for mine, other, x, y in zip(ours.agents, theirs.agents, *updates, strict=True):
        # TRPO to 1e-4 (test_native_trpo); Adam of the value fit, see test_value_fit.
        moved = (parameters(other) - before).norm()
        assert (parameters(mine) - parameters(other)).norm() < 1e-2 * moved
        assert x.trpo.kl == pytest.approx(y.trpo.kl, rel=1e-3)
        assert x.trpo.line_search_steps == y.trpo.line_search_steps
        assert x.value_loss == pytest.approx(y.value_loss, rel=1e-3)


@pytest.mark.parametrize("compute", [native(2), plain()], ids=["native", "torch"])
def test_an_update_is_its_two_parts(compute):
    whole, parts = Bench(compute), Bench(compute)
    samples, targets = whole.batch()
    generators = [torch.Generator().manual_seed(7) for _ in range(2 * len(PSIS))]
    updates = compute.update_agents(whole.agents, samples, targets, TrpoSettings(), generators[:3])
    steps = compute.update_policies(parts.agents, samples, targets, TrpoSettings())
    losses = compute.fit_values(parts.agents, samples, targets, generators[3:])
    assert [u.trpo for u in updates] == steps
    assert [u.value_loss for u in updates] == losses
    for one, other in itertools.zip_longest(whole.agents, parts.agents):
        assert torch.equal(parameters(one), parameters(other))


def test_a_dynamics_fit_is_torchs():
    ours, theirs = Bench(native(2)), Bench(plain())
    start = torch.cat([p.detach().flatten() for p in ours.model.dynamics.net.parameters()])
    losses, ends = [], []
    for bench in (ours, theirs):
        generator = torch.Generator().manual_seed(4)
        fit, replay = bench.model.fit, bench.model.replays["train"]
        losses.append(bench.compute.fit_dynamics(fit, replay, 10, generator))
        ends.append(
            torch.cat([p.detach().flatten() for p in bench.model.dynamics.net.parameters()])
        )
        assert {float(e["step"]) for e in fit.optimiser.state.values()} == {10.0}
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    # Adam's steps have full size in the sign of gradients near zero: see test_native_dynamics_fit.
    assert (ends[0] - ends[1]).norm() < 2e-2 * (ends[1] - start).norm()


@pytest.mark.skipif(not _core.build_info()["bf16"], reason="no bfloat16 instructions here")
def test_the_precision_reaches_rollouts_and_fit():
    losses, states = {}, {}
    for name, compute in {
        "fp32": native(),
        "bf16": native(precision="bf16"),
        "plain": TorchCompute(FAMILY, CPU, "bf16"),
    }.items():
        bench = Bench(compute, tasks=1)
        fit, replay = bench.model.fit, bench.model.replays["train"]
        losses[name] = compute.fit_dynamics(fit, replay, 1, torch.Generator().manual_seed(4))
        for p in bench.model.dynamics.net.parameters():
            p.detach().copy_(torch.randn(p.shape, generator=torch.Generator().manual_seed(5)) / 4)
        states[name] = bench.batch()[0][0].next_obs[:, 0]
    assert losses["bf16"] == pytest.approx(losses["plain"], rel=1e-6)
    assert (states["bf16"] - states["plain"]).norm() < 0.1 * (
        states["bf16"] - states["fp32"]
    ).norm()


def test_auto_is_native_on_the_cpu():
    assert choose_compute(ComputeSettings(), FAMILY, CPU, 1).path == "native"
    chosen = choose_compute(ComputeSettings(compute="torch", precision="bf16"), FAMILY, CPU, 1)
    assert chosen.describe()["path"] == "torch"
    assert chosen.precision == "bf16"
    assert native(3).describe()["where"] == f"kernels {_core.build_info()['kernels']}"


def test_native_on_a_gpu_is_refused():
    with pytest.raises(
        SettingError, match="compute: expected torch or auto on the device cuda, got native"
    ):
        choose_compute(ComputeSettings(compute="native"), FAMILY, torch.device("cuda"), 1)


def test_bf16_is_refused_where_the_processor_has_none():
    code = """
import torch
from admrl_native.families.catalogue import make_family
from admrl_native.training.choose_compute import choose_compute
from admrl_native.training.settings import ComputeSettings
choose_compute(ComputeSettings(precision="bf16"), make_family("Ant2D"), torch.device("cpu"), 1)
"""
    environment = {**os.environ, "ADMRL_ISA": "generic", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "precision: expected fp32: bf16 needs a processor with AVX-512 BF16" in done.stderr
    assert "kernels generic" in done.stderr
