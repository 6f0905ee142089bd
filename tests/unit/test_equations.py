"""docs/equations.md names code and tests that exist."""

import ast
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]


def names_in(path: pathlib.Path) -> set[str]:
    """Functions and classes of a file, methods as Class.method."""
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{f.name}" for f in node.body if isinstance(f, ast.FunctionDef)}
    return names


def test_every_name_exists():
    text = (ROOT / "docs/equations.md").read_text(encoding="utf-8")
    code = re.findall(r"`([\w/]+\.py):([\w.]+)`", text)
    tests = re.findall(r"`([\w/]+\.py)(?:::(\w+))?`", text)
    assert len(code) > 10
    assert len(tests) > 10
    missing = [
        f"{file}:{name}"
        for file, name in code
        if name not in names_in(ROOT / "python/admrl_native" / file)
    ]
    missing += [
        f"{file}::{name}"
        for file, name in tests
        if not (ROOT / "tests" / file).exists()
        or (name and name not in names_in(ROOT / "tests" / file))
    ]
    assert missing == [], "docs/equations.md names what does not exist"


def test_every_equation_of_the_method_is_covered():
    text = (ROOT / "docs/equations.md").read_text(encoding="utf-8")
    missing = [n for n in (*range(1, 8), 20, 21, 22) if f"| Eq. {n}" not in text]
    assert missing == []
