"""Parts 1 to 3 of task_gradient.py: a product with H, an iteration of the solver, the solvers."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor

import common
from admrl_native.derivatives.scores import AutodiffScores
from admrl_native.task_gradient.hessian import per_step_hessian
from admrl_native.task_gradient.implicit import Solve, solve
from admrl_native.task_gradient.terms import Terms
from admrl_native.task_gradient.weights import advantage_weights
from common import Contender, Section, Verdict
from double_backward import DoubleBackward, normal_equations_cg
from gradient_samples import GradientSamples, difference

PRECISIONS = {"float64": torch.float64, "float32": torch.float32}
PUBLISHED_DAMPING = 0.1
LEAST_SPEEDUP = 3.0  # asked for of a solver iteration, baseline ÷ ours

_ITERATIONS = 20  # of the solvers whose iterations are timed
_TOLERANCE = 1e-6  # of the solvers that are compared

Product = Callable[[Tensor], Tensor]


def double_backward(samples: GradientSamples, dtype: torch.dtype, *, keep_graph: bool) -> Product:
    """The baseline's per-step product, with the weights of ours."""
    weights = advantage_weights(samples.judged.virtual_hat, samples.horizon, samples.advantage)
    flat = samples.virtual_flat
    return DoubleBackward(samples.policy, *flat, weights, dtype, keep_graph=keep_graph)


def torch_func(samples: GradientSamples, dtype: torch.dtype) -> Product:
    """Per-step by torch.func.jvp and vjp: the package's own plain twin."""
    weights = advantage_weights(samples.judged.virtual_hat, samples.horizon, samples.advantage)
    return per_step_hessian(AutodiffScores(samples.policy, *samples.virtual_flat, dtype), weights)


def one_product(samples: GradientSamples, repeats: int) -> tuple[Section, dict[str, bool]]:
    """H x; and, for each precision, whether the baseline is faster with its graph kept."""
    num_params = samples.policy.get_params().numel()
    x = torch.randn(num_params, generator=torch.Generator().manual_seed(0)).double()
    expected = samples.product("per-step", torch.float64)(x)
    contenders, checks = [], {}
    for precision, dtype in PRECISIONS.items():
        for hessian in ("causal", "per-step", "trajectory"):
            product = samples.product(hessian, dtype)
            # The solver gives and takes float64 whatever the precision of the product.
            run = functools.partial(product, x)
            contenders.append(Contender(f"ours, {hessian}, {precision}", 1, run))
        # sums of 10 000 terms of both signs, in another order
        tolerance = 1e-10 if dtype is torch.float64 else 1e-3
        same = samples.product("per-step", dtype)(x)
        checks[f"ours, {precision}"] = difference("ours", same, expected, tolerance)
        for name, product in {
            "double backward, graph kept": double_backward(samples, dtype, keep_graph=True),
            "double backward, graph anew": double_backward(samples, dtype, keep_graph=False),
            "torch.func": torch_func(samples, dtype),
        }.items():
            run = functools.partial(product, x.to(dtype))
            name = f"{name}, {precision}"
            checks[name] = difference(name, run(), expected, tolerance)
            contenders.append(Contender(name, 1, run))
    timings = common.interleave(contenders, repeats)
    rows = []
    for name, timing in timings.items():
        ours = (timings[f"ours, per-step, {precision}"] for precision in PRECISIONS)
        rows.append([name, *common.milliseconds(timing), *(f"{o.ratio(timing):.2f}" for o in ours)])
    section = Section(
        f"1. One product H x, {samples.virtual.num_samples} virtual samples, P = {num_params}",
        ("", "ms", "quartiles", *(f"÷ ours, per-step, {p}" for p in PRECISIONS)),
        rows,
        {"relative_differences": checks, "timings": timings},
        ("the baselines are per-step; what does not depend on x is done before, on both sides",),
    )
    kept, anew = (
        {p: timings[f"double backward, graph {how}, {p}"] for p in PRECISIONS}
        for how in ("kept", "anew")
    )
    return section, {p: kept[p].ratio(anew[p]) > 1 for p in PRECISIONS}


def one_iteration(samples: GradientSamples, repeats: int, keep_graph: dict[str, bool]) -> Section:
    """One iteration of the solver, per-step estimator: ours beside the paper's.

    Args:
        keep_graph: how the baseline is at its best, for each precision.
    """
    g = samples.terms(hessian="per-step").g
    settings = samples.settings.replace(max_iterations=_ITERATIONS, tolerance=0.0)
    ours = {p: samples.product("per-step", dtype) for p, dtype in PRECISIONS.items()}
    plain = {
        p: double_backward(samples, dtype, keep_graph=keep_graph[p])
        for p, dtype in PRECISIONS.items()
    }
    # At the published damping the baseline's residual gets to 0 in float32 before so many
    # iterations, and is divided by. What an iteration costs does not depend on the damping.
    small = 1e-3 * PUBLISHED_DAMPING

    def run_ours(solver: str, precision: str, damping: float = small) -> Solve:
        return solve(ours[precision], g, damping, settings.replace(solver=solver))

    def run_plain(precision: str, damping: float = small) -> Tensor:
        b = g.to(PRECISIONS[precision])
        return normal_equations_cg(plain[precision], b, damping, _ITERATIONS)

    checks = {}
    # Conjugate gradients on one system. At the published damping both have converged; at the other
    # not yet, and ours gives its best iterate, not its last.
    for damping, tolerance in ((PUBLISHED_DAMPING, 1e-8), (small, 1e-3)):
        name = f"cgnr beside the baseline, damping {damping:g}"
        x = run_ours("cgnr", "float64", damping).solution
        checks[name] = difference(name, run_plain("float64", damping), x, tolerance)
    contenders = []
    for precision in PRECISIONS:
        for solver in ("minres", "cgnr"):
            run = functools.partial(run_ours, solver, precision)
            assert run().iterations == _ITERATIONS, f"{solver}: stopped before"
            contenders.append(Contender(f"ours, {solver}, {precision}", _ITERATIONS, run))
        assert run_plain(precision).isfinite().all(), "baseline: not finite"
        plain_run = functools.partial(run_plain, precision)
        contenders.append(Contender(f"baseline, {precision}", _ITERATIONS, plain_run))
    timings = common.interleave(contenders, repeats)
    rows = []
    for name, timing in timings.items():
        minres = (timings[f"ours, minres, {precision}"] for precision in PRECISIONS)
        ratios = (f"{m.ratio(timing):.2f}" for m in minres)
        rows.append([name, *common.milliseconds(timing), *ratios])
    how = {True: "kept over all products", False: "built anew in every product"}
    return Section(
        f"2. One solver iteration, of {_ITERATIONS}, per-step",
        ("", "ms", "quartiles", *(f"÷ ours, minres, {p}" for p in PRECISIONS)),
        rows,
        {
            "iterations": _ITERATIONS,
            "relative_differences": checks,
            "baseline_keeps_graph": keep_graph,
            "timings": timings,
        },
        [
            *(
                f"baseline, {p}: graph of the first backward pass {how[keep_graph[p]]}, the faster"
                for p in PRECISIONS
            ),
            "the main solve runs in float64, the health report's in float32; "
            "a baseline as it would be written runs in float32",
        ],
        [
            Verdict(
                f"solver iteration, both sides {p}: baseline ÷ minres",
                timings[f"ours, minres, {p}"].ratio(timings[f"baseline, {p}"]),
                at_least=LEAST_SPEEDUP,
            )
            for p in PRECISIONS
        ],
    )


def regularised_residual(terms: Terms, x: Tensor, damping: float) -> float:
    """‖Hᵀg − (HᵀH + Pμ I) x‖ / ‖Hᵀg‖, from the products."""
    right_hand_side = terms.hessian(terms.g)
    rest = right_hand_side - terms.hessian(terms.hessian(x)) - damping * x.numel() * x
    relative: float = (rest.norm() / right_hand_side.norm()).item()
    return relative


def same_residual(samples: GradientSamples, repeats: int, *, dense: bool) -> Section:
    """The solvers, to the same residual.

    Args:
        dense: run that too, once.
    """
    rows, figures = [], []
    settings = samples.settings.replace(max_iterations=1000, tolerance=_TOLERANCE)
    for hessian in ("causal", "per-step"):
        terms = samples.terms(hessian=hessian)
        for damping in (PUBLISHED_DAMPING, PUBLISHED_DAMPING / 100):

            def run(solver: str, terms: Terms = terms, damping: float = damping) -> Solve:
                return solve(terms.hessian, terms.g, damping, settings.replace(solver=solver))

            names = ("minres", "cgnr", "cg")
            contenders = [Contender(name, 1, functools.partial(run, name)) for name in names]
            found = {name: run(name) for name in names}
            timings = common.interleave(contenders, repeats, warmup=0)  # each has just run
            if dense and hessian == "causal" and damping < PUBLISHED_DAMPING:
                found["dense"], timings["dense"] = common.once(functools.partial(run, "dense"))
            residuals = {
                name: regularised_residual(terms, s.solution, damping) for name, s in found.items()
            }
            # A residual r of (HᵀH + Pμ I) x = Hᵀ g is an error of at most ‖r‖/(Pμ) in x.
            scale = terms.hessian(terms.g).norm().item() / (damping * terms.g.numel())
            for name in found.keys() - {"cg"}:
                assert residuals[name] <= 1.01 * _TOLERANCE, f"{name}, {hessian}, {damping}"
                apart = (found["minres"].solution - found[name].solution).norm().item()
                bound = scale * (residuals["minres"] + residuals[name])
                assert apart <= bound, f"{name}, {hessian}, {damping}: {apart:.1e} > {bound:.1e}"
            for name, s in found.items():
                rows.append(
                    [
                        f"{hessian}, damping {damping:g}, {name}",
                        s.status,
                        str(s.iterations),
                        str(s.products),
                        f"{1000 / timings[name].median:.1f}",
                        f"{s.residual:.4f}",
                        f"{s.regularised_residual if name == 'cg' else residuals[name]:.1e}",
                    ]
                )
                figures.append(
                    {
                        "hessian": hessian,
                        "damping": damping,
                        **s.metrics(),
                        "true_tikhonov_residual": residuals[name],
                        "timing": timings[name],
                    }
                )
    return Section(
        f"3. The solvers, to a regularised residual of {_TOLERANCE:g}",
        ("", "ended", "iterations", "products", "ms", "‖g − Hx‖ / ‖g‖", "regularised residual"),
        rows,
        {"solves": figures},
        (
            "regularised residual: of (HᵀH + Pμ I) x = Hᵀ g, recomputed here; that of cg: of its "
            "own system, H shifted by ±√(Pμ), which has another solution",
            *(["dense: run once"] if dense else []),
        ),
    )
