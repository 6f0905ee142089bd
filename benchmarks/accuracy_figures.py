"""Draws what `gradient_accuracy.py` found: hessian-error.png, hessian-bias.png."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt

# Okabe & Ito: told apart by all readers.
_COLOURS = ("#999999", "#D55E00", "#56B4E9", "#0072B2", "#009E73", "#CC79A7", "#E69F00")


def draw(figures: Mapping[str, Any], folder: pathlib.Path) -> None:
    """Writes both pictures into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    _errors(figures["hessian_relative_rmse"], figures["error_by_samples"], folder)
    _bias(figures["bias_by_horizon"], folder)


def _errors(errors: Mapping[str, Any], shrinking: Mapping[str, Any], folder: pathlib.Path) -> None:
    figure, (bars, lines) = plt.subplots(
        1, 2, figsize=(12, 5.2), width_ratios=(2.2, 1), layout="constrained"
    )
    names = list(next(iter(errors.values())))
    width = 0.8 / len(names)
    for i, name in enumerate(names):
        places = [j + (i - (len(names) - 1) / 2) * width for j in range(len(errors))]
        heights = [by[name]["rmse"] for by in errors.values()]
        bars.bar(places, heights, width, color=_COLOURS[i], label=name)
        bars.plot(
            places,
            [max(by[name]["bias"], 1e-3) for by in errors.values()],
            "_",
            color="black",
            markersize=8,
            label="of which bias" if i == 0 else None,
        )
        lines.plot(
            shrinking["samples"],
            shrinking[name]["rmse"],
            "o-",
            color=_COLOURS[i],
            label=f"{name.split(' (')[0]}: slope {shrinking[name]['slope']:.2f}",
        )
    bars.set_yscale("log")
    bars.set_ylim(0.01, None)
    bars.set_xticks(range(len(errors)), [case.replace(", ", "\n") for case in errors], fontsize=8)
    bars.set_ylabel("error of H x, relative (rmse over batches and x)")
    bars.set_title("10 000 samples")
    bars.legend(fontsize=8, ncols=2)
    lines.set_xscale("log")
    lines.set_yscale("log")
    lines.set_xlabel("samples")
    lines.set_title(shrinking["case"])
    lines.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)
    for axes in (bars, lines):
        axes.grid(alpha=0.3, which="both", axis="y")
    figure.savefig(folder / "hessian-error.png", dpi=120)
    plt.close(figure)


def _bias(bias: Mapping[str, Any], folder: pathlib.Path) -> None:
    figure, panels = plt.subplots(1, 2, figsize=(10, 3.8), sharey=True, layout="constrained")
    titles = {
        "at θ̂": "at the best policy of the model",
        "beside θ̂": "at another policy (K = −0.3, k = 0.4)",
    }
    for axes, (place, title) in zip(panels, titles.items(), strict=True):
        for name, colour in (("per-step", _COLOURS[1]), ("causal", _COLOURS[4])):
            found = bias[place][name]
            axes.errorbar(
                bias["horizons"],
                [f["bias"] for f in found],
                yerr=[f["noise"] for f in found],
                fmt="o-",
                capsize=3,
                color=colour,
                label=name,
            )
        axes.set_title(title)
        axes.set_xlabel("horizon T (steps)")
        axes.set_ylim(-0.03, 1.0)
        axes.grid(alpha=0.3)
        axes.legend()
    panels[0].set_ylabel("bias of H relative to ‖H‖")
    figure.savefig(folder / "hessian-bias.png", dpi=120)
    plt.close(figure)
