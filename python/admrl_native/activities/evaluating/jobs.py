"""The jobs of an evaluation: what each is, and what does it in a process of its own."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ...jobs.workers import Work
from ...store import checkpoint as checkpoints
from ...store.folder import RunFolder
from ...store.oracles import OracleCache
from ...torch_state import own_torch_state
from .plan import EvaluationFolder, EvaluationPlan

if TYPE_CHECKING:
    import torch

    from ...algorithms.learner import Learner
    from ...evaluation.adapting import Adapted

ERROR_SAMPLES = 4000  # real samples of an oracle on which the model is judged


@dataclasses.dataclass(frozen=True)
class ZeroShotJob:
    """Zero-shot adaptation to some of the tasks in one batch.

    Attributes:
        tasks: their indices.
    """

    tasks: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class FurtherJob:
    """Rounds of real samples on one task.

    Attributes:
        task: its index.
        batch: number of the zero-shot batch that had it.
        wanted: the n > 0 to stop at.
    """

    task: int
    batch: int
    wanted: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class OracleJob:
    """The task's own learner, from the cache if it is there.

    Attributes:
        task: its index.
    """

    task: int


@dataclasses.dataclass(frozen=True)
class ModelErrorJob:
    """The errors of the meta-trained model on the transitions of the tasks' oracles.

    Attributes:
        tasks: their indices.
    """

    tasks: tuple[int, ...]


Job = ZeroShotJob | FurtherJob | OracleJob | ModelErrorJob


def make_work(
    make_learner: Callable[[], Learner], plan: EvaluationPlan, folder: RunFolder, threads: int
) -> Work:
    """What does a job of an evaluation in a process of its own.

    Args:
        make_learner: the run's learner at the plan's checkpoint; called when first needed.
        plan: of the evaluation.
        folder: the run's.
        threads: of an oracle.
    """
    place = EvaluationFolder.of(folder, plan.grid)
    made: list[Learner] = []

    def learner() -> Learner:
        if not made:
            made.append(make_learner())
        return made[0]

    @own_torch_state()
    def work(job: Job, after_step: Callable[[], None]) -> Any:
        if isinstance(job, ZeroShotJob):
            return _zero_shot(plan, learner(), job, after_step)
        if isinstance(job, FurtherJob):
            return _further(plan, learner(), place, job, after_step)
        assert plan.oracle is not None
        if isinstance(job, OracleJob):
            return plan.oracle.find_or_learn(
                plan.psis[job.task], threads=threads, after_update=after_step
            )
        return _model_errors(plan, plan.oracle, learner(), job)

    return work


def _zero_shot(
    plan: EvaluationPlan, learner: Learner, job: ZeroShotJob, after_step: Callable[[], None]
) -> dict[str, Any]:
    from ...evaluation.adapting import adapt_all

    adaptations, adapted = adapt_all(
        learner,
        _tensor([plan.psis[task] for task in job.tasks]),
        episodes=plan.episodes,
        seed=plan.seed,
        after_step=after_step,
    )
    state = learner.zero_shot_state(dict(zip(job.tasks, adaptations, strict=True)))
    return {"state": _as_numpy(state), "adapted": [_plain(a) for a in adapted]}


def _further(
    plan: EvaluationPlan,
    learner: Learner,
    place: EvaluationFolder,
    job: FurtherJob,
    after_step: Callable[[], None],
) -> list[dict[str, Any]]:
    from ...evaluation.adapting import adapt_further

    psi = _tensor(plan.psis[job.task])
    state = checkpoints.load(place.zero_shot, job.batch).state
    adaptation = learner.from_zero_shot(state, job.task, psi, seed=plan.seed, after_step=after_step)
    return [
        _plain(adapted)
        for adapted in adapt_further(
            learner, adaptation, psi, job.wanted, episodes=plan.episodes, seed=plan.seed
        )
    ]


def _model_errors(
    plan: EvaluationPlan, cache: OracleCache, learner: Learner, job: ModelErrorJob
) -> list[float]:
    import torch

    from ...algorithms.admrl.learner import MetaTrainer
    from ...evaluation.adapting import model_error
    from ...evaluation.oracle import training_settings
    from ...networks.policy import GaussianPolicy

    assert isinstance(learner, MetaTrainer)  # others have no model
    environments = learner.environments
    networks = training_settings(plan.config.training.physics).networks
    errors = []
    for task in job.tasks:
        oracle = cache.find(plan.psis[task])
        assert oracle is not None
        policy = GaussianPolicy(
            environments.obs_dim, environments.act_dim, networks, torch.Generator()
        )
        policy.load_state_dict(oracle.policy)
        psi = _tensor(plan.psis[task])
        errors.append(
            model_error(
                environments, learner.model, policy.to(environments.device), psi, ERROR_SAMPLES
            )
        )
    return errors


def _plain(adapted: Adapted) -> dict[str, Any]:
    """What can be sent between processes and written to files."""
    import safetensors.torch

    policy = {k: v.detach().cpu().contiguous() for k, v in adapted.policy.state_dict().items()}
    return {
        "real_samples": adapted.real_samples,
        "select": adapted.returns.select.tolist(),
        "fresh": adapted.returns.fresh.tolist(),
        "excluded": adapted.excluded,
        "policy": safetensors.torch.save(policy),
    }


def _as_numpy(state: Mapping[str, Mapping[str, Mapping[str, torch.Tensor]]]) -> dict[str, Any]:
    """Tensors as arrays: multiprocessing would send handles that die with the worker."""
    return {
        kind: {
            name: {k: v.detach().cpu().numpy() for k, v in tensors.items()}
            for name, tensors in named.items()
        }
        for kind, named in state.items()
    }


def save_state(folder: pathlib.Path, batch: int, state: Mapping[str, Any]) -> None:
    import torch

    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        kind: {
            name: {k: torch.tensor(v) for k, v in arrays.items()} for name, arrays in named.items()
        }
        for kind, named in state.items()
    }
    checkpoints.save(folder, checkpoints.Checkpoint(batch, 0, {**tensors, "counters": {}}, {}))


def _tensor(values: Any) -> torch.Tensor:
    import torch

    return torch.tensor(values, dtype=torch.float64)
