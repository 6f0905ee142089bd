"""What does it gain to adapt to a grid of tasks at once rather than one after the other?

Zero-shot adaptation trains a policy for every task in a model that all of them share. Timed is one
of its iterations for all tasks, one by one and all at once, whole and in parts; the policies must
be the same, bit for bit.

    python benchmarks/many_tasks.py --family Ant2D --tasks 36 --json FILE
"""

from __future__ import annotations

from collections.abc import Callable

import torch

import common
from admrl_native import build_info
from admrl_native.families.catalogue import FAMILIES
from admrl_native.families.task_space import TaskSpace
from admrl_native.seeding import derive_generator
from admrl_native.training.agent import Agent
from admrl_native.training.compute import Compute
from admrl_native.training.native_compute import NativeCompute
from common import Contender, Section, Verdict
from first_stage import FirstStage

ALONE, TOGETHER = "one after the other", "all at once"
PARTS = ("model fit", "virtual rollouts", "advantages", "TRPO and value fit")
AT_LEAST = 1.5


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--family", choices=FAMILIES, default="Ant2D")
    parser.add_argument("--preset", choices=("quick", "small", "paper"), default="paper")
    parser.add_argument("--tasks", type=int, default=36)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.preset, arguments.tasks = "quick", 3
    repeats = arguments.repeats or (2 if arguments.quick else 3)

    about = common.machine(["admrl-native", "torch", "mujoco-core", "numpy"])
    print(f"{arguments.family}, preset {arguments.preset}, {arguments.tasks} tasks, {about}")
    stage = FirstStage.begin(arguments.family, arguments.preset, arguments.threads)
    sections = []
    for precision in ("fp32", "bf16") if build_info()["bf16"] else ("fp32",):
        compute = NativeCompute(stage.environments.family, arguments.threads, precision)
        sections.append(Grid(stage, compute, arguments.tasks).measure(repeats))
        sections[-1].show()
    verdicts = [v for section in sections for v in section.verdicts]
    header = ["requirement", "measured", "asked for", ""]
    print("\n" + common.table(header, [v.cells() for v in verdicts]))
    if arguments.json:
        common.write_json(
            arguments.json,
            {
                "benchmark": "many_tasks",
                "family": arguments.family,
                "preset": arguments.preset,
                "tasks": arguments.tasks,
                "threads": arguments.threads,
                "machine": about,
                "sections": {s.title: s.figures for s in sections},
                "verdicts": verdicts,
            },
        )


class Grid:
    """Some tasks, an agent for each, and the model they share."""

    def __init__(self, stage: FirstStage, compute: Compute, tasks: int) -> None:
        self._stage, self._compute, self._tasks = stage, compute, tasks
        family = stage.environments.family
        u = 2 * torch.rand(tasks, family.task_dim, generator=derive_generator(0, "tasks")) - 1
        space = TaskSpace(family)
        self._psis = torch.stack([space.from_normalised(row.double()) for row in u])
        self._agents = [stage.environments.copy_agent(stage.agent) for _ in range(tasks)]

    def measure(self, repeats: int) -> Section:
        """Seconds of an iteration for all tasks, alone and together."""
        precision = self._compute.precision
        self._check_same_policies()
        contenders = [
            Contender(ALONE, self._tasks, self._alone),
            Contender(TOGETHER, self._tasks, lambda: self._iteration(self._agents, self._psis)),
        ]
        for part in PARTS:
            runs = self._part(part, 1), self._part(part, self._tasks)
            for name, run, work in zip((ALONE, TOGETHER), runs, (1, self._tasks), strict=True):
                contenders.append(Contender(f"{part}, {name}", work, run))
        timings = common.interleave(contenders, repeats)
        calls = self._stage.settings.schedule.n_policy
        rows = []
        for part, times in (*((p, 1 if p == PARTS[0] else calls) for p in PARTS), ("", 1)):
            names = [f"{part}, {n}" if part else n for n in (ALONE, TOGETHER)]
            alone, together = (1000 * times / timings[n].median for n in names)
            rows.append(
                [
                    part or "whole iteration",
                    f"{alone:.0f}",
                    f"{together:.0f}",
                    f"{alone / together:.2f}",
                ]
            )
        gain = timings[TOGETHER].ratio(timings[ALONE])
        return Section(
            f"{precision}: milliseconds for each task and iteration",
            ["part", ALONE, TOGETHER, "gain"],
            rows,
            {"timings": timings},
            verdicts=[Verdict(f"{precision}: {TOGETHER}, throughput", gain, at_least=AT_LEAST)],
        )

    def _iteration(self, agents: list[Agent], psis: torch.Tensor) -> None:
        model = self._stage.model.copy(with_data=True)
        self._stage.environments.virtual_training(agents, model, psis, 1, 0, compute=self._compute)

    def _alone(self) -> None:
        for agent, psi in zip(self._agents, self._psis, strict=True):
            self._iteration([agent], psi.unsqueeze(0))

    def _part(self, part: str, tasks: int) -> Callable[[], object]:
        stage, compute, settings = self._stage, self._compute, self._stage.settings
        agents, schedule = self._agents[:tasks], settings.schedule
        model = stage.model.copy(with_data=True)
        if part == PARTS[0]:
            generator, replay = derive_generator(0, "fit"), model.replays["train"]
            return lambda: compute.fit_dynamics(model.fit, replay, schedule.n_model, generator)
        sampler = compute.virtual_sampler(
            model.dynamics,
            [agent.policy for agent in agents],
            num_envs=schedule.n_virtual_envs,
            num_steps=schedule.n_trpo // schedule.n_virtual_envs,
            horizon=settings.physics.horizon,
        )
        starts, psis = stage.start_states(), self._psis[:tasks]

        def generators() -> list[torch.Generator]:
            return [derive_generator(0, "policy") for _ in agents]

        samples = sampler.sample(psis, starts, generators())
        values = [agent.value for agent in agents]
        targets = compute.advantages_and_returns(samples, values, settings.advantage)
        if part == PARTS[1]:
            return lambda: sampler.sample(psis, starts, generators())
        if part == PARTS[2]:
            return lambda: compute.advantages_and_returns(samples, values, settings.advantage)
        return lambda: compute.update_agents(agents, samples, targets, settings.trpo, generators())

    def _check_same_policies(self) -> None:
        """One iteration of three tasks alone and together gives the same bits."""
        chosen = range(0, self._tasks, max(1, self._tasks // 3))
        copies = [
            [self._stage.environments.copy_agent(self._stage.agent) for _ in chosen] for _ in "ab"
        ]
        psis = self._psis[list(chosen)]
        self._iteration(copies[0], psis)
        for agent, psi in zip(copies[1], psis, strict=True):
            self._iteration([agent], psi.unsqueeze(0))
        for one, other in zip(*copies, strict=True):
            assert torch.equal(one.policy.get_params(), other.policy.get_params())


if __name__ == "__main__":
    main()
