"""Killed at file operations, a command goes on to the same bytes: some of `kill_points`."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest

TESTS = pathlib.Path(__file__).parents[1]


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")
def test_killed_commands_go_on_to_the_same_bytes() -> None:
    """In a process of its own: children are forked before torch starts any thread."""
    arguments = ["--kills", "5", "--seed", "1"]
    done = subprocess.run(
        [sys.executable, str(TESTS / "kill_points.py"), *arguments], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert ", 0 wrong," in done.stdout
