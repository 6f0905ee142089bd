"""docs/equations.md names code and tests that exist, in Python and in C++."""

import ast
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs/equations.md").read_text(encoding="utf-8")


def names_in(path: pathlib.Path) -> set[str]:
    """Functions and classes of a file, methods as Class.method."""
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{f.name}" for f in node.body if isinstance(f, ast.FunctionDef)}
    return names


def defined_in_cpp(file: str, name: str) -> bool:
    """Whether a file of this name, anywhere below src/cpp, defines the function at its margin."""
    definition = re.compile(rf"^\w[^;(]*?\b{re.escape(name)}\([^;]*?\{{", flags=re.MULTILINE)
    return any(
        definition.search(path.read_text(encoding="utf-8"))
        for path in (ROOT / "src/cpp").rglob(file)
    )


def test_every_name_exists():
    code = re.findall(r"`([\w/]+\.py):([\w.]+)`", TEXT)
    native = re.findall(r"`(\w+\.cpp):([\w:]+)`", TEXT)
    tests = re.findall(r"`([\w/]+\.py)(?:::(\w+))?`", TEXT)
    assert min(len(code), len(native), len(tests)) > 10
    missing = [
        f"{file}:{name}"
        for file, name in code
        if name not in names_in(ROOT / "python/admrl_native" / file)
    ]
    missing += [f"{file}:{name}" for file, name in native if not defined_in_cpp(file, name)]
    missing += [
        f"{file}::{name}"
        for file, name in tests
        if not (ROOT / "tests" / file).exists()
        or (name and name not in names_in(ROOT / "tests" / file))
    ]
    assert missing == [], "docs/equations.md names what does not exist"


def test_a_call_is_no_definition():
    assert defined_in_cpp("trpo.cpp", "TrpoUpdate::update")
    assert not defined_in_cpp("trpo.cpp", "solve_symmetric")
    assert not defined_in_cpp("trpo.cpp", "TrpoUpdate::updated")
    assert not defined_in_cpp("trpo.hpp", "TrpoUpdate::update")


def test_every_equation_of_the_method_is_covered():
    missing = [n for n in (*range(1, 8), 20, 21, 22) if f"| Eq. {n}" not in TEXT]
    assert missing == []


def test_every_line_of_virtual_training_has_both_paths():
    rows = [f"| Alg. 2, {part}, {path} |" for part in ("line 3", "line 5", "line 6", "V")
            for path in ("native", "torch")]  # fmt: skip
    assert [row for row in rows if row not in TEXT] == []
