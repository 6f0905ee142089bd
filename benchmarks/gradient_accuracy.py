"""How accurate is each Hessian estimator, and the task gradient made with it?

On linear-Gaussian problems, whose H and dL/dψ are known exactly (`admrl_native.testing`):

1. the error of H x and of dL/dψ at equal samples, for every estimator, at θ̂ and beside it;
2. how the error of H x shrinks with the number of samples;
3. the bias of `per-step` against the horizon.

With --run DIR also the spread of H x on a policy made in the learned model of that run.

    python benchmarks/gradient_accuracy.py --json FILE --figures DIR
"""

from __future__ import annotations

import dataclasses
import pathlib
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

import common
from admrl_native.derivatives.scores import score_products
from admrl_native.task_gradient.gradient import task_gradient
from admrl_native.task_gradient.hessian import hessian_product
from admrl_native.task_gradient.samples import ValuedTrajectories
from admrl_native.task_gradient.settings import TaskGradientSettings
from admrl_native.testing import LinearGaussianProblem, random_problem, scalar_problem
from admrl_native.training.advantage import Value
from admrl_native.training.settings import AdvantageSettings

SAMPLES = 10_000  # as published
UNBIASED = TaskGradientSettings(gae_lambda=1.0, hessian_decay=1.0)  # but for `per-step`
SHIPPED = TaskGradientSettings()
DEFAULT = f"causal, τ = {SHIPPED.hessian_decay:g}, λ = {SHIPPED.gae_lambda:g} (default)"
# λ = 1 where nothing else is said.
ESTIMATORS: Mapping[str, TaskGradientSettings] = {
    "trajectory": UNBIASED.replace(hessian="trajectory"),
    "per-step": UNBIASED.replace(hessian="per-step"),
    "causal, τ = 0.5": UNBIASED.replace(hessian_decay=0.5),
    "causal, τ = 0.7": UNBIASED.replace(hessian_decay=0.7),
    "causal, τ = 0.9": UNBIASED.replace(hessian_decay=0.9),
    "causal": UNBIASED,
    DEFAULT: SHIPPED,
}
DAMPINGS = (1e-8, 1e-6, 1e-4, 1e-2, 1e-1, 1e0)


@dataclasses.dataclass(frozen=True)
class Case:
    """A problem at a policy.

    Attributes:
        name: how the tables call it.
        theta: (P,) the policy: θ̂ or one beside it.
        at_optimum: whether it is θ̂.
    """

    name: str
    problem: LinearGaussianProblem
    psi: Tensor
    theta: Tensor
    at_optimum: bool


def cases(quick: bool) -> Iterator[Case]:
    """The problems, each at θ̂ and at a policy some way off, as one in training is."""
    found = [("1 state, T = 5", *scalar_problem())]
    sizes = [(2, 2, 2, 10)] if quick else [(2, 2, 2, 10), (3, 3, 4, 5), (4, 2, 6, 10)]
    for state_dim, action_dim, task_dim, horizon in sizes:
        problem, psi = random_problem(
            1, state_dim=state_dim, action_dim=action_dim, task_dim=task_dim, horizon=horizon
        )
        found.append((f"{state_dim} states, T = {horizon}, K = {task_dim}", problem, psi))
    for name, problem, psi in found:
        best = problem.best_params(psi, "model")
        generator = torch.Generator().manual_seed(0)
        step = torch.randn(best.shape, generator=generator, dtype=torch.float64)
        yield Case(f"{name}, at θ̂", problem, psi, best, True)
        beside = best + 0.3 * best.norm() * step / step.norm()
        yield Case(f"{name}, beside θ̂", problem, psi, beside, False)


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--figures", type=pathlib.Path, metavar="DIR", help="draw them there")
    parser.add_argument("--run", type=pathlib.Path, metavar="RUN", help="a trained run folder")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    quick = arguments.quick
    about = common.machine(["admrl-native", "torch", "numpy"])
    print(f"{about}\n")
    all_cases = list(cases(quick))
    errors = at_equal_samples(all_cases, batches=3 if quick else 30)
    print_errors(errors)
    print_regrets(errors)
    gradients = gradient_errors([c for c in all_cases if c.at_optimum], 2 if quick else 15)
    print_gradients(gradients)
    shrinking = error_by_samples(all_cases[1], [1000, 10_000] if quick else [10**4, 10**5, 10**6])
    bias = bias_by_horizon([1, 3] if quick else [1, 2, 3, 5, 7, 10], 10_000 if quick else 200_000)
    on_run = None
    if arguments.run is not None:
        from run_accuracy import spread_on_run

        on_run = spread_on_run(arguments.run, ESTIMATORS, batches=4 if quick else 100)
    figures: dict[str, Any] = {
        "benchmark": "gradient_accuracy",
        "machine": about,
        "samples": SAMPLES,
        "hessian_relative_rmse": errors,
        "gradient_relative_rmse": gradients,
        "error_by_samples": shrinking,
        "bias_by_horizon": bias,
        "run": on_run,
    }
    if arguments.json:
        common.write_json(arguments.json, figures)
    if arguments.figures:
        from accuracy_figures import draw

        draw(figures, arguments.figures)


def judged(case: Case, episodes: int, seed: int, lam: float, value: Value) -> ValuedTrajectories:
    """Virtual trajectories of the case's policy."""
    generator = torch.Generator().manual_seed(seed)
    samples = case.problem.sample(case.theta, case.psi, "model", episodes, generator)
    return ValuedTrajectories.of(samples, value, advantage(case, lam))


def advantage(case: Case, lam: float = 1.0) -> AdvantageSettings:
    return AdvantageSettings(gamma=case.problem.gamma, gae_lambda=lam)


def estimated_hessian(
    case: Case, settings: TaskGradientSettings, batch: ValuedTrajectories
) -> Tensor:
    """Ĥ (P, P) per episode, column by column."""
    t = batch.trajectories
    scores = score_products(
        case.problem.policy(case.theta), t.obs.flatten(0, 1), t.actions.flatten(0, 1)
    )
    product = hessian_product(
        scores, batch, horizon=1, settings=settings, advantage=advantage(case)
    )
    axes = torch.eye(case.theta.numel(), dtype=torch.float64)
    return torch.stack([product(x) for x in axes])


def at_equal_samples(
    all_cases: Sequence[Case], batches: int
) -> dict[str, dict[str, dict[str, float]]]:
    """Relative root mean squared error of H x over random x, its spread and its bias.

    With x uniform on the sphere E‖(Ĥ − H) x‖² = ‖Ĥ − H‖²_F / P. V is the model's exact value
    function: what a perfect value fit would give.
    """
    out: dict[str, dict[str, dict[str, float]]] = {}
    for case in all_cases:
        exact = case.problem.hessian(case.theta, case.psi, "model")
        value = case.problem.value_function(case.theta, case.psi, "model")
        found: dict[str, list[Tensor]] = {name: [] for name in ESTIMATORS}
        for seed in range(batches):
            for name, settings in ESTIMATORS.items():
                episodes = SAMPLES // case.problem.horizon
                batch = judged(case, episodes, seed, settings.gae_lambda, value)
                found[name].append(estimated_hessian(case, settings, batch))
        out[case.name] = {
            name: summary(torch.stack(estimates), exact) for name, estimates in found.items()
        }
    return out


def summary(estimates: Tensor, exact: Tensor) -> dict[str, float]:
    """Relative rmse, spread and bias (noise taken off) of estimates (batches, …)."""
    size = exact.norm()
    rmse = (estimates - exact).flatten(1).square().sum(1).mean().sqrt()
    spread = estimates.var(0).sum().sqrt()
    bias2 = (estimates.mean(0) - exact).square().sum() - spread**2 / len(estimates)
    return {
        "rmse": float(rmse / size),
        "spread": float(spread / size),
        "bias": float(bias2.clamp_min(0).sqrt() / size),
    }


def gradient_errors(
    all_cases: Sequence[Case], batches: int
) -> dict[str, dict[str, dict[str, float]]]:
    """Relative rmse of dL/dψ, by estimator and damping: given, automatic, best in hindsight."""
    out: dict[str, dict[str, dict[str, float]]] = {}
    for case in all_cases:
        problem, psi, episodes = case.problem, case.psi, SAMPLES // case.problem.horizon
        exact = problem.exact_terms(psi)
        value = problem.value_function(exact.theta_hat, psi, "model")
        squares: dict[str, dict[str, list[float]]] = {}
        for seed in range(batches):
            generator = torch.Generator().manual_seed(1000 + seed)
            star = problem.sample(exact.theta_star, psi, "real", episodes, generator)
            hat = problem.sample(exact.theta_hat, psi, "real", episodes, generator)
            virtual = problem.sample(exact.theta_hat, psi, "model", episodes, generator)
            for name, settings in ESTIMATORS.items():
                for damping in ("auto", *DAMPINGS):
                    found = task_gradient(
                        problem.policy(exact.theta_hat),
                        value,
                        star,
                        hat,
                        virtual,
                        horizon=1,
                        settings=settings.replace(damping=damping, jackknife_groups=0),
                        advantage=advantage(case),
                    )
                    error = (found.total - exact.total).square().sum() / exact.total.square().sum()
                    squares.setdefault(name, {}).setdefault(str(damping), []).append(float(error))
        out[case.name] = {}
        for name, by_damping in squares.items():
            rmse = {d: (sum(s) / len(s)) ** 0.5 for d, s in by_damping.items()}
            given = {d: e for d, e in rmse.items() if d != "auto"}
            out[case.name][name] = {
                **rmse,
                "best in hindsight": min(given.values()),
            }
    return out


def error_by_samples(case: Case, samples: Sequence[int]) -> dict[str, Any]:
    """Relative rmse of H x against the number of samples, and the fitted slope of its logarithm."""
    exact = case.problem.hessian(case.theta, case.psi, "model")
    value = case.problem.value_function(case.theta, case.psi, "model")
    out: dict[str, Any] = {"case": case.name, "samples": list(samples)}
    for name, settings in ESTIMATORS.items():
        errors = []
        for count in samples:
            batches = 4 if count > 200_000 else 12
            estimates = [
                estimated_hessian(
                    case,
                    settings,
                    judged(
                        case,
                        count // case.problem.horizon,
                        77 + seed,
                        settings.gae_lambda,
                        value,
                    ),
                )
                for seed in range(batches)
            ]
            errors.append(summary(torch.stack(estimates), exact)["rmse"])
        logs = torch.tensor([samples, errors], dtype=torch.float64).log()
        centred = logs - logs.mean(1, keepdim=True)
        slope = float((centred[0] @ centred[1]) / centred[0].square().sum())
        out[name] = {"rmse": errors, "slope": slope}
        print(f"{case.name}, {name}: error {errors}, slope {slope:.2f}")
    return out


def bias_by_horizon(horizons: Sequence[int], episodes: int) -> dict[str, Any]:
    """Bias of each estimator relative to ‖H‖_F against the horizon, at θ̂ and beside it."""
    out: dict[str, Any] = {"horizons": list(horizons)}
    for place in ("at θ̂", "beside θ̂"):
        out[place] = {name: [] for name in ("per-step", "causal")}
    base = scalar_problem()
    for horizon in horizons:
        problem = dataclasses.replace(base[0], horizon=horizon, start_cov=torch.eye(1).double())
        psi = base[1]
        best = problem.best_params(psi, "model")
        places = {
            "at θ̂": (best, True),
            "beside θ̂": (torch.tensor([-0.3, 0.4], dtype=torch.float64), False),
        }
        for place, (theta, at_optimum) in places.items():
            case = Case(place, problem, psi, theta, at_optimum)
            exact = problem.hessian(theta, psi, "model")
            value = problem.value_function(theta, psi, "model")
            batches = [judged(case, episodes // 10, seed, 1.0, value) for seed in range(10)]
            for name, found in out[place].items():
                estimates = [estimated_hessian(case, ESTIMATORS[name], b) for b in batches]
                stacked = torch.stack(estimates)
                noise = float((stacked.var(0).sum() / len(estimates)).sqrt() / exact.norm())
                found.append({"bias": summary(stacked, exact)["bias"], "noise": noise})
                print(f"T = {horizon}, {place}, {name}: bias {found[-1]['bias']:.3f} ± {noise:.3f}")
    return out


def print_errors(errors: Mapping[str, Mapping[str, Mapping[str, float]]]) -> None:
    print(f"Relative error of H x, {SAMPLES} samples: rmse (bias)\n")
    rows = [
        [case, *(f"{v['rmse']:.3f} ({v['bias']:.3f})" for v in by.values())]
        for case, by in errors.items()
    ]
    print(common.table(["problem", *ESTIMATORS], rows) + "\n")


def print_regrets(errors: Mapping[str, Mapping[str, Mapping[str, float]]]) -> None:
    """How far each estimator is from the best one of each problem."""
    rows = []
    for name in ESTIMATORS:
        ratios = [
            by[name]["rmse"] / min(other["rmse"] for other in by.values()) for by in errors.values()
        ]
        rows.append([name, f"{max(ratios):.2f}", f"{statistics.geometric_mean(ratios):.2f}"])
    print("Error ÷ that of the best estimator of the same problem\n")
    print(common.table(["estimator", "largest", "geometric mean"], rows) + "\n")


def print_gradients(errors: Mapping[str, Mapping[str, Mapping[str, float]]]) -> None:
    print(
        f"Relative rmse of dL/dψ, {SAMPLES} samples of each kind: damping auto (best fixed one)\n"
    )
    rows = [
        [case, *(f"{v['auto']:.2f} ({v['best in hindsight']:.2f})" for v in by.values())]
        for case, by in errors.items()
    ]
    print(common.table(["problem", *ESTIMATORS], rows) + "\n")


if __name__ == "__main__":
    main()
