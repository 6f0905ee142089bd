"""What does one task gradient cost?

Ant2D, with the policy and the numbers of samples of the paper: one product with H, one iteration of
the solver, the solvers, the whole gradient for 2 and 18 task dimensions, and its share of the time
of one task. The baseline is the paper's way in plain PyTorch (double_backward.py). What is compared
is first asserted to compute the same, then timed in turns.

    python benchmarks/task_gradient.py --json FILE
"""

from __future__ import annotations

import functools
import itertools
import statistics
import sys
from collections.abc import Callable, Sequence
from typing import Any

import common
from admrl_native import build_info
from admrl_native.task_gradient.damping import choose_damping
from admrl_native.task_gradient.gradient import TaskGradient
from admrl_native.task_gradient.health import HealthCheck
from admrl_native.task_gradient.implicit import implicit_term
from common import Contender, Section, Verdict
from first_stage import FirstStage
from gradient_samples import GradientSamples, difference
from gradient_solver import PUBLISHED_DAMPING, one_iteration, one_product, same_residual

PACKAGES = ("admrl-native", "torch", "mujoco-core", "numpy")
MANY_DIMS = 18  # those of Cheetah-Highdim

# What is asked for.
MOST_FOR_MANY_DIMS = 1.10  # adjoint gradient, 18 ÷ 2 task dimensions
MOST_OF_A_TASK = 0.02  # gradient and its sampling ÷ the virtual training of a task

# The gradient without its report, at the published damping, and as the settings have it.
KINDS: dict[str, dict[str, Any]] = {
    "bare": {"jackknife_groups": 0, "damping": PUBLISHED_DAMPING},
    "default": {},
}
NO_JACKKNIFE = "default, no jackknife"
INNER, WITH_SAMPLING = "one inner iteration", "gradient, sampling included"


def whole_gradient(samples: GradientSamples, repeats: int) -> Section:
    """The whole task gradient from given samples, for few and many task dimensions."""
    few = samples.star.reward_grads.shape[-1]
    by_dim = {few: samples, MANY_DIMS: samples.with_task_dim(MANY_DIMS)}
    runs: dict[str, Callable[[], TaskGradient]] = {
        f"{kind}, {form}, K = {k}": functools.partial(batch.gradient, form=form, **options)
        for kind, options in KINDS.items()
        for form in ("adjoint", "per-dimension")
        for k, batch in by_dim.items()
    }
    results = {name: run() for name, run in runs.items()}
    checks = {}
    for kind, k in itertools.product(KINDS, by_dim):
        a, b = (results[f"{kind}, {form}, K = {k}"] for form in ("adjoint", "per-dimension"))
        name = f"{kind}, adjoint beside per-dimension, K = {k}"
        # one regularised inverse, every solve to a residual of 1e-6
        checks[name] = difference(name, a.implicit, b.implicit, 1e-3)
    default = results[f"default, adjoint, K = {few}"]
    iterations = {results[f"default, adjoint, K = {k}"].solves[0].iterations for k in by_dim}
    assert len(iterations) == 1, "the adjoint solve depends on K"

    parts = default_parts(samples, default)
    for run in parts.values():
        run()
    contenders = [Contender(name, 1, run) for name, run in (runs | parts).items()]
    timings = common.interleave(contenders, repeats, warmup=0)  # each has just run
    rows = []
    for name, timing in timings.items():
        solves = results[name].solves if name in results else ()
        main = str(sum(s.iterations for s in solves)) if solves else ""
        rows.append([name, *common.milliseconds(timing), main])
    whole = timings[f"default, adjoint, K = {few}"].seconds
    without = timings[NO_JACKKNIFE].seconds
    jackknife = statistics.median(a - b for a, b in zip(whole, without, strict=True))
    return Section(
        "4. The task gradient, its samples given",
        ("", "ms", "quartiles", "iterations of the main solves"),
        rows,
        {
            "relative_differences": checks,
            "damping": default.damping.metrics(),
            "solves": {name: [s.metrics() for s in r.solves] for name, r in results.items()},
            "jackknife_seconds": jackknife,
            "timings": timings,
        },
        [
            f"bare: damping {PUBLISHED_DAMPING}, no jackknife",
            f"default: damping {default.damping.value:.3g} ({default.damping.why})",
            f"jackknife, the default less that without it: {1000 * jackknife:.2f} ms, "
            f"{jackknife / statistics.median(whole):.0%}",
            f"K = {MANY_DIMS}: ∂r/∂ψ is a fixed random mixture of the real {few} columns, with a "
            "tenth of random signs; all else is the same",
        ],
        [
            Verdict(
                f"adjoint gradient, {kind}: K = {MANY_DIMS} ÷ K = {few}",
                timings[f"{kind}, adjoint, K = {few}"].ratio(
                    timings[f"{kind}, adjoint, K = {MANY_DIMS}"]
                ),
                at_most=MOST_FOR_MANY_DIMS,
            )
            for kind in KINDS
        ],
    )


def default_parts(
    samples: GradientSamples, default: TaskGradient
) -> dict[str, Callable[[], object]]:
    """The parts of the default gradient, each on its own."""
    judged, settings = samples.judged, samples.settings

    def halves_and_damping() -> object:
        audit = HealthCheck(judged, samples.terms_of(), settings)
        return choose_damping(audit.halves, settings, audit.tolerance)

    def main_solve() -> object:
        terms = samples.terms()
        mu = default.damping.value
        return implicit_term(terms.hessian, terms.g, terms.mixed, mu, settings)

    return {
        "part of it: advantages and ∂Â/∂ψ": samples.judge,
        "part of it: halves, damping": halves_and_damping,
        "part of it: terms, main solve": main_solve,
        NO_JACKKNIFE: functools.partial(samples.gradient, jackknife_groups=0),
    }


def share_of_a_task(stage: FirstStage, samples: GradientSamples, repeats: int) -> Section:
    """The gradient and its sampling, beside the virtual training of one task."""
    schedule = stage.settings.schedule
    iterations = schedule.n_zeroshot + schedule.n_slbo * schedule.n_inner
    seeds = itertools.count()

    def draw() -> GradientSamples:
        return GradientSamples.draw(stage, samples.agent)

    contenders = [
        Contender(INNER, 1, lambda: stage.inner_iteration(next(seeds))),
        Contender("sampling", 1, draw),
        Contender(WITH_SAMPLING, 1, lambda: draw().gradient()),
    ]
    timings = common.interleave(contenders, repeats)
    shares = {
        name: timings[INNER].ratio(timing) / iterations
        for name, timing in timings.items()
        if name != INNER
    }
    # Nothing is damped: all solves, the jackknife's too, go on to the last iteration. Run once.
    hardest = "the same, no solve converges"
    undamped, timings[hardest] = common.once(lambda: draw().gradient(damping=0.0))
    assert undamped.solves[0].status != "converged", "not the hardest case"
    shares[hardest] = timings[INNER].median / timings[hardest].median / iterations
    rows = [
        [name, *common.milliseconds(timing), f"{shares[name]:.2%}" if name in shares else ""]
        for name, timing in timings.items()
    ]
    return Section(
        f"5. Beside the virtual training of one task, {iterations} inner iterations",
        ("", "ms", "quartiles", "share of the training"),
        rows,
        {"inner_iterations": iterations, "shares": shares, "timings": timings},
        verdicts=[
            Verdict(
                f"{WITH_SAMPLING} ÷ {iterations} inner iterations",
                shares[WITH_SAMPLING],
                at_most=MOST_OF_A_TASK,
            )
        ],
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the benchmark; returns the exit code."""
    parser = common.parser(__doc__)
    parser.add_argument("--threads", type=int, default=1, help="native simulation threads")
    arguments = parser.parse_args(argv)
    quick, repeats = arguments.quick, common.repeats(arguments)
    machine = common.machine(PACKAGES)
    machine["build"] = build_info()
    for key, value in machine.items():
        print(f"{key}: {value}")

    stage = FirstStage.begin("Ant2D", "quick" if quick else "paper", arguments.threads)
    # A copy, because inner iterations go on training the agent of the stage.
    samples = GradientSamples.draw(stage, stage.environments.copy_agent(stage.agent))
    sections: list[Section] = []

    def add(section: Section) -> None:
        section.show()
        sections.append(section)

    products, keep_graph = one_product(samples, repeats)
    add(products)
    add(one_iteration(samples, repeats, keep_graph))
    add(same_residual(samples, repeats, dense=not quick))
    add(whole_gradient(samples, repeats))
    add(share_of_a_task(stage, samples, repeats))
    # Tiny sizes say nothing of what is asked for at the paper's.
    verdicts = [] if quick else [v for section in sections for v in section.verdicts]
    if verdicts:
        header = ("ratio", "measured", "asked for", "")
        print("\n" + common.table(header, [v.cells() for v in verdicts]))
    if arguments.json is not None:
        figures = {
            "benchmark": "task_gradient",
            "machine": machine,
            "quick": quick,
            "acceptance": verdicts,
            "sections": [{"title": section.title, **section.figures} for section in sections],
        }
        common.write_json(arguments.json, figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
