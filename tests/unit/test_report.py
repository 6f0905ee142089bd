"""The report: grouping, the numbers of the page, figures, and what is refused."""

from __future__ import annotations

import copy
import dataclasses
import html.parser
import importlib
import itertools
import json
import math
import pathlib
import re
from typing import Any

import numpy as np
import pytest

from admrl_native import cli
from admrl_native.configuration.config import make_config
from admrl_native.reporting import figures, films
from admrl_native.reporting.camera import Camera, NoCameraError
from admrl_native.reporting.collect import collect, read_runs
from admrl_native.reporting.curves import adaptation_figure, model_error_figure
from admrl_native.reporting.heat_maps import gap_figures
from admrl_native.reporting.labels import label, varied_options
from admrl_native.reporting.numbers import pointer, text
from admrl_native.reporting.style import styled
from admrl_native.reporting.training_figures import training_figure, visited_tasks_figure
from admrl_native.settings import SettingError
from synthetic_runs import change, make_evaluation, make_run


@dataclasses.dataclass(frozen=True)
class Page:
    """A finished report.

    Attributes:
        folder: of it.
        html: of its page.
        numbers: place in report.json to the text shown.
        report: report.json.
    """

    folder: pathlib.Path
    html: str
    numbers: dict[str, set[str]]
    report: dict[str, Any]


class _Marked(html.parser.HTMLParser):
    """Collects the text of every span with a data-key, and every address."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers: dict[str, set[str]] = {}
        self.addresses: list[str] = []
        self._key: str | None = None
        self._text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if "data-key" in given:
            assert tag == "span"
            self._key, self._text = given["data-key"], ""
        self.addresses += [given[name] or "" for name in ("src", "href") if name in given]

    def handle_data(self, data: str) -> None:
        self._text += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "span" and self._key is not None:
            self.numbers.setdefault(self._key, set()).add(self._text)
            self._key = None


def report(folder: pathlib.Path, *runs: pathlib.Path) -> Page:
    """What `admrl report` makes of some runs."""
    out = folder / "report"
    assert cli.main(["report", *map(str, runs), "--out", str(out)]) == 0
    page = (out / "index.html").read_text(encoding="utf-8")
    parser = _Marked()
    parser.feed(page)
    values = json.loads((out / "report.json").read_text(encoding="utf-8"))
    return Page(out, page, parser.numbers, values)


@pytest.fixture(scope="module")
def ant(tmp_path_factory: pytest.TempPathFactory) -> Page:
    """Two methods, two seeds each, in and out of distribution."""
    folder = tmp_path_factory.mktemp("ant")
    runs = []
    for method, worst in (("mb-unif", 200.0), ("admrl", 100.0)):
        for seed in (0, 1):
            runs.append(make_run(folder / f"{method}-{seed}", "Ant2D", method, seed))
            make_evaluation(runs[-1], worst=worst)
            make_evaluation(runs[-1], "ood", worst=worst, real_samples=(0,))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(films, "Camera", _no_camera)
        return report(folder, *runs)


@pytest.fixture(scope="module", params=["Ant3D", "Cheetah-Highdim"])
def other(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Page:
    """Tasks of three and of eighteen numbers; one seed, no oracle."""
    folder = tmp_path_factory.mktemp("other")
    runs = [make_run(folder / m, request.param, m) for m in ("admrl", "mb-gauss")]
    for run in runs:
        make_evaluation(run, oracle=False, model_errors=False, real_samples=(0,))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(films, "Camera", _no_camera)
        return report(folder, *runs)


def _no_camera(_: Any) -> Camera:
    raise NoCameraError("MUJOCO_GL=egl: nothing here")


def _resolve(document: Any, place: str) -> Any:
    for step in place.split("/")[1:]:
        step = step.replace("~1", "/").replace("~0", "~")
        document = document[int(step) if isinstance(document, list) else step]
    return document


def _wrong_numbers(page: Page) -> dict[str, set[str]]:
    """What the page shows, by place in the JSON, where that is not the JSON's number."""
    return {
        place: shown
        for place, shown in page.numbers.items()
        if shown != {text(_resolve(page.report, place))}
    }


def _check_page(page: Page) -> None:
    parser = _Marked()
    parser.feed(page.html)
    assert all(a.startswith(("data:", "#")) for a in parser.addresses)
    anchors = [a[1:] for a in parser.addresses if a.startswith("#")]
    assert all(f'id="{a}"' in page.html for a in anchors)
    assert not re.search(r"\b(nan|None|inf)\b", re.sub(r"base64,[^\"]*", "", page.html))
    names = {p.stem for p in (page.folder / "figures").iterdir()}
    for name in names:
        for kind, magic in (("png", b"\x89PNG"), ("svg", b"<?xml")):
            file = page.folder / "figures" / f"{name}.{kind}"
            assert file.read_bytes().startswith(magic)


def test_every_number_of_the_page_is_that_of_the_json(ant: Page) -> None:
    assert len(ant.numbers) > 100
    assert _wrong_numbers(ant) == {}
    _check_page(ant)
    for grid in range(2):
        for method in ("AdMRL", "MB-Unif"):
            for name in ("max", "cvar10", "cvar25", "mean", "iqm"):
                place = f"/families/0/grids/{grid}/methods/{method}/statistics/0/{name}"
                assert place in ant.numbers


def test_every_number_of_the_page_is_that_of_the_json_in_other_dimensions(other: Page) -> None:
    assert len(other.numbers) > 100
    assert _wrong_numbers(other) == {}
    _check_page(other)
    for method in ("AdMRL", "MB-Gauss"):
        for name in ("max", "cvar10", "cvar25", "mean", "iqm"):
            assert f"/families/0/grids/0/methods/{method}/statistics/0/{name}" in other.numbers


def test_a_wrong_number_would_be_found(other: Page) -> None:
    place = "/families/0/grids/0/methods/AdMRL/statistics/0/mean"
    changed = copy.deepcopy(other.report)
    _resolve(changed, place)["value"] += 1000
    wrong = _wrong_numbers(dataclasses.replace(other, report=changed))
    assert list(wrong) == [place]


def test_cells_of_the_tables_of_numbers_are_all_marked(ant: Page) -> None:
    part = ant.html[ant.html.index('id="numbers"') : ant.html.index('id="ant2d"')]
    cells = re.findall(r'<td class="number">(.*?)</td>', part)
    assert len(cells) > 30
    assert all(cell.startswith("<span data-key=") for cell in cells)


def test_the_numbers_are_the_known_ones(ant: Page) -> None:
    """Worst gaps 100 and 200, halved by the samples; five standard errors of the noise of means."""
    (family,) = ant.report["families"]
    inside, outside = family["grids"]
    assert family["labels"] == ["AdMRL", "MB-Unif"]
    assert (inside["inside"], outside["inside"]) == (True, False)
    noise = 5 * 5 * math.sqrt(2 / 6)
    for method, worst in (("AdMRL", 100), ("MB-Unif", 200)):
        statistics = inside["methods"][method]["statistics"]
        assert abs(statistics["0"]["max"]["value"] - worst) < noise
        assert abs(statistics["2000"]["max"]["value"] - worst / 2) < noise
    difference = next(d for d in inside["differences"] if d["real_samples"] == 0)
    assert difference["verdict"] == "AdMRL has the smaller worst case"
    assert not inside["one_seed"]
    assert "One seed only" not in ant.html


def test_a_lone_seed_is_said(other: Page) -> None:
    assert "One seed only" in other.html
    assert "There is no oracle" in other.html


def test_equal_methods_show_no_difference(tmp_path: pathlib.Path) -> None:
    runs = [
        make_run(tmp_path / f"{method}-{seed}", "Hopper2D", method, seed)
        for method in ("admrl", "mb-unif")
        for seed in (0, 1)
    ]
    for run in runs:
        make_evaluation(run, worst=50.0)
    assert _verdicts(runs) == {"no difference is seen"}


def _verdicts(runs: list[pathlib.Path]) -> set[str]:
    (family,) = collect(read_runs(runs))["families"]
    return {d["verdict"] for d in family["grids"][0]["differences"]}


def test_no_verdict_from_one_run(tmp_path: pathlib.Path) -> None:
    """However far apart they are."""
    runs = [make_run(tmp_path / m, "Hopper2D", m) for m in ("admrl", "mb-unif")]
    make_evaluation(runs[0], worst=50.0)
    make_evaluation(runs[1], worst=500.0)
    assert _verdicts(runs) == {"not decided: one run each"}
    runs.append(make_run(tmp_path / "more", "Hopper2D", "mb-unif", 1))
    make_evaluation(runs[2], worst=500.0)
    assert _verdicts(runs) == {"not decided: one run of AdMRL"}


def test_figures_are_drawn(ant: Page, other: Page) -> None:
    names = {p.stem for p in (ant.folder / "figures").iterdir()}
    assert names == {
        f"ant2d-{name}"
        for name in (
            "grid-gaps", "grid-adaptation", "ood-gaps", "ood-adaptation", "model-errors", "tasks",
            "training", "gradients",
        )
    }  # fmt: skip
    parts = {p.stem.split("-", 2)[-1] for p in (other.folder / "figures").iterdir()}
    assert "model-errors" not in parts
    assert any("gaps" in p for p in parts)


def test_long_labels_stay_apart(tmp_path: pathlib.Path) -> None:
    """In figures of many methods with long names; one that is too small warns: an error here."""
    runs = []
    for method in ("admrl", "mb-unif"):
        for n_tasks in (6, 12):
            run = make_run(tmp_path / f"{method}{n_tasks}", "Ant2D", method, n_tasks=n_tasks)
            make_evaluation(run, real_samples=(0,))
            runs.append(run)
    content = collect(read_runs(runs))
    (family,) = content["families"]
    assert "AdMRL, n_tasks 12" in family["labels"]
    with styled():
        for figure in (
            gap_figures(family, family["grids"][0])[0][1](),
            visited_tasks_figure(family),
            adaptation_figure(family, family["grids"][0]),
            model_error_figure(family),
            training_figure(family),
        ):
            figure.savefig(tmp_path / "figure.png")
            width = figure.bbox.width
            titles = [a.title for a in figure.axes] + [a._left_title for a in figure.axes]
            boxes = [t.get_window_extent() for t in titles if t.get_text() and t.axes.get_visible()]
            legends = [*figure.legends, *(a.get_legend() for a in figure.axes if a.get_legend())]
            boxes += [legend.get_window_extent() for legend in legends]
            assert all(b.x0 >= 0 and b.x1 <= width for b in boxes)
            assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))


def test_runs_without_an_evaluation_are_reported(tmp_path: pathlib.Path) -> None:
    run = make_run(tmp_path / "run <b>", "Hopper2D", finished=False)
    page = report(tmp_path, run)
    assert "None of these runs has been evaluated" in page.html
    assert "Not trained to the end" in page.html
    assert "run <b>" not in page.html  # escaped
    names = {p.stem for p in (page.folder / "figures").iterdir()}
    assert names == {"hopper2d-tasks", "hopper2d-training", "hopper2d-gradients"}
    assert page.report["families"][0]["films_missing"] == "no run was evaluated"


def test_a_report_is_made_again_in_the_same_place(tmp_path: pathlib.Path) -> None:
    run = make_run(tmp_path / "run", "Hopper2D")
    first = report(tmp_path, run)
    assert report(tmp_path, run) == first


# Grouping


def test_runs_are_grouped_by_family_method_and_what_differs(tmp_path: pathlib.Path) -> None:
    runs = [
        make_run(tmp_path / "a", "Ant2D", "mb-unif", 1, step_size=8.0),
        make_run(tmp_path / "b", "Ant2D", "admrl", 1, step_size=8.0),
        make_run(tmp_path / "c", "Ant2D", "admrl", 0, step_size=2.0),
        make_run(tmp_path / "d", "Ant2D", "admrl", 0, step_size=8.0),
        make_run(tmp_path / "e", "Hopper2D"),
    ]
    found = read_runs(runs)
    assert list(found) == ["Ant2D", "Hopper2D"]
    assert [(r.path.name, r.label) for r in found["Ant2D"]] == [
        ("c", "AdMRL, step_size 2"),
        ("d", "AdMRL, step_size 8"),
        ("b", "AdMRL, step_size 8"),
        ("a", "MB-Unif, step_size 8"),
    ]
    assert [r.label for r in found["Hopper2D"]] == ["AdMRL"]
    family = collect(found)["families"][0]
    assert family["varied"]["AdMRL, step_size 2"] == {"step_size": 2.0}
    assert family["seeds"]["AdMRL, step_size 8"] == 2


def test_old_runs_are_reported_with_their_accounts(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of format 1; an option that one method reads is no difference between it and others."""
    benchmarks = pathlib.Path(__file__).parents[2] / "benchmarks"
    monkeypatch.syspath_prepend(benchmarks)
    unpack = importlib.import_module("rebuild_results").unpack
    unpack(benchmarks / "results/xeon-2core/small_figure2", tmp_path)
    runs = read_runs([tmp_path / f"Ant2D-{m}-seed0" for m in ("admrl", "mb-unif", "pearl")])
    runs = runs["Ant2D"]
    assert [run.label for run in runs] == ["AdMRL", "MB-Unif", "PEARL"]
    assert [run.config.training.task_selection.untrusted_gradient for run in runs[:2]] == [
        "follow",
        "follow",
    ]
    rest = {"training": 350_000, "evaluation": 460_000 + 70_000}
    assert [run.summary.samples for run in runs] == [
        {**rest, "gradient": 100_000},
        {**rest, "gradient": 0},
        {"training": 300_000, "gradient": 0, "evaluation": 0},
    ]


def test_a_preset_stands_for_its_options() -> None:
    configs = [
        make_config("Ant2D", preset_name=preset, threads=1, overrides=changes)
        for preset, changes in (("quick", {}), ("small", {}), ("small", {"n_slbo": 5}))
    ]
    varied = varied_options(configs)
    assert varied == ("preset", "n_slbo")
    assert [label(c, varied) for c in configs] == [
        "AdMRL, quick, n_slbo 2",
        "AdMRL, small, n_slbo 3",
        "AdMRL, small, n_slbo 5",
    ]


# Refused


def _refused(*paths: pathlib.Path) -> str:
    with pytest.raises(SettingError) as caught:
        collect(read_runs(paths))
    assert caught.value.name == "run"
    assert "\n" not in caught.value.problem
    return caught.value.problem


def test_no_run() -> None:
    assert _refused() == "expected at least one run folder, got none"


def test_no_run_folder(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "which has no config.yaml" in _refused(tmp_path)
    assert cli.main(["report", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("admrl report: error: RUN: expected a run folder, got ")
    assert not (tmp_path / "out").exists()


def test_damaged_metrics(tmp_path: pathlib.Path) -> None:
    run = make_run(tmp_path / "run")
    (run / "metrics.jsonl").write_text("{\n")
    with pytest.raises(SettingError, match=r"metrics\.jsonl:1: expected a JSON object"):
        read_runs([run])


def test_the_same_run_twice(tmp_path: pathlib.Path) -> None:
    a, b = (make_run(tmp_path / name, "Hopper2D") for name in "ab")
    assert _refused(a, b).endswith(f"but {a} and {b} are both AdMRL, seed 0")


def test_other_physics(tmp_path: pathlib.Path) -> None:
    a = make_run(tmp_path / "a", "Hopper2D")
    b = make_run(tmp_path / "b", "Hopper2D", "mb-unif", horizon=100)
    assert _refused(a, b) == f"expected one Hopper2D, but {a} and {b} differ: horizon 200 and 100"


def test_an_evaluation_of_another_run(tmp_path: pathlib.Path) -> None:
    run = make_run(tmp_path / "run", "Hopper2D")
    path = make_evaluation(run)
    values = json.loads((path / "evaluation.json").read_text())
    change(path, run={**values["run"], "seed": 1})
    assert f"expected {path} to be of admrl on Hopper2D, quick, seed 0" in _refused(run)


@pytest.mark.parametrize(
    ("field", "message"),
    [("psis", "expected the same tasks in"), ("episodes", "expected as many episodes in")],
)
def test_evaluations_that_cannot_be_compared(
    tmp_path: pathlib.Path, field: str, message: str
) -> None:
    runs = [make_run(tmp_path / m, "Hopper2D", m) for m in ("admrl", "mb-unif")]
    make_evaluation(runs[0])
    path = make_evaluation(runs[1], episodes=6 if field == "psis" else 5)
    if field == "psis":
        psis = np.array(json.loads((path / "evaluation.json").read_text())["psis"])
        change(path, psis=(psis + 0.1).tolist())
    assert message in _refused(*runs)


def test_no_common_number_of_samples(tmp_path: pathlib.Path) -> None:
    runs = [make_run(tmp_path / m, "Hopper2D", m) for m in ("admrl", "mb-unif")]
    for run, n in zip(runs, (0, 2000), strict=True):
        make_evaluation(run, real_samples=(n,))
    assert "expected a number of real samples that all were evaluated with" in _refused(*runs)


def test_numbers_that_not_all_have_are_left_out(tmp_path: pathlib.Path) -> None:
    runs = [make_run(tmp_path / m, "Hopper2D", m) for m in ("admrl", "mb-unif")]
    for run, samples in zip(runs, ((0,), (0, 2000)), strict=True):
        make_evaluation(run, real_samples=samples)
    grid = collect(read_runs(runs))["families"][0]["grids"][0]
    assert (grid["real_samples"], grid["left_out"]) == ([0], [2000])


def test_a_figure_that_fails_is_replaced_by_the_reason(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Any) -> None:
        raise ValueError("Expected end of text,\nfound '$' <i>")

    monkeypatch.setattr(figures, "training_figure", fail)
    run = make_run(tmp_path / "run", "Hopper2D")
    page = report(tmp_path, run)
    reason = "Training: not drawn: Expected end of text, found &#x27;$&#x27; &lt;i&gt;"
    assert reason in page.html
    names = {p.stem for p in (page.folder / "figures").iterdir()}
    assert "hopper2d-tasks" in names
    assert "hopper2d-training" not in names


# Films


def test_films(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(films, "_VIDEO_FRAMES", 5)
    run = make_run(tmp_path / "run", "Hopper2D", horizon=20)
    try:
        Camera(make_config("Hopper2D").family).close()
    except NoCameraError as error:
        pytest.skip(str(error))
    make_evaluation(run, policies=True, real_samples=(0,))
    page = report(tmp_path, run)
    found = page.report["families"][0]["films"]
    assert [f["kind"] for f in found] == ["best", "worst"]
    for film in found:
        for kind in ("png", "webp"):
            file = page.folder / "figures" / f"{film['name']}.{kind}"
            assert 2_000 < file.stat().st_size < 1_000_000
    assert page.html.count("data:image/webp") == 2


def test_without_a_camera_the_page_says_so(ant: Page) -> None:
    assert "Films are missing" in ant.html
    assert "MUJOCO_GL=egl: nothing here" in ant.html


# Numbers in words


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "–"),
        (True, "yes"),
        (12345, "12,345"),
        (-3, "−3"),
        (0.0, "0"),
        (1234.5, "1,234"),
        (12.345, "12.3"),
        (-0.12345, "−0.123"),
        (-0.0, "0"),
        (1.5e-7, "1.5e−07"),
        ("text", "text"),
        ([1.0, -2.5], "(1.00, −2.50)"),
        ([1, 2, 3, 4, 5], "(1, 2, 3, 4, …)"),
        ({"value": 99.96, "low": 80.0, "high": 120.5}, "100 [80, 120]"),
        ({"value": -0.5, "low": -1.25, "high": 0.001}, "−0.50 [−1.25, 0.00]"),
        ({"value": 0.4, "low": None, "high": None}, "0.400"),
    ],
)
def test_text(value: Any, expected: str) -> None:
    assert text(value) == expected


def test_text_of_something_else() -> None:
    with pytest.raises(TypeError, match=r"expected a value of report\.json"):
        text(object())


def test_pointer() -> None:
    assert pointer(("a/b", 0, "c~")) == "/a~1b/0/c~0"
