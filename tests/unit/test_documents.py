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


@pytest.mark.parametrize("document", ["README.md", *map(str, (ROOT / "docs").glob("*.md"))])
def test_links_lead_somewhere(document):
    path = ROOT / document
    links = re.findall(r"\]\(([^)#]+)", path.read_text(encoding="utf-8"))
    missing = [x for x in links if "://" not in x and not (path.parent / x).exists()]
    assert missing == []
