"""How fast is virtual training, part by part, beside plain torch and beside the machine's limit?

One inner iteration is 100 dynamics steps and 20 policy updates of 10 000 virtual samples
(Appendix C). Each part is timed on its own, then a whole iteration through `virtual_training`; what
a paper-scale run would take is projected from the whole iteration.

    python benchmarks/virtual_training.py --json FILE

Contenders of one part take turns. Plain torch is the package's own torch path (`--compute torch`),
with one thread and with as many as ours. The limit of a part is its arithmetic at the rate of the
large products alone: by the fastest kernel on this machine, ours or a library's, at the same
precision and with the same threads.
"""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

import common
from admrl_native import build_info
from admrl_native.families.catalogue import FAMILIES
from admrl_native.sampling.trajectories import Trajectories
from admrl_native.seeding import derive_generator
from admrl_native.training.agent import Agent
from admrl_native.training.compute import Compute
from admrl_native.training.learned_dynamics import LearnedDynamics
from admrl_native.training.native_compute import NativeCompute
from admrl_native.training.torch_compute import TorchCompute
from arithmetic import ADVANTAGES, DYNAMICS, LARGE, PARTS, ROLLOUT, TRPO, VALUE, Arithmetic
from common import Contender, Section, Timing, Verdict
from first_stage import FirstStage
from product_rates import product_rates

FAMILIES_TIMED = ("Ant2D", "Hopper2D", "Cheetah-Highdim")


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument(
        "--family", choices=FAMILIES, action="append", help=f"default: {', '.join(FAMILIES_TIMED)}"
    )
    parser.add_argument("--preset", choices=("quick", "small", "paper"), default="paper")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    preset = "quick" if arguments.quick else arguments.preset
    repeats = common.repeats(arguments)
    precisions = ["fp32", *(["bf16"] if build_info()["bf16"] else [])]

    about = common.machine(["admrl-native", "torch", "mujoco-core", "numpy"])
    print(
        f"preset {preset}, {about}, kernels {build_info()['kernels']}, {arguments.threads} threads"
    )
    rates = product_rates(arguments.threads, precisions, repeats)
    rates.show()
    peaks: Mapping[str, float] = rates.figures["best_flops"]
    verdicts: list[Verdict] = []
    figures: dict[str, Any] = {}
    for family in arguments.family or FAMILIES_TIMED:
        bench = Bench(family, preset, arguments.threads, precisions, peaks)
        sections = {"parts": bench.parts(repeats), "whole": bench.whole(max(3, repeats // 2))}
        for section in sections.values():
            section.show()
            verdicts += section.verdicts
        figures[family] = {name: section.figures for name, section in sections.items()}
    header = ["requirement", "measured", "asked for", ""]
    print("\n" + common.table(header, [v.cells() for v in verdicts]))
    if arguments.json:
        common.write_json(
            arguments.json,
            {
                "benchmark": "virtual_training",
                "preset": preset,
                "threads": arguments.threads,
                "machine": about,
                "kernels": build_info()["kernels"],
                "product_rates": rates.figures,
                "families": figures,
                "verdicts": verdicts,
            },
        )


@dataclasses.dataclass(frozen=True)
class Side:
    """One way of computing, with an agent and a model of its own.

    Attributes:
        name: how the tables call it.
        compute: what does the work.
        torch_threads: threads of torch while it is timed.
        agent: written by what is timed.
        model: likewise.
    """

    name: str
    compute: Compute
    torch_threads: int
    agent: Agent
    model: LearnedDynamics


class Bench:
    """The inner iteration of one family, computed in several ways.

    Args:
        family: its name.
        preset: whose sizes are used.
        threads: of ours, and the most of torch.
        precisions: of ours.
        peaks: FLOP/s of the large products alone, by precision.
    """

    def __init__(
        self,
        family: str,
        preset: str,
        threads: int,
        precisions: Sequence[str],
        peaks: Mapping[str, float],
    ) -> None:
        self._stage = stage = FirstStage.begin(family, preset, threads)
        self._peaks = peaks
        self._arithmetic = Arithmetic.of(stage.settings, stage.environments.family)
        declared, cpu = stage.environments.family, torch.device("cpu")
        eager = TorchCompute(declared, cpu, "fp32")
        ways: list[tuple[str, Compute, int]] = [
            ("torch, 1 thread", eager, 1),
            *([(f"torch, {threads} threads", eager, threads)] if threads > 1 else []),
            *((f"ours, {p}", NativeCompute(declared, threads, p), 1) for p in precisions),
        ]
        self._sides = [
            Side(
                name,
                compute,
                torch_threads,
                stage.environments.copy_agent(stage.agent),
                stage.model.copy(with_data=True),
            )
            for name, compute, torch_threads in ways
        ]
        self._family = family

    def parts(self, repeats: int) -> Section:
        """Every part on its own; TRPO and the value fit on the same samples everywhere."""
        samples = self._sampler(self._sides[0])()
        targets = self._sides[0].compute.advantages_and_returns(
            [samples], [self._stage.agent.value], self._stage.settings.advantage
        )[0]
        rows: list[list[str]] = []
        verdicts: list[Verdict] = []
        timings: dict[str, dict[str, Timing]] = {}
        limits: dict[str, dict[str, float]] = {}
        for part in PARTS:
            sides = [s for s in self._sides if part in LARGE or s.name != "ours, bf16"]
            contenders = [
                Contender(
                    side.name, 1, self._part(side, part, samples, targets), self._prepare(side)
                )
                for side in sides
            ]
            timings[part] = common.interleave(contenders, repeats)
            limits[part] = {
                p: self._arithmetic.seconds(part, p, self._peaks)
                for p in self._peaks
                if part in LARGE or p == "fp32"
            }
            rows.append(
                [
                    part,
                    *(_milliseconds(timings[part].get(s.name)) for s in self._sides),
                    *(_shown(limits[part].get(p)) for p in self._peaks),
                ]
            )
            verdicts += self._verdicts(part, timings[part], limits[part])
        return Section(
            f"{self._family}: parts, milliseconds",
            ["part", *(s.name for s in self._sides), *(f"limit, {p}" for p in self._peaks)],
            rows,
            {"timings": timings, "limits": limits},
            verdicts=verdicts,
        )

    def whole(self, repeats: int) -> Section:
        """An inner iteration through `virtual_training`, and a paper-scale run from it."""
        contenders = [
            Contender(side.name, 1, self._iteration(side), self._prepare(side))
            for side in self._sides
        ]
        timings = common.interleave(contenders, repeats)
        collect = statistics.median(_seconds(self._stage.collect) for _ in range(5))
        schedule = self._stage.settings.schedule
        stages = schedule.n_slbo_first + (schedule.n_tasks - 1) * schedule.n_slbo
        iterations = stages * schedule.n_inner + (schedule.n_tasks - 1) * schedule.n_zeroshot
        baseline = self._faster_torch(timings)
        rows, hours = [], {}
        for side in self._sides:
            seconds = 1 / timings[side.name].median
            low, high = (1 / r for r in reversed(timings[side.name].spread))
            hours[side.name] = (iterations * seconds + stages * 2 * collect) / 3600
            rows.append(
                [
                    side.name,
                    f"{seconds:.2f}",
                    f"{low:.2f} to {high:.2f}",
                    f"{timings[side.name].ratio(baseline):.2f}",
                    f"{hours[side.name]:.2f}",
                ]
            )
        limits = {p: self._arithmetic.iteration_seconds(p, self._peaks) for p in self._peaks}
        rows += [
            [f"limit, {p}", f"{t:.2f}", "", "", f"{iterations * t / 3600:.2f}"]
            for p, t in limits.items()
        ]
        asked = {"fp32": 3.5, "bf16": 5.0}
        return Section(
            f"{self._family}: one inner iteration",
            ["", "seconds", "quartiles", "times as fast as torch", "paper-scale run, hours"],
            rows,
            {
                "timings": timings,
                "limits": limits,
                "collect_seconds": collect,
                "inner_iterations": iterations,
                "projected_hours": hours,
            },
            [
                f"A paper-scale run: {schedule.n_tasks} tasks, {iterations} inner iterations, and "
                f"{stages} times two real collections of {collect:.2f} s; without evaluations and "
                "task gradients. Torch is its faster row."
            ],
            [
                Verdict(
                    f"{self._family}: inner iteration, {p}, times as fast as torch",
                    timings[f"ours, {p}"].ratio(baseline),
                    at_least=asked[p],
                )
                for p in self._peaks
            ],
        )

    # What is timed

    def _part(
        self, side: Side, part: str, samples: Trajectories, targets: tuple[Tensor, Tensor]
    ) -> Callable[[], object]:
        agent, compute, settings = side.agent, side.compute, self._stage.settings
        agents, batch, of_batch = [agent], [samples], [targets]
        generators = [derive_generator(0, "benchmark")]
        if part == ROLLOUT:
            return self._sampler(side)
        if part == DYNAMICS:
            replay, steps = side.model.replays["train"], settings.schedule.n_model
            return lambda: compute.fit_dynamics(side.model.fit, replay, steps, generators[0])
        if part == ADVANTAGES:
            return lambda: compute.advantages_and_returns(batch, [agent.value], settings.advantage)
        if part == TRPO:
            return lambda: compute.update_policies(agents, batch, of_batch, settings.trpo)
        if part == VALUE:
            return lambda: compute.fit_values(agents, batch, of_batch, generators)
        return lambda: compute.update_agents(agents, batch, of_batch, settings.trpo, generators)

    def _sampler(self, side: Side) -> Callable[[], Trajectories]:
        stage, schedule = self._stage, self._stage.settings.schedule
        start_states = stage.start_states()
        sampler = side.compute.virtual_sampler(
            side.model.dynamics,
            [side.agent.policy],
            num_envs=schedule.n_virtual_envs,
            num_steps=schedule.n_trpo // schedule.n_virtual_envs,
            horizon=stage.settings.physics.horizon,
        )

        def run() -> Trajectories:
            generator = derive_generator(0, "rollout")
            return sampler.sample(stage.psi.unsqueeze(0), start_states, [generator])[0]

        return run

    def _iteration(self, side: Side) -> Callable[[], object]:
        return lambda: self._stage.inner_iteration(0, side.compute, side.agent, side.model)

    def _prepare(self, side: Side) -> Callable[[], object]:
        """Brings a side's networks back to where they were, and sets torch's threads."""

        def prepare() -> None:
            torch.set_num_threads(side.torch_threads)
            side.agent.load(self._stage.agent.networks(), self._stage.agent.optimisers())
            side.model.load(self._stage.model.networks(), self._stage.model.optimisers())

        return prepare

    # How it is judged

    def _faster_torch(self, timings: Mapping[str, Timing]) -> Timing:
        names = [s.name for s in self._sides if s.name.startswith("torch")]
        return max((timings[n] for n in names), key=lambda timing: timing.median)

    def _verdicts(
        self, part: str, timings: Mapping[str, Timing], limits: Mapping[str, float]
    ) -> list[Verdict]:
        if part == ROLLOUT:
            most = {"fp32": 1.25, "bf16": 1.5}
            return [
                Verdict(
                    f"{self._family}: rollout, {p}, seconds ÷ its limit",
                    1 / timings[f"ours, {p}"].median / limit,
                    at_most=most[p],
                )
                for p, limit in limits.items()
            ]
        least = {TRPO: 2.5, VALUE: 5.0}
        if part not in least:
            return []
        ratio = timings["ours, fp32"].ratio(self._faster_torch(timings))
        name = f"{self._family}: {part}, times as fast as torch"
        return [Verdict(name, ratio, at_least=least[part])]


def _milliseconds(timing: Timing | None) -> str:
    return "" if timing is None else _shown(1 / timing.median)


def _shown(seconds: float | None) -> str:
    return "" if seconds is None else f"{1000 * seconds:.1f}"


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
