"""How long would a run as published take of each method without a model? One iteration, timed.

PEARL's is made of 4000 equal gradient steps, of which some are timed, and its sampling.

    python benchmarks/paper_iterations.py --threads 2 --json FILE
"""

from __future__ import annotations

import resource
import time
from typing import Any

import common
from admrl_native.activities.runs import make_learner
from admrl_native.algorithms.iterative import IterativeLearner
from admrl_native.algorithms.methods import METHODS
from admrl_native.algorithms.observer import Observer
from admrl_native.configuration.config import make_config

MODEL_FREE = [name for name, method in METHODS.items() if not method.model_based]
STEPS = 20  # gradient steps of PEARL that are timed
REPEATS = 3  # iterations timed


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--methods", nargs="+", choices=MODEL_FREE, default=MODEL_FREE)
    parser.add_argument("--family", default="Ant2D")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    about = common.machine(["admrl-native", "torch", "mujoco-core", "numpy"])
    print(f"{arguments.family} at paper, {arguments.threads} threads, {arguments.device}, {about}")
    found = [measure(method, arguments) for method in arguments.methods]
    rows = [
        [
            r["method"],
            f"{r['iteration_seconds']:.1f}",
            str(r["iterations"]),
            f"{r['iteration_seconds'] * r['iterations'] / 3600:.1f}",
            f"{r['peak_megabytes']:,.0f}",
        ]
        for r in found
    ]
    print(common.table(["", "s an iteration", "iterations", "hours a run", "peak MB so far"], rows))
    if arguments.json:
        values = {"benchmark": "paper_iterations", "machine": about, "methods": found}
        common.write_json(arguments.json, values)


def measure(method: str, arguments: Any) -> dict[str, Any]:
    """The median time of an iteration as published."""
    small = {"n_train_tasks": 10} if method.startswith("pearl") else {}  # initial samples of few
    if method.startswith("pearl"):
        small["pearl_gradient_steps"] = STEPS
    if arguments.quick:
        small |= {"horizon": 20, "n_adapt": 2000}
        small |= {"pearl_initial_samples": 20} if method.startswith("pearl") else {}
    config = make_config(
        arguments.family,
        method=method,
        preset_name="paper",
        threads=arguments.threads,
        device=arguments.device,
        overrides=small,
    )
    learner = make_learner(config, Observer())
    assert isinstance(learner, IterativeLearner)
    learner.prepare()
    learner.iterate()  # warm
    times = []
    for _ in range(1 if arguments.quick else REPEATS):
        learner.iteration += 1
        start = time.perf_counter()
        learner.iterate()
        times.append(time.perf_counter() - start)
    seconds = sorted(times)[len(times) // 2]
    if method.startswith("pearl"):
        published = make_config(method=method, preset_name="paper").training.pearl.gradient_steps
        seconds += (published - STEPS) * gradient_step_seconds(learner)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "method": method,
        "times": times,
        "iteration_seconds": seconds,
        "iterations": learner.num_iterations,
        "peak_megabytes": peak,
    }


def gradient_step_seconds(learner: Any) -> float:
    """The time of one of PEARL's gradient steps."""
    start = time.perf_counter()
    learner._learn()
    return (time.perf_counter() - start) / STEPS


if __name__ == "__main__":
    main()
