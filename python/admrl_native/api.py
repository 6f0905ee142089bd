"""Training from Python: `admrl_native.train` and `admrl_native.resume`."""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Sequence
from typing import Any

from .activities.runs import Run, open_to_compute
from .activities.training import run as training
from .configuration.config import DEFAULT_FAMILY, make_config
from .families.declaration import Family
from .store.folder import check_source, is_complete


def train(
    family: Family | str = DEFAULT_FAMILY,
    method: str = "admrl",
    preset: str = "quick",
    out: str | pathlib.Path | None = None,
    *,
    seed: int = 0,
    threads: int | None = None,
    device: str = "auto",
    first_psi: Sequence[float] | None = None,
    progress: bool = True,
    **overrides: Any,
) -> Run:
    """Trains a run to its end: what `python -m admrl_native.train` does.

    torch is set to one thread inside an operation, for the whole process: its sums would otherwise
    depend on the number of threads.

    Args:
        family: a family, or the name of a built-in one.
        method: "admrl", "mb-unif", "mb-gauss", or model-free: "mt-joint", "maml", "pearl",
            "maml-mt", "pearl-mt".
        preset: "quick", "small" or "paper".
        out: a new or empty folder; None: a new one below ./runs.
        seed: of every random number of the run.
        threads: of the simulation and of virtual training; None: the CPUs available. The results do
            not depend on it.
        device: "cpu", "cuda" or "auto".
        first_psi: (K,) the first task; None: u = `first_u` in every coordinate.
        progress: show what happens on standard output.
        **overrides: any setting by the name of its option, such as n_tasks=3.

    Returns:
        The trained run.

    Raises:
        SettingError: a value that cannot be taken, or a folder that cannot be used; a ValueError.
        KeyboardInterrupt: interrupted; `resume` goes on with the folder.
    """
    config = make_config(
        family,
        method=method,
        preset_name=preset,
        seed=seed,
        threads=threads,
        device=device,
        first_psi=first_psi,
        overrides=overrides,
    )
    path = None if out is None else pathlib.Path(out)
    folder, config = training.begin(config, path, sys.stdout if progress else None, [])
    return Run(folder.path, config)


def resume(
    path: str | pathlib.Path,
    *,
    threads: int | None = None,
    device: str | None = None,
    progress: bool = True,
) -> Run:
    """Continues an interrupted run from its newest checkpoint; a complete one is left as it is.

    Args:
        path: the run folder.
        threads: None: as the run was started.
        device: None: as the run was started.
        progress: show what happens on standard output.

    Determinism: on one machine, the folder ends up as if the run had never been interrupted, but
        for wall times.
    """
    folder, config = open_to_compute(pathlib.Path(path), threads=threads, device=device)
    if is_complete(folder):
        check_source(folder)
    else:
        training.resume(folder, config, sys.stdout if progress else None, [])
    return Run(folder.path, config)
