"""Whether what the settings ask for fits into this machine's memory, before anything is begun."""

from __future__ import annotations

import os
import pathlib

from ..algorithms.memory import row_bytes
from ..settings import SettingError
from .config import Config

_CGROUP_LIMIT = pathlib.Path("/sys/fs/cgroup/memory.max")


def check_memory(config: Config, *, tasks: int = 1, processes: int = 1, **steps: int) -> None:
    """Whether a run, or what is made from it, can hold its data.

    Args:
        config: of the run.
        tasks: that are learned side by side in one process.
        processes: with as much each.
        **steps: real steps that are held at once besides, by the name of what asks for them.

    Raises:
        SettingError: it takes more than this machine has; names the setting that takes most.
    """
    needed = estimate(config, tasks)
    needed |= {name: number * row_bytes(config.family) for name, number in steps.items()}
    there = memory()
    total = processes * sum(needed.values())
    if there is None or total <= there:
        return
    name = max(needed, key=lambda n: needed[n])
    who = "" if processes == 1 else f" in {processes} processes"
    raise SettingError(
        name,
        f"expected what fits into the {_in_gigabytes(there)} of memory there are, got settings "
        f"that take about {_in_gigabytes(total)}{who}, most of it for this",
    )


def estimate(config: Config, tasks: int = 1) -> dict[str, int]:
    """Bytes that the settings of a run make it hold at once, by the option that asks for most.

    Args:
        config: of the run.
        tasks: that are learned side by side.
    """
    return config.of_method.memory(config.training, config.family, tasks)


def memory() -> int | None:
    """Bytes that this process may have at most: of the machine, or of its control group."""
    try:
        machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # not POSIX
        return None
    try:
        return min(machine, int(_CGROUP_LIMIT.read_text()))
    except (OSError, ValueError):  # no control groups, or no limit: "max"
        return machine


def _in_gigabytes(number: int) -> str:
    return f"{number / 1e9:,.1f} GB"
