"""Who may import whom, and other rules about the source that no type checker knows."""

from __future__ import annotations

import ast
import pathlib
import re

import pytest

REPOSITORY = pathlib.Path(__file__).parents[2]
PACKAGE = REPOSITORY / "python" / "admrl_native"
CORE = [REPOSITORY / "src" / "cpp" / "core", REPOSITORY / "src" / "cpp" / "kernels"]

# Everybody may use these; they use nothing of the package but one another.
LEAVES = {
    "settings", "errors", "seeding", "torch_state", "krylov",
    "_mujoco", "_native", "_core", "_vectors",
}  # fmt: skip

# The floors of the house, from the ground: each may import those before it.
FLOORS = (
    "families", "networks", "derivatives", "sampling", "training", "task_gradient",
    "meta_gradient", "algorithms", "evaluation", "configuration", "store", "jobs", "show",
    "reporting", "activities",
)  # fmt: skip
ALLOWED = {floor: set(FLOORS[:i]) for i, floor in enumerate(FLOORS)}
ALLOWED["networks"] = set()
ALLOWED["jobs"] = set()
ALLOWED["testing"] = {"sampling", "networks"}  # for tests and users: no other floor imports it
# Modules of the package root other than the leaves are command lines, or the root itself: on top.

# The only files that see the native core.
NATIVE = {
    "__init__.py",
    "_native.py",
    "_vectors.py",
    "krylov.py",
    "families/native.py",
    "sampling/native_virtual.py",
    "sampling/real.py",
    "task_gradient/scans.py",
    "training/advantage.py",
    "training/choose_compute.py",
    "training/dynamics_fit.py",
    "training/native_compute.py",
    "training/value_fit.py",
}

# The only file that imports Ray, which is an extra.
RAY = "jobs/ray_workers.py"

# Learning code computes: files, clocks and the command line belong to the floors above.
PURE = (
    "evaluation", "algorithms", "meta_gradient", "task_gradient", "training", "sampling",
    "networks", "derivatives", "testing",
)  # fmt: skip
OUTSIDE_MODULES = {
    "argparse", "datetime", "io", "logging", "os", "pathlib", "shutil", "socket", "subprocess",
    "sys", "tempfile", "time",
}  # fmt: skip
OUTSIDE_CALLS = {"open", "print", "input"}

LONGEST = 600  # lines of a Python file


def modules_imported(path: pathlib.Path, package: pathlib.Path) -> list[tuple[str, str]]:
    """Every import of a file, anywhere in it, as (top-level package, dotted path below it).

    `from . import a` counts as an import of the module a, if there is one, and of the package.
    """
    inside = path.relative_to(package.parent).with_suffix("").parts
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [tuple(alias.name.split(".")) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = list(inside[: len(inside) - node.level]) if node.level else []
            base += node.module.split(".") if node.module else []
            found += [(*base, alias.name) for alias in node.names]
    return [(parts[0], ".".join(parts[1:])) for parts in found]


def violations(package: pathlib.Path) -> list[str]:
    """Every import or call in the package that the rules above forbid."""
    name = package.name
    out = []
    for path in sorted(package.rglob("*.py")):
        relative = path.relative_to(package)
        folder = relative.parts[0] if len(relative.parts) > 1 else ""
        if folder and folder not in ALLOWED:
            out.append(f"{relative}: {folder}/ is not a known layer")
            continue
        leaf = not folder and path.stem in LEAVES
        for top, below in modules_imported(path, package):
            if top != name:
                foreign = folder in PURE and top in OUTSIDE_MODULES
                if foreign or (top == "ray" and relative.as_posix() != RAY):
                    out.append(f"{relative}: imports {top}")
                continue
            target = below.split(".")[0]
            if target in {"_core", "_native"} and relative.as_posix() not in NATIVE:
                out.append(f"{relative}: imports the native core")
            if target in LEAVES or target == folder != "":
                continue
            if leaf or (folder and target not in ALLOWED[folder]):
                out.append(f"{relative}: imports {target or 'the package root'}")
        if folder in PURE:
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                called = node.func if isinstance(node, ast.Call) else None
                if isinstance(called, ast.Name) and called.id in OUTSIDE_CALLS:
                    out.append(f"{relative}: calls {called.id}()")
    return out


def circles(package: pathlib.Path) -> list[str]:
    """Modules that import one another, directly or through others, wherever in them."""
    modules = {
        ".".join(path.relative_to(package).with_suffix("").parts): path
        for path in package.rglob("*.py")
    }
    graph: dict[str, set[str]] = {}
    for name, path in modules.items():
        below = [b for top, b in modules_imported(path, package) if top == package.name]
        found = {b if b in modules else b.rpartition(".")[0] for b in below}
        graph[name] = found & modules.keys() - {name}
    while True:  # what imports none of the rest, or is imported by none of it, is in no circle
        imported = set().union(*graph.values())
        rest = {n: f & graph.keys() for n, f in graph.items() if f & graph.keys() and n in imported}
        if rest == graph:
            break
        graph = rest
    return sorted(graph)


def test_the_package_keeps_its_layers() -> None:
    assert violations(PACKAGE) == []
    assert circles(PACKAGE) == []


def test_a_circle_is_found(tmp_path: pathlib.Path) -> None:
    package = tmp_path / "admrl_native"
    for name, source in {
        "store/a.py": "from .b import B",
        "store/b.py": "def f():\n    from . import c",
        "store/c.py": "from ..store.a import A",
        "store/d.py": "import json",
        "store/e.py": "from .d import D",
    }.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(source, encoding="utf-8")
    assert circles(package) == ["store.a", "store.b", "store.c"]


@pytest.mark.parametrize(
    ("file", "source", "expected"),
    [
        ("algorithms/learner.py", "from ..store.data import D", "imports store"),
        ("algorithms/learner.py", "import admrl_native.store", "imports store"),
        ("algorithms/learner.py", "def f():\n    from ..store import data", "imports store"),
        ("algorithms/learner.py", "import time", "imports time"),
        ("algorithms/learner.py", "from sys import argv", "imports sys"),
        ("algorithms/learner.py", "open('x')", "calls open()"),
        ("training/trpo.py", "from ..task_gradient import solve", "imports task_gradient"),
        ("training/trpo.py", "from ..algorithms.admrl import train", "imports algorithms"),
        ("training/trpo.py", "from ..testing import random_problem", "imports testing"),
        ("testing/problems.py", "from ..task_gradient import gradient", "imports task_gradient"),
        ("training/trpo.py", "from .._native import _core", "imports the native core"),
        ("training/trpo.py", "from .. import _core", "imports the native core"),
        ("networks/policy.py", "from ..families import catalogue", "imports families"),
        ("families/catalogue.py", "from .. import train", "imports train"),
        ("settings.py", "from .families import catalogue", "imports families"),
        ("sweep.py", "def f():\n    import ray", "imports ray"),
        ("evaluation/oracle.py", "from .. import make_family", "imports make_family"),
        ("evaluation/oracle.py", "from ..store.data import D", "imports store"),
        ("store/folder.py", "from ..reporting import page", "imports reporting"),
        ("misc/x.py", "", "misc/ is not a known layer"),
    ],
)
def test_a_breach_is_found(tmp_path: pathlib.Path, file: str, source: str, expected: str) -> None:
    path = tmp_path / "admrl_native" / file
    path.parent.mkdir(parents=True)
    path.write_text(source, encoding="utf-8")
    assert violations(tmp_path / "admrl_native") == [f"{file}: {expected}"]


@pytest.mark.parametrize(
    ("file", "source"),
    [
        (
            "algorithms/learner.py",
            "from ..training.trpo import T\nfrom .a import b\nimport torch",
        ),
        ("families/native.py", "from .._native import _core\nfrom ..settings import Settings"),
        (
            "train.py",
            "import time\nfrom .store import data\nfrom .algorithms import a\nopen(a)",
        ),
        ("configuration/config.py", "import time\nfrom ..algorithms.settings import S"),
    ],
)
def test_what_is_allowed_passes(tmp_path: pathlib.Path, file: str, source: str) -> None:
    path = tmp_path / "admrl_native" / file
    path.parent.mkdir(parents=True)
    path.write_text(source, encoding="utf-8")
    assert violations(tmp_path / "admrl_native") == []


def test_the_core_knows_no_python_and_no_torch() -> None:
    sources = [p for d in CORE for p in d.rglob("*") if p.suffix in {".hpp", ".cpp", ".h", ".inc"}]
    assert sources
    foreign = re.compile(r'#\s*include\s*[<"](Python\.h|pybind11|numpy|torch|ATen|bindings)')
    assert [p.name for p in sources if foreign.search(p.read_text(encoding="utf-8"))] == []


def test_files_stay_small() -> None:
    lengths = {
        str(p.relative_to(PACKAGE)): len(p.read_text(encoding="utf-8").splitlines())
        for p in PACKAGE.rglob("*.py")
    }
    assert lengths
    assert {name: n for name, n in lengths.items() if n > LONGEST} == {}
