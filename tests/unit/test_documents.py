"""What the documents show runs."""

import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def python_blocks(document: str) -> list[str]:
    text = (ROOT / document).read_text(encoding="utf-8")
    return re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)


def run(code: str, folder: pathlib.Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_readme_s_example(tmp_path):
    (code,) = python_blocks("README.md")
    assert len(code.splitlines()) <= 25
    printed = run(code, tmp_path)
    assert re.search(r"zero-shot: \d+ ± \d+", printed)
    assert re.search(r"adapted: \d+ ± \d+", printed)
    assert "converged" in printed
    assert len(list(tmp_path.glob("runs/*/summary.png"))) == 1


def test_the_family_of_the_documents_trains(tmp_path):
    (code,) = python_blocks("docs/families.md")
    train = (
        "admrl.train(swimmer, out='run', progress=False, n_tasks=2, n_slbo_first=1, n_slbo=1,"
        " n_inner=1, n_zeroshot=1, n_policy=1, n_model=5)"
    )
    printed = run(f"{code}\nprint({train}.metrics()[-1]['event'])", tmp_path)
    assert printed.strip() == "end"


DOCUMENTS = sorted(
    str(path.relative_to(ROOT))
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("benchmarks/*.md")]
)


def headings(path: pathlib.Path) -> set[str]:
    """The anchors of a document, as GitHub makes them."""
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    titles = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    plain = [re.sub(r"\[(.*?)\]\(.*?\)", r"\1", title) for title in titles]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in plain}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document):
    path = ROOT / document
    for link in re.findall(r"\]\((.+?)\)", path.read_text(encoding="utf-8")):
        if "://" in link:
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), link
        assert not anchor or anchor in headings(target), link


def test_documents_that_code_and_text_name_exist():
    """Such as docs/maml.md in a docstring, or benchmarks/results/... in a document."""
    files = [ROOT / name for name in DOCUMENTS]
    for folder, ending in (("python", "py"), ("benchmarks", "py"), ("src", "*pp"), ("tests", "py")):
        files += (ROOT / folder).rglob(f"*.{ending}")
    named = re.compile(r"(?<![\w./])(?:docs|benchmarks)/[\w./*-]+\.(?:md|png|json|py|gz)(?!\w)")
    missing = {
        name
        for file in files
        for name in named.findall(file.read_text(encoding="utf-8"))
        if not any(ROOT.glob(name))
    }
    assert missing == set()


REFERENCE = [name for name in DOCUMENTS if "experiments" not in name and name != "CHANGELOG.md"]


@pytest.mark.parametrize("document", REFERENCE)
def test_files_of_the_code_that_are_named_exist(document):
    """By the end of their path, as `algorithms/maml.py` or `trpo.cpp`; not those of records."""
    there = [
        f"/{path.relative_to(ROOT).as_posix()}"
        for folder in ("python", "src", "tests", "benchmarks")
        for path in (ROOT / folder).rglob("*.*")
    ]
    text = (ROOT / document).read_text(encoding="utf-8")
    named = re.findall(r"`([\w/]+\.(?:py|cpp|hpp|inl))\b", text)
    assert [name for name in named if not any(x.endswith(f"/{name}") for x in there)] == []


def test_every_picture_is_shown_and_small():
    shown = {
        (ROOT / document).parent.joinpath(link).resolve()
        for document in DOCUMENTS
        for link in re.findall(r"!\[.*?\]\((.*?)\)", (ROOT / document).read_text("utf-8"))
    }
    pictures = set((ROOT / "docs/images").iterdir())
    assert pictures == shown
    assert {p.name for p in pictures if p.stat().st_size > 100_000} == set()


def test_every_picture_record_and_table_of_data_can_be_made_again():
    """docs/reproduce.md has each of them."""
    text = (ROOT / "docs/reproduce.md").read_text(encoding="utf-8")
    names = {f"`{p.stem}`" for p in (ROOT / "docs/images").iterdir()}
    names |= {f"experiments/{p.name}" for p in (ROOT / "docs/experiments").iterdir()}
    data = ROOT / "benchmarks/results"
    ways = re.findall(r"`((?:epyc|xeon)[\w/.*-]+?)/?`", text)
    assert {name for name in names if name not in text} == set()
    assert {str(p) for folder in data.iterdir() for p in folder.iterdir()} == {
        str(p) for way in ways for p in data.glob(way)
    }


def test_the_selector_of_contributing_can_be_registered(tmp_path):
    (code,) = python_blocks("CONTRIBUTING.md")
    shown = "from admrl_native.algorithms.methods import METHODS; print(METHODS['mine'].title)"
    assert run(f"MySelector = object\n{code}\n{shown}", tmp_path) == "Mine\n"


def test_committed_data_stay_small():
    folders = [ROOT / "docs/images", ROOT / "benchmarks/results"]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 2_500_000
