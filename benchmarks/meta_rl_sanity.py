"""Do the model-free meta-learners learn to adapt, on the task that their papers report?

A half-cheetah is to run at a target velocity. Each method is trained on tasks drawn at random, with
a small budget, and then adapts to tasks it has not seen: the returns unadapted and after 2000 and
6000 real samples.

    python benchmarks/meta_rl_sanity.py --methods maml pearl --seeds 3 --json FILE
"""

from __future__ import annotations

import pathlib
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

import admrl_native as admrl
import common
from admrl_native.evaluation.t_interval import mean_interval
from admrl_native.families.declaration import ObsBlock

SAMPLES = (0, 2000, 6000)
HORIZON = 200
PHYSICS: dict[str, Any] = {"horizon": HORIZON, "frame_skip": 5}

# The largest velocity, m/s, as in each method's paper.
FASTEST = {"maml": 2.0, "maml-mt": 2.0, "pearl": 3.0, "pearl-mt": 3.0}

# By the first part of the name. Enough to see learning, with far less than in the papers: hence the
# longer steps.
BUDGET: dict[str, dict[str, Any]] = {
    "maml": {
        "maml_iterations": 80,
        "maml_meta_batch": 20,
        "maml_rollouts": 5,
        "maml_hidden": (64, 64),
        "maml_max_kl": 0.05,
        "maml_inner_step_size": 0.5,
        "maml_test_step_size": 0.5,
        "n_train_tasks": 100,
    },
    "pearl": {
        "pearl_iterations": 30,
        "pearl_gradient_steps": 1000,
        "pearl_initial_samples": 400,
        "pearl_batch_size": 64,
        "pearl_encoder_hidden": (64, 64),
        "sac_hidden": (128, 128),
        "sac_learning_rate": 1e-3,
        "sac_target_rate": 0.02,
        "n_train_tasks": 50,
    },
}
QUICK: dict[str, dict[str, Any]] = {
    "maml": {"maml_iterations": 2, "maml_meta_batch": 2, "maml_rollouts": 2, "n_train_tasks": 2},
    "pearl": {
        "pearl_iterations": 2,
        "pearl_gradient_steps": 2,
        "pearl_meta_batch": 2,
        "pearl_initial_samples": 200,
        "n_train_tasks": 5,
    },
}


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--methods", nargs="+", choices=sorted(FASTEST), default=["maml", "pearl"])
    parser.add_argument("--seeds", type=int, default=3, help="runs of each method (default 3)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--tasks", type=int, default=10, help="held-out tasks (default 10)")
    parser.add_argument("--episodes", type=int, default=20, help="of each evaluation (default 20)")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.seeds, arguments.tasks, arguments.episodes = 2, 2, 2

    about = common.machine(["admrl-native", "torch", "mujoco-core", "numpy"])
    print(f"half-cheetah, target velocity, {arguments.tasks} held-out tasks, {about}", flush=True)
    found = {method: measure(method, arguments) for method in arguments.methods}
    header = ["return of an episode, mean over tasks", *(f"n = {n}" for n in SAMPLES), "minutes"]
    print("\n" + common.table(header, [row(method, runs) for method, runs in found.items()]))
    print("\n± half the width of the 95 % interval over seeds (Student's t).")
    if arguments.json:
        common.write_json(
            arguments.json,
            {
                "benchmark": "meta_rl_sanity",
                "samples": SAMPLES,
                "episodes": arguments.episodes,
                "budget": QUICK if arguments.quick else BUDGET,
                "machine": about,
                "methods": found,
            },
        )


def cheetah(fastest: float) -> admrl.Family:
    """r = −|v − ψ| − 0.05 ‖a‖², ψ in [0, fastest] m/s.

    Source: Finn et al. 2017, Section 5.3; Rakelly et al. 2019, Section 6.
    """
    return admrl.Family(
        name="Cheetah-Velocity",
        model="gymnasium:half_cheetah.xml",
        act_dim=6,
        obs_blocks=(ObsBlock("qpos", 1, 9), ObsBlock("qvel", 0, 9)),
        task_names=("forward velocity",),
        task_low=(0.0,),
        task_high=(fastest,),
        form="abs",
        features=(8,),  # qvel[0]
        coefficients=(1.0,),
        control_cost=0.05,
    )


def measure(method: str, arguments: Any) -> list[dict[str, Any]]:
    """A run for every seed: its training, and its returns on the held-out tasks."""
    fastest, kind = FASTEST[method], method.split("-")[0]
    budget = (QUICK if arguments.quick else BUDGET)[kind]
    # In the middle of equal parts of the range: almost surely none of the training tasks.
    tasks = [(fastest * (i + 0.5) / arguments.tasks,) for i in range(arguments.tasks)]
    runs = []
    for seed in range(arguments.seeds):
        start = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            run = admrl.train(
                cheetah(fastest),
                method,
                "paper",
                pathlib.Path(folder) / "run",
                seed=seed,
                threads=arguments.threads,
                device="cpu",
                progress=False,
                **PHYSICS,
                **budget,
            )
            minutes = (time.perf_counter() - start) / 60
            returns = [returns_at(run, tasks, n, arguments.episodes, seed) for n in SAMPLES]
            training = [r for r in run.metrics() if r["event"] == "iteration"]
        runs.append(
            {
                "seed": seed,
                "minutes": minutes,
                "returns": returns,
                "training": [[r["real_return"], r["adapted_return"]] for r in training],
                "real_samples": training[-1]["real_samples"],
            }
        )
        means = ", ".join(f"{np.mean(r):.1f}" for r in returns)
        print(f"{method}, seed {seed}: {means} in {minutes:.1f} min", flush=True)
    return runs


def returns_at(
    run: admrl.Run, tasks: Sequence[tuple[float, ...]], samples: int, episodes: int, seed: int
) -> list[float]:
    """The mean return on each task after adaptation with that many samples."""
    policies = [run.adapt(psi, samples, seed=1000 + seed) for psi in tasks]
    return [
        float(run.evaluate(policy, psi, episodes, seed=2000 + seed).mean())
        for policy, psi in zip(policies, tasks, strict=True)
    ]


def row(method: str, runs: list[dict[str, Any]]) -> list[str]:
    """Means over tasks, with their interval over seeds."""
    cells = []
    for i in range(len(SAMPLES)):
        interval = mean_interval([np.mean(run["returns"][i]) for run in runs])
        cells.append(f"{interval.mean:.1f} ± {interval.half_width:.1f}")
    return [method, *cells, f"{np.mean([run['minutes'] for run in runs]):.1f}"]


if __name__ == "__main__":
    main()
