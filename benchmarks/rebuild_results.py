"""The comparisons of docs/results.md from their committed data: tables, figures, pages.

    python benchmarks/rebuild_results.py OUT [--tables] [--images docs/images]
    python benchmarks/rebuild_results.py --pack FOLDER RUN...

A comparison whose episodes were kept is a folder: `returns.npz` has, for each run and set of test
tasks, the returns (n, select and fresh, M tasks, E episodes); `runs.json` configurations, machines,
times and what else an evaluation says; `records.jsonl.gz` the metrics, without single virtual
iterations and tasks that nothing was returned on. They are unpacked into run folders, which
`admrl report` reads. Of two older comparisons only the report is left, `NAME.json.gz`, from which
figures and tables are drawn anew.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import yaml
from PIL import Image

import results_tables
from admrl_native.report import main as report_command
from admrl_native.reporting.collect import collect, read_runs
from admrl_native.reporting.figures import draw_figures

RESULTS = pathlib.Path(__file__).parent / "results"
COMPARISONS = {
    "figure2": RESULTS / "xeon-2core/small_figure2",
    "small": RESULTS / "epyc-2core/small_report.json.gz",
    "longer": RESULTS / "epyc-2core/small_longer_report.json.gz",
}
# Picture of the documents → comparison and figure.
IMAGES = {
    "results-ant2d-figure2": ("figure2", "ant2d-grid-adaptation"),
    "results-hopper2d-figure2": ("figure2", "hopper2d-grid-adaptation"),
    "results-ant2d-grid-gaps": ("small", "ant2d-grid-gaps"),
    "results-ant2d-grid-adaptation": ("small", "ant2d-grid-adaptation"),
    "results-ant2d-tasks": ("small", "ant2d-tasks"),
    "results-ant2d-gradients": ("small", "ant2d-gradients"),
    "results-ant2d-ood-gaps": ("small", "ant2d-ood-gaps"),
    "results-hopper2d-grid-gaps": ("small", "hopper2d-grid-gaps"),
    "results-ant2d-longer-gaps": ("longer", "ant2d-grid-gaps"),
    "results-ant2d-longer-tasks": ("longer", "ant2d-tasks"),
}
KINDS = ("select", "fresh")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=pathlib.Path, nargs="?", default=pathlib.Path("rebuilt"))
    parser.add_argument("--tables", action="store_true", help="tables alone, no figures or pages")
    parser.add_argument("--images", type=pathlib.Path, help="folder for the documents' pictures")
    parser.add_argument(
        "--pack", type=pathlib.Path, nargs="+", metavar=("FOLDER", "RUN"), help="make a comparison"
    )
    given = parser.parse_args()
    if given.pack:
        pack(given.pack[1:], given.pack[0])
        return
    for name, data in COMPARISONS.items():
        out = given.out / name
        report = rebuild(data, out, figures=not given.tables)
        (out / "tables.md").write_text(results_tables.tables(report, all_pairs=True), "utf-8")
    if given.images:
        for picture, (name, figure) in IMAGES.items():
            source = given.out / name / "figures" / f"{figure}.png"
            shrink(source, given.images / f"{picture}.png")


def rebuild(data: pathlib.Path, out: pathlib.Path, *, figures: bool) -> dict[str, Any]:
    """The report of a comparison; with figures, its page or figures are written into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    if data.is_dir():
        runs = unpack(data, out / "runs")
        if not figures:
            return collect(read_runs(runs))
        report_command([*map(str, runs), "--out", str(out)])
        return dict(json.loads((out / "report.json").read_text("utf-8")))
    report: dict[str, Any] = json.loads(gzip.decompress(data.read_bytes()))
    if figures:
        (out / "figures").mkdir(exist_ok=True)
        for family in report["families"]:
            draw_figures(family, out / "figures")
    return report


def pack(runs: Sequence[pathlib.Path], folder: pathlib.Path) -> None:
    """Run folders → a comparison: what `admrl report` reads of them, films aside."""
    described: dict[str, Any] = {}
    returns: dict[str, Any] = {}
    records = io.StringIO()
    for run in sorted(runs, key=lambda run: run.name):
        evaluations = {}
        for file in sorted(run.glob("evaluation/*/evaluation.json")):
            values = json.loads(file.read_text("utf-8"))
            of_n = values.pop("returns")
            returns[f"{run.name}/{file.parent.name}"] = np.array(
                [[of_n[str(n)][kind] for kind in KINDS] for n in values["real_samples"]]
            )
            evaluations[file.parent.name] = values
        config = yaml.safe_load((run / "config.yaml").read_text("utf-8"))
        described[run.name] = {"config": config, "evaluations": evaluations}
        for line in (run / "metrics.jsonl").read_text("utf-8").splitlines():
            record = json.loads(line)
            if record["event"] != "virtual-iteration" and record.get("returns") != {}:
                records.write(json.dumps({"run": run.name, **record}) + "\n")
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(folder / "returns.npz", **returns)
    text = ",\n".join(f"{json.dumps(name)}: {json.dumps(run)}" for name, run in described.items())
    (folder / "runs.json").write_text(f"{{\n{text}\n}}\n", "utf-8")
    packed = gzip.compress(records.getvalue().encode(), 9, mtime=0)
    (folder / "records.jsonl.gz").write_bytes(packed)


def unpack(folder: pathlib.Path, out: pathlib.Path) -> list[pathlib.Path]:
    """A comparison → run folders in `out`, whose paths are returned."""
    described = json.loads((folder / "runs.json").read_text("utf-8"))
    metrics: dict[str, list[str]] = {name: [] for name in described}
    for line in gzip.decompress((folder / "records.jsonl.gz").read_bytes()).decode().splitlines():
        record = json.loads(line)
        metrics[record.pop("run")].append(json.dumps(record) + "\n")
    with np.load(folder / "returns.npz") as returns:
        for name, run in described.items():
            for grid, values in run["evaluations"].items():
                place = out / name / "evaluation" / grid
                place.mkdir(parents=True, exist_ok=True)
                values["returns"] = {
                    str(n): dict(zip(KINDS, of_n.tolist(), strict=True))
                    for n, of_n in zip(
                        values["real_samples"], returns[f"{name}/{grid}"], strict=True
                    )
                }
                (place / "evaluation.json").write_text(json.dumps(values), "utf-8")
            text = yaml.safe_dump(run["config"], sort_keys=False, allow_unicode=True)
            (out / name / "config.yaml").write_text(text, "utf-8")
            (out / name / "metrics.jsonl").write_text("".join(metrics[name]), "utf-8")
    return [out / name for name in described]


def shrink(source: pathlib.Path, target: pathlib.Path, *, colours: int = 64) -> None:
    """The same picture with a palette, as small as PNG makes it."""
    with Image.open(source) as picture:
        small = picture.convert("RGB").quantize(colours, dither=Image.Dither.NONE)
        small.save(target, optimize=True)


if __name__ == "__main__":
    main()
