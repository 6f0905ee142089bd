"""The committed comparisons say what the documents say."""

import importlib
import json
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
FIGURE_2 = ROOT / "benchmarks/results/xeon-2core/small_figure2"


@pytest.fixture
def rebuild_results(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("rebuild_results")


def tables(markdown: str) -> dict[str, set[str]]:
    """Head of a table to the rows below all tables of this head."""
    found: dict[str, set[str]] = {}
    head = ""
    for line in markdown.splitlines():
        if not line.startswith("|"):
            head = ""
        elif not head:
            head = line
        elif "---" not in line:
            found.setdefault(head, set()).add(line)
    return found


def test_the_tables_of_the_documents_are_those_of_the_data(rebuild_results, tmp_path):
    """Each row below a head that the data's tables have, too."""
    from_data: dict[str, set[str]] = {}
    for name, data in rebuild_results.COMPARISONS.items():
        report = rebuild_results.rebuild(data, tmp_path / name, figures=False)
        made = rebuild_results.results_tables.tables(report, all_pairs=True)
        for head, rows in tables(made).items():
            from_data.setdefault(head, set()).update(rows)
    checked = 0
    for document in sorted((ROOT / "docs").rglob("*.md")):
        for head, rows in tables(document.read_text(encoding="utf-8")).items():
            if head in from_data:
                assert rows <= from_data[head], document
                checked += len(rows)
    assert checked >= 40


def test_packing_what_was_unpacked_gives_the_same(rebuild_results, tmp_path):
    runs = rebuild_results.unpack(FIGURE_2, tmp_path / "runs")
    rebuild_results.pack(runs, tmp_path / "again")
    rebuild_results.unpack(tmp_path / "again", tmp_path / "once more")
    files = [p.relative_to(tmp_path / "runs") for p in (tmp_path / "runs").rglob("*.*")]
    assert len(files) == 3 * len(runs)
    for file in files:
        again = (tmp_path / "once more" / file).read_bytes()
        assert again == (tmp_path / "runs" / file).read_bytes(), file


def test_every_picture_of_the_results_has_a_source(rebuild_results):
    pictures = {p.stem for p in (ROOT / "docs/images").glob("results-*.png")}
    assert pictures == set(rebuild_results.IMAGES)


def test_a_run_s_returns_are_those_of_its_evaluation(rebuild_results, tmp_path):
    (first, *_) = rebuild_results.unpack(FIGURE_2, tmp_path)
    values = json.loads((first / "evaluation/grid/evaluation.json").read_text())
    assert list(values["returns"]) == [str(n) for n in values["real_samples"]]
    for of_n in values["returns"].values():
        for kind in ("select", "fresh"):
            assert [len(task) for task in of_n[kind]] == [values["episodes"]] * len(values["psis"])
