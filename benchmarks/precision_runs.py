"""Does a run in bf16 learn what one in fp32 learns?

Reads finished runs, made with both precisions and the same seeds and settings:

    admrl train --family Ant2D --preset small --seed 0 --precision bf16 --out RUNS/bf16-0
    python benchmarks/precision_runs.py RUNS/* --figure FILE.png --json FILE.json

The tasks after the second are chosen by the runs themselves and differ. So the first task, which is
the same in all of them, is compared stage by stage, and the later ones by what a run earns on its
tasks, mean over tasks.
"""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
import statistics
import typing
from collections.abc import Mapping, Sequence

import matplotlib as mpl

import common

mpl.use("Agg")

import matplotlib.pyplot as plt

from admrl_native import Run
from admrl_native.evaluation.t_interval import mean_interval
from common import Verdict

_COLOURS = {"fp32": "#0072B2", "bf16": "#D55E00"}  # Okabe & Ito


@dataclasses.dataclass(frozen=True)
class Returns:
    """Real returns of one run.

    Attributes:
        precision: it was made with.
        seed: of the run.
        first_task: after each SLBO stage of the first task.
        zero_shot: of each later task.
        after_slbo: of each later task.
        minutes: of the run.
    """

    precision: str
    seed: int
    first_task: Sequence[float]
    zero_shot: Sequence[float]
    after_slbo: Sequence[float]
    minutes: float

    @classmethod
    def read(cls, path: pathlib.Path) -> typing.Self:
        run = Run.load(path)
        lines = run.metrics()
        first, *later = (line["returns"] for line in lines if line["event"] == "task")
        return cls(
            run.config.training.compute.precision,
            run.config.seed,
            first["slbo"],
            [r["zero_shot"] for r in later],
            [r["slbo"][-1] for r in later],
            lines[-1]["wall_seconds"] / 60,
        )

    def figures(self) -> Mapping[str, float]:
        """What is compared: one number each."""
        return {
            "first task, mean over the stages": statistics.mean(self.first_task),
            "first task, last three stages": statistics.mean(self.first_task[-3:]),
            "later tasks, zero-shot": statistics.mean(self.zero_shot),
            "later tasks, after SLBO": statistics.mean(self.after_slbo),
        }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", type=pathlib.Path, metavar="RUN")
    parser.add_argument("--figure", type=pathlib.Path, metavar="FILE")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE")
    arguments = parser.parse_args()
    runs = [Returns.read(path) for path in arguments.runs]
    by_precision = {p: [r for r in runs if r.precision == p] for p in ("fp32", "bf16")}
    rows, verdicts = [], []
    for name in runs[0].figures():
        values = {p: [r.figures()[name] for r in of_p] for p, of_p in by_precision.items()}
        mean = {p: statistics.mean(v) for p, v in values.items()}
        spread = {p: statistics.stdev(v) for p, v in values.items()}
        by_seed = {r.seed: r.figures()[name] for r in by_precision["fp32"]}
        gains = [r.figures()[name] - by_seed[r.seed] for r in by_precision["bf16"]]
        cells = [f"{mean[p]:.0f} ± {spread[p]:.0f}" for p in values]
        rows.append([name, *cells, str(mean_interval(gains))])
        pooled = statistics.mean(s * s for s in spread.values()) ** 0.5
        distance = abs(mean["bf16"] - mean["fp32"]) / pooled
        verdicts.append(Verdict(f"{name}: distance ÷ spread between seeds", distance, at_most=1.0))
    minutes = [f"{statistics.mean(r.minutes for r in of_p):.1f}" for of_p in by_precision.values()]
    rows.append(["minutes of a run", *minutes, ""])
    header = ["real return, mean ± standard deviation over seeds", *by_precision]
    print(common.table([*header, "difference by seed, 95 % interval"], rows))
    header = ["requirement", "measured", "asked for", ""]
    print("\n" + common.table(header, [v.cells() for v in verdicts]))
    if arguments.figure:
        draw(by_precision, arguments.figure)
    if arguments.json:
        figures = {"runs": [dataclasses.asdict(r) for r in runs], "verdicts": verdicts}
        common.write_json(arguments.json, {"benchmark": "precision_runs", **figures})


def draw(by_precision: Mapping[str, Sequence[Returns]], path: pathlib.Path) -> None:
    """The returns of every run, by stage of the first task and by later task."""
    figure, panels = plt.subplots(1, 3, figsize=(12, 3.8), layout="constrained")
    titles = ("first task, after each stage", "later tasks, zero-shot", "later tasks, after SLBO")
    for axes, title, attribute in zip(
        panels, titles, ("first_task", "zero_shot", "after_slbo"), strict=True
    ):
        for precision, runs in by_precision.items():
            curves = [getattr(run, attribute) for run in runs]
            first = 1 if attribute == "first_task" else 2
            x = range(first, first + len(curves[0]))
            colour = _COLOURS[precision]
            for curve in curves:
                axes.plot(x, curve, ".-", color=colour, alpha=0.4, linewidth=1, markersize=4)
            means = [statistics.mean(values) for values in zip(*curves, strict=True)]
            label = f"{precision}, mean of {len(runs)} seeds"
            axes.plot(x, means, "o-", color=colour, markersize=5, label=label)
        axes.set_title(title)
        axes.set_xlabel("SLBO stage" if attribute == "first_task" else "task")
        axes.set_xticks([n for n in x if len(x) < 8 or n % 5 == 0])
        axes.margins(x=0.1)
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("real return")
    panels[0].legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    main()
