"""A gap to oneself is none: the command and the page say so, and say why."""

from __future__ import annotations

import html
import json
import pathlib
import re

import numpy as np
import pytest

from admrl_native import cli
from admrl_native.evaluate import _table
from admrl_native.reporting import films
from admrl_native.reporting.collect import collect, read_runs
from admrl_native.reporting.heat_maps import gap_figures
from admrl_native.reporting.opening import unknown_gaps
from admrl_native.reporting.style import styled
from admrl_native.store.returns import read_evaluation
from synthetic_runs import change, make_evaluation, make_run


def printed(evaluation: pathlib.Path) -> list[str]:
    """What the command prints of it, line by line."""
    return _table(read_evaluation(evaluation)).splitlines()


def test_the_command_without_an_oracle(tmp_path: pathlib.Path) -> None:
    lines = printed(make_evaluation(make_run(tmp_path / "run"), oracle=False))
    rows = [line.split() for line in lines[2:4]]
    assert [row[0] for row in rows] == ["0", "2000"]
    for row in rows:
        assert row[1].isdigit()  # the return is known
        assert row[-3:] == ["-", "-", "-"]  # worst gap, mean gap, worst task
    assert "no gap is known at n = 0, 2000: there is neither an oracle nor another run" in lines[-1]
    assert not any("best known return: by" in line for line in lines)


def test_the_command_with_an_oracle_says_who_is_best(tmp_path: pathlib.Path) -> None:
    evaluation = make_evaluation(make_run(tmp_path / "run"), worst=100.0)
    lines = printed(evaluation)
    assert "the noise of the test episodes alone" in lines[4]
    found = re.search(
        r"by the oracle \(test\) on (\d+) tasks, by this run itself on (\d+)", lines[5]
    )
    assert found is not None
    assert int(found[1]) > int(found[2])
    assert int(found[1]) + int(found[2]) == 36
    assert not any(line.startswith("no gap") for line in lines)


def test_the_command_with_a_weak_oracle(tmp_path: pathlib.Path) -> None:
    """The run is better on every task: its gaps are 0 by definition, and so not known."""
    evaluation = make_evaluation(make_run(tmp_path / "run"), real_samples=(0,))
    values = json.loads((evaluation / "evaluation.json").read_text())
    weak = {kind: [[1.0] * 6] * 36 for kind in ("select", "fresh")}
    change(evaluation, oracle={**values["oracle"], **weak})
    lines = printed(evaluation)
    assert lines[2].split()[-3:] == ["-", "-", "-"]
    assert "by the oracle (test) on 0 tasks, by this run itself on 36" in lines[-2]
    assert "no gap is known at n = 0: no oracle and no other policy is better" in lines[-1]


def test_the_page_without_anything_to_compare_with(tmp_path: pathlib.Path) -> None:
    run = make_run(tmp_path / "run", "Ant2D")
    make_evaluation(run, oracle=False, model_errors=False)
    out = tmp_path / "report"
    assert cli.main(["report", str(run), "--out", str(out)]) == 0
    page = html.unescape((out / "index.html").read_text(encoding="utf-8"))
    assert "are not known: there is neither an oracle nor another run" in page
    assert "There is no oracle on" not in page  # which would call the gaps too small
    (grid,) = json.loads((out / "report.json").read_text())["families"][0]["grids"]
    assert not grid["gaps_known"]
    method = grid["methods"]["AdMRL"]
    for n in ("0", "2000"):
        assert {e["value"] for e in method["statistics"][n].values()} == {None}
        assert {g for run in method["gaps"][n] for g in run} == {None}
        assert method["mean_returns"][n]["low"] is not None
    names = {p.stem for p in (out / "figures").iterdir()}
    assert "ant2d-grid-adaptation" in names  # of returns
    assert not any("-gaps" in name for name in names)


@pytest.mark.parametrize("family", ["Ant2D", "Cheetah-Highdim"])
def test_gaps_of_some_methods_alone_are_drawn(family: str, tmp_path: pathlib.Path) -> None:
    """One method is the best everywhere: it has no gaps, the other has."""
    runs = [make_run(tmp_path / m, family, m) for m in ("admrl", "mb-unif")]
    for run, lower in zip(runs, (0.0, 500.0), strict=True):
        evaluation = make_evaluation(run, oracle=False, real_samples=(0,))
        values = json.loads((evaluation / "evaluation.json").read_text())["returns"]["0"]
        fewer = {k: (np.array(tasks) - lower).tolist() for k, tasks in values.items()}
        change(evaluation, returns={"0": fewer})
    content = collect(read_runs(runs))
    (grid,) = content["families"][0]["grids"]
    assert grid["gaps_known"]
    known = [grid["methods"][m]["statistics"]["0"]["max"]["value"] for m in ("AdMRL", "MB-Unif")]
    assert known[0] is None
    assert known[1] > 400
    (why,) = unknown_gaps(grid)
    assert why.startswith("The gaps of AdMRL at n = 0 on the test tasks inside Ψ are not known: no")
    with styled():
        ((_, draw),) = gap_figures(content["families"][0], grid)
        figure = draw()
        figure.canvas.draw()
    texts = [t.get_text() for axes in figure.axes for t in axes.texts]
    assert texts.count("–") == (36 if family == "Ant2D" else 0)


def test_the_films_are_of_two_tasks(tmp_path: pathlib.Path) -> None:
    """The best and the worst by return where no gap is known; one film where they are one task."""
    returns = [[3.0, 1.0, 2.0]]
    grid = {
        "grid": "grid", "psis": [[0.0], [1.0], [2.0]], "real_samples": [0],
        "methods": {"a": {"gaps": {"0": [[None] * 3]}, "worst_tasks": {"0": []},
                          "returns": {"0": returns}, "seeds": [0]}},
    }  # fmt: skip
    found = list(films._chosen(grid))
    assert [(f["kind"], f["by"], f["task"], f["gap"]) for f in found] == [
        ("best", "return", 0, None), ("worst", "return", 1, None),
    ]  # fmt: skip
    grid["methods"]["a"] |= {"gaps": {"0": [[5.0, 4.0, 9.0]]}, "worst_tasks": {"0": [2]}}
    assert [(f["by"], f["task"]) for f in films._chosen(grid)] == [("gap", 1), ("gap", 2)]
    grid["methods"]["a"] |= {"gaps": {"0": [[5.0, 4.0, 9.0]]}, "worst_tasks": {"0": [1]}}
    assert [(f["kind"], f["task"]) for f in films._chosen(grid)] == [("best", 1)]
