"""Run folders with made-up numbers of a known structure: what a report reads, without training."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from admrl_native.configuration.config import Config, make_config
from admrl_native.evaluation.grids import test_tasks
from admrl_native.families.declaration import Family
from admrl_native.families.task_space import TaskSpace
from admrl_native.networks.policy import GaussianPolicy
from admrl_native.store import folder as folders
from admrl_native.store.metrics import MetricsLog

TASKS = 5  # of training


def make_run(
    path: pathlib.Path,
    family: str = "Ant2D",
    method: str = "admrl",
    seed: int = 0,
    *,
    finished: bool = True,
    **overrides: Any,
) -> pathlib.Path:
    """A run folder with configuration and metrics; AdMRL's tasks approach the boundary."""
    config = make_config(family, method=method, seed=seed, threads=1, overrides=overrides)
    folder = folders.create(path, config)
    rng = np.random.default_rng([seed, len(method)])
    log = MetricsLog(folder.metrics)
    k, space = config.family.task_dim, TaskSpace(config.family)
    for task in range(TASKS):
        reach = 0.3 + 0.7 * task / (TASKS - 1) if method == "admrl" else 1.0
        u = reach * rng.uniform(-1, 1, k)
        u[task % k] = reach
        psi = space.from_normalised(torch.from_numpy(u)).tolist()
        place = {"task": task, "psi": psi, "wall_seconds": 60.0 * (task + 1)}
        counts = {"real_samples": {"train": 1000 * (task + 1)}, "virtual_samples": 9000}
        zero_shot, slbo = 600 + 20 * task + 30 * rng.random(), 800 + 30 * rng.random()
        log.append({"event": "random-policy", **place, "return_mean": 100.0})
        log.append({"event": "zero-shot", **place, "real_return": zero_shot, **counts})
        loss = 0.5 / (1 + task) + 0.02 * rng.random()
        log.append(
            {"event": "slbo-stage", **place, "real_return": slbo, "validation_loss": loss, **counts}
        )
        if method == "admrl" and 0 < task < TASKS - 1:
            log.append({"event": "task-gradient", **place, "u": u.tolist(), **_gradient(k, rng)})
        returns = {"random": 100.0, "zero_shot": zero_shot, "slbo": [slbo]}
        log.append({"event": "task", **place, "u": u.tolist(), "returns": returns, **counts})
    if finished:
        log.append({"event": "end", "tasks": TASKS, "wall_seconds": 60.0 * TASKS})
    log.close()
    return path


def make_evaluation(
    run: pathlib.Path,
    grid: str = "grid",
    *,
    worst: float = 100.0,
    real_samples: tuple[int, ...] = (0, 2000),
    episodes: int = 6,
    oracle: bool = True,
    model_errors: bool = True,
    policies: bool = False,
) -> pathlib.Path:
    """Adds an evaluation: the gap grows with |u|², to `worst` in a corner of Ψ, and halves with n.

    Returns:
        The folder of the evaluation.
    """
    _, config = folders.open_folder(run)
    family = config.family
    psis = test_tasks(family, grid)
    rng = np.random.default_rng([config.seed, len(config.method), len(grid)])
    u = TaskSpace(family).to_normalised(torch.tensor(psis, dtype=torch.float64)).numpy()
    gaps = worst * (u**2).mean(axis=1)
    best = 900 - 50 * np.abs(u).mean(axis=1)

    def returns(mean: np.ndarray) -> dict[str, Any]:
        noise = rng.normal(0, 5, (2, len(psis), episodes))
        return {
            kind: (mean[:, None] + part).tolist()
            for kind, part in zip(("select", "fresh"), noise, strict=True)
        }

    path = run / "evaluation" / grid
    path.mkdir(parents=True)
    values = {
        "what": "evaluation",
        "format": 1,
        "run": _identity(config),
        "grid": grid,
        "psis": psis,
        "episodes": episodes,
        "real_samples": list(real_samples),
        "returns": {str(n): returns(best - gaps / (1 + i)) for i, n in enumerate(real_samples)},
        "oracle": {"learner": "test", **returns(best), "samples": [1000] * len(psis)}
        if oracle
        else None,
        "model_errors": (0.3 + 0.1 * rng.random(len(psis))).tolist() if model_errors else None,
        "seconds": {"adaptation": 30.0, "returns": 6.0},
    }
    (path / "evaluation.json").write_text(json.dumps(values))
    if policies:
        (path / "policies").mkdir()
        for task in range(len(psis)):
            save_file(
                _policy(config), path / "policies" / f"{task:03d}-{real_samples[0]}.safetensors"
            )
    return path


def change(path: pathlib.Path, **values: Any) -> None:
    """Replaces fields of an evaluation."""
    file = path / "evaluation.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


def _identity(config: Config) -> dict[str, Any]:
    return {
        "family": config.family.name,
        "method": config.method,
        "preset": config.preset,
        "seed": config.seed,
        "checkpoint": 9,
        "settings": "0123456789abcdef",
    }


def _gradient(k: int, rng: np.random.Generator) -> dict[str, Any]:
    solve = {"method": "minres", "status": "converged", "iterations": 17, "residual": 0.4}
    gradient = rng.normal(0, 0.1, k)
    trusted = [bool(x) for x in rng.random(k) < 0.8]
    return {
        "gradient": gradient.tolist(),
        "gradient_u": gradient.tolist(),
        "solver": [{**solve, "regularised_residual": 1e-7}],
        "damping": {"value": 0.01},
        "health": {
            "standard_error": [0.05] * k,
            "halves_cosine": float(rng.uniform(0.2, 1)),
            "trusted": trusted,
            "stationarity": 0.2,
            "stationarity_noise": 0.1,
        },
        "verdict": "trusted" if all(trusted) else "sign not to be trusted in component 1",
    }


def _policy(config: Config) -> dict[str, torch.Tensor]:
    family: Family = config.family
    generator = torch.Generator().manual_seed(config.seed)
    policy = GaussianPolicy(family.obs_dim, family.act_dim, config.training.networks, generator)
    return {name: value.contiguous() for name, value in policy.state_dict().items()}
