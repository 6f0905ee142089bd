"""Nothing grows with use; `python tests/leaks.py` repeats it hundreds of times."""

from __future__ import annotations

import pathlib

import pytest

import leaks

pytestmark = pytest.mark.skipif(
    not pathlib.Path("/proc/self/statm").exists(), reason="asks Linux for the process's memory"
)


@pytest.mark.parametrize(
    ("kind", "times", "limit"),
    # In bytes a time: a tenth of a rollout's results; half a matrix of a solve.
    [("rollouts", 60, 120_000), ("virtual rollouts", 60, 1_200_000), ("solves", 40, 40_000)],
)
def test_memory_and_files_are_flat(kind: str, times: int, limit: int) -> None:
    memory, files = leaks.growth(leaks.KINDS[kind], times)
    assert memory < limit
    assert files == 0
