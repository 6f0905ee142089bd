"""Do multi-task policies use the task that they are told? (reads finished runs)

Each policy acts on each task of the family's grid, told that task, and told the opposite one, −u;
nothing else differs, and the episodes begin in the same states.

    python benchmarks/told_another_task.py RUN... --json FILE
"""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np
import torch

import common
from admrl_native import Run
from admrl_native.evaluation.grids import test_tasks
from admrl_native.evaluation.t_interval import mean_interval
from admrl_native.networks.conditioned import ConditionedPolicy


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("runs", nargs="+", type=pathlib.Path, help="folders of runs of -mt methods")
    parser.add_argument("--episodes", type=int, default=40, help="of each policy (default 40)")
    arguments = parser.parse_args()
    episodes = 2 if arguments.quick else arguments.episodes
    found = [measure(path, episodes) for path in arguments.runs]
    rows = [
        [
            f"{r['method']} on {r['family']}, seed {r['seed']}",
            f"{np.mean(r['told_the_task']):.0f}",
            f"{np.mean(r['told_the_opposite']):.0f}",
            f"{r['loss']['mean']:.0f} ± {r['loss']['half_width']:.0f}",
            f"{sum(x > 0 for x in r['losses'])} of {len(r['losses'])}",
        ]
        for r in found
    ]
    head = ["mean return over the tasks", "told the task", "told −u", "loss", "tasks with a loss"]
    print(common.table(head, rows))
    print("± half the width of the 95 % interval over tasks (Student's t).")
    if arguments.json:
        about = common.machine(["admrl-native", "torch", "mujoco-core", "numpy"])
        values = {"benchmark": "told_another_task", "machine": about, "runs": found}
        common.write_json(arguments.json, values)


def measure(path: pathlib.Path, episodes: int) -> dict[str, Any]:
    """Returns on each task of the grid, told the task and told the opposite one."""
    run = Run.load(path, threads=1)
    psis = test_tasks(run.config.family, "grid")
    adapted = run.adapt_zero_shot(psis)
    environments = run._learner().environments
    told: dict[int, list[float]] = {1: [], -1: []}
    for psi, policy in zip(psis, (a.policy for a in adapted), strict=True):
        if not isinstance(policy, ConditionedPolicy):
            raise SystemExit(f"{path}: expected a run whose policy is told the task")
        for sign, returns in told.items():
            context = policy.context_mean.clone()
            context[: len(psi)] *= sign
            other = ConditionedPolicy(
                policy.policy, context, policy.context_std, deterministic=policy.deterministic
            )
            task = torch.tensor(psi, dtype=torch.float64)
            returns.append(float(environments.real_returns(other, task, episodes, seed=0).mean()))
    losses = [a - b for a, b in zip(told[1], told[-1], strict=True)]
    loss = mean_interval(losses)
    return {
        "family": run.config.family.name,
        "method": run.config.method,
        "seed": run.config.seed,
        "told_the_task": told[1],
        "told_the_opposite": told[-1],
        "losses": losses,
        "loss": {"mean": loss.mean, "half_width": loss.half_width},
    }


if __name__ == "__main__":
    main()
