"""The spread of H x on a real robot's policy, in the learned model of a training run.

No exact H is known here: what can be seen is how much one batch of samples differs from the next,
beside the size of H x that the mean over all batches of the unbiased estimator shows, with its
standard error.
"""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Any

import torch

from admrl_native import Run
from admrl_native.algorithms.admrl.adaptation import begin
from admrl_native.algorithms.admrl.learner import MetaTrainer
from admrl_native.derivatives.scores import score_products
from admrl_native.families.task_space import TaskSpace
from admrl_native.seeding import derive_seed
from admrl_native.task_gradient.hessian import hessian_product
from admrl_native.task_gradient.samples import ValuedTrajectories
from admrl_native.task_gradient.settings import TaskGradientSettings

_SAMPLES = 10_000


def spread_on_run(
    path: pathlib.Path, estimators: Mapping[str, TaskGradientSettings], batches: int
) -> dict[str, Any]:
    """Figures for each estimator with its λ, per time step, along one random direction.

    Args:
        path: a run folder with a checkpoint; a policy is adapted zero-shot to its first task.
        estimators: by name.
        batches: of 10 000 virtual samples each.
    """
    run = Run.load(path, threads=1)
    learner = run._learner()  # its model and data
    environments, horizon = learner.environments, run.config.training.physics.horizon
    k = run.config.family.task_dim
    psi = TaskSpace(run.config.family).from_normalised(torch.full((k,), -0.5).double())
    if not isinstance(learner, MetaTrainer):
        raise SystemExit(f"{path}: expected a run with a dynamics model")
    adaptation = begin(environments, learner.model, psi, seed=0)
    agent, model = adaptation.agent, adaptation.model
    x = torch.randn(
        agent.policy.get_params().numel(),
        generator=torch.Generator().manual_seed(0),
        dtype=torch.float64,
    )
    x /= x.norm()
    found: dict[str, list[torch.Tensor]] = {}
    for batch in range(batches):
        seed = derive_seed(0, "accuracy", batch)
        t = environments.virtual_trajectories(agent.policy, model.dynamics, psi, _SAMPLES, seed)
        scores = score_products(
            agent.policy, t.obs.flatten(0, 1), t.actions.flatten(0, 1), torch.float32
        )
        for name, settings in estimators.items():
            advantage = run.config.training.advantage.replace(gae_lambda=settings.gae_lambda)
            product = hessian_product(
                scores,
                ValuedTrajectories.of(t, agent.value, advantage),
                horizon=horizon,
                settings=settings,
                advantage=advantage,
            )
            found.setdefault(name, []).append(product(x))
    stacked = {name: torch.stack(estimates) for name, estimates in found.items()}
    reference = stacked["causal"]
    estimators_found = {
        name: {
            "spread": float(estimates.var(0).sum().sqrt()),
            "mean_norm": float(estimates.mean(0).norm()),
            "mean_noise": float(estimates.var(0).sum().sqrt() / batches**0.5),
        }
        for name, estimates in stacked.items()
    }
    out = {
        "run": f"{run.config.family.name}, {run.config.preset}, seed {run.config.seed}",
        "samples": _SAMPLES,
        "batches": batches,
        "parameters": x.numel(),
        "reference_norm": float(reference.mean(0).norm()),
        "reference_noise": float(reference.var(0).sum().sqrt() / batches**0.5),
        "estimators": estimators_found,
    }
    print(f"{out['run']}: ‖H x‖ {out['reference_norm']:.3f} ± {out['reference_noise']:.3f}")
    for name, figures in estimators_found.items():
        print(
            f"  {name}: spread {figures['spread']:.3f}, "
            f"mean {figures['mean_norm']:.3f} ± {figures['mean_noise']:.3f}"
        )
    return out
