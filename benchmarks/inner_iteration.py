"""Where the time of one SLBO inner iteration goes, and how long a paper-scale run would take.

One inner iteration is 100 dynamics steps and 20 policy updates of 10 000 virtual samples
(Appendix C). Each part is timed on its own, then a whole iteration through `virtual_training`; the
projection uses the whole iteration.

    python benchmarks/inner_iteration.py --family Ant2D --json FILE
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import common
from admrl_native import build_info
from admrl_native.families.catalogue import FAMILIES
from admrl_native.seeding import derive_generator
from admrl_native.training.advantage import advantages_and_returns
from admrl_native.training.trpo import trpo_update
from first_stage import FirstStage


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--family", choices=FAMILIES, default="Ant2D")
    parser.add_argument("--preset", choices=("quick", "small", "paper"), default="paper")
    parser.add_argument("--threads", type=int, default=2, help="native simulation threads")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.preset = "quick"
    repeats = common.repeats(arguments)

    stage = FirstStage.begin(arguments.family, arguments.preset, arguments.threads)
    settings, workshop, psi = stage.settings, stage.workshop, stage.psi
    model, agent = stage.model, stage.agent
    schedule, family = settings.schedule, workshop.family

    def rollout() -> Any:
        return workshop.virtual_trajectories(agent.policy, model.dynamics, psi, schedule.n_trpo, 2)

    samples = rollout()
    obs, actions = samples.obs.flatten(0, 1), samples.actions.flatten(0, 1)
    advantages, returns = advantages_and_returns(samples, agent.value, settings.advantage)
    generator = derive_generator(0, "benchmark")
    per_iteration: dict[str, tuple[int, Callable[[], object]]] = {
        "dynamics fit (all steps)": (
            1,
            lambda: model.fit.fit(model.replays["train"], schedule.n_model, generator),
        ),
        "virtual rollout": (schedule.n_policy, rollout),
        "advantages": (
            schedule.n_policy,
            lambda: advantages_and_returns(samples, agent.value, settings.advantage),
        ),
        "TRPO": (
            schedule.n_policy,
            lambda: trpo_update(agent.policy, obs, actions, advantages.flatten(), settings.trpo),
        ),
        "value fit": (
            schedule.n_policy,
            lambda: agent.value_fit.fit(obs, returns.flatten(), generator),
        ),
    }
    contenders = [common.Contender(name, 1, run) for name, (_, run) in per_iteration.items()]
    timings = common.interleave(contenders, repeats)

    collect_seconds = timed(stage.collect)
    whole = []
    for repeat in range(max(2, repeats // 3)):
        start = time.perf_counter()
        stage.inner_iteration(repeat)
        whole.append(time.perf_counter() - start)
    iteration = statistics.median(whole)

    rows = []
    for name, (count, _) in per_iteration.items():
        seconds = 1 / timings[name].median
        low, high = (1 / r for r in reversed(timings[name].spread))
        share = f"{count * seconds / iteration:.0%}"
        rows.append(
            [
                name,
                f"{seconds:.4f}",
                f"{low:.4f} to {high:.4f}",
                str(count),
                f"{count * seconds:.2f}",
                share,
            ]
        )
    rows.append(["whole inner iteration", f"{iteration:.2f}", "", "1", f"{iteration:.2f}", "100%"])
    stages = schedule.n_slbo_first + (schedule.n_tasks - 1) * schedule.n_slbo
    iterations = stages * schedule.n_inner + (schedule.n_tasks - 1) * schedule.n_zeroshot
    projected = iterations * iteration + stages * collect_seconds * 2
    about = common.machine(["admrl-native", "torch", "mujoco-core", "numpy"])
    print(f"{family.name}, preset {arguments.preset}, {about}, kernels {build_info()['kernels']}\n")
    print(common.table(["part", "seconds", "quartiles", "times", "seconds in all", "share"], rows))
    print(
        f"\nreal collection of {schedule.n_collect} samples: {collect_seconds:.2f} s"
        f"\nwhole run of {schedule.n_tasks} tasks, {iterations} inner iterations: "
        f"{projected / 3600:.1f} h projected"
    )
    if arguments.json:
        common.write_json(
            arguments.json,
            {
                "benchmark": "inner_iteration",
                "family": family.name,
                "preset": arguments.preset,
                "machine": about,
                "parts": {name: timings[name] for name in per_iteration},
                "times_per_iteration": {name: count for name, (count, _) in per_iteration.items()},
                "whole_iteration_seconds": whole,
                "collect_seconds": collect_seconds,
                "inner_iterations": iterations,
                "projected_run_seconds": projected,
            },
        )


def timed(run: Callable[[], object]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
