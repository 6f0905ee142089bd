"""Where a run came from: versions, machine, commit. It decides nothing; it is written down."""

from __future__ import annotations

import importlib.metadata
import json
import os
import pathlib
import platform
import subprocess
import urllib.parse
from typing import Any

from ..configuration.config import available_cpus

_PACKAGES = ("torch", "mujoco-core", "gymnasium", "numpy", "safetensors")


def provenance() -> dict[str, Any]:
    """Versions of the package and of what it computes with; machine; commit if there is one."""
    return {
        "versions": {
            "admrl-native": package_version(),
            "python": platform.python_version(),
            **{name: _version(name) for name in _PACKAGES},
        },
        "machine": {
            "system": platform.platform(),
            "processor": _processor(),
            "cpus_available": available_cpus(),
            "cpus": os.cpu_count(),
        },
        "commit": _commit(),
    }


def package_version() -> str:
    """The installed version of this package."""
    return importlib.metadata.version("admrl-native")


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()


def _commit() -> str | None:
    """The commit of the directory it was installed from; "-dirty" if files differ from it."""
    record = importlib.metadata.distribution("admrl-native").read_text("direct_url.json")
    url = json.loads(record)["url"] if record else ""
    if not url.startswith("file:"):
        return None
    source = urllib.parse.unquote(urllib.parse.urlparse(url).path)
    commit = _git(source, "rev-parse", "HEAD")
    if commit is None:
        return None
    return commit + (
        "-dirty" if _git(source, "status", "--porcelain", "--untracked-files=no") else ""
    )


def _git(directory: str, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", directory, *arguments], capture_output=True, text=True, timeout=5
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
