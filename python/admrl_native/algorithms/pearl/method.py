"""PEARL and PEARL-MT, as `Method`s."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...families.declaration import Family
from ..memory import UNIT, kept_bytes, network_bytes, row_bytes
from ..method import Method
from ..model_free import check_multiple, model_free
from ..settings import TrainingSettings
from ..setup import Setup

if TYPE_CHECKING:
    from ..learner import Learner

_SETTINGS = ("pearl", "sac", "advantage.gamma")


def _pearl(name: str, title: str, *, task_conditioned: bool) -> Method:
    def learner(setup: Setup) -> Learner:
        from .learner import Pearl

        return Pearl(setup, task_conditioned=task_conditioned)

    return model_free(
        name,
        title,
        learner,
        _SETTINGS,
        iterations=lambda s: s.pearl.iterations,
        drawn=lambda s: {
            "pearl_meta_batch": s.pearl.meta_batch,
            "pearl_tasks_per_iteration": s.pearl.tasks_per_iteration,
        },
        memory=_memory,
        check=_check,
    )


def _check(settings: TrainingSettings) -> None:
    for name in ("initial_samples", "prior_samples", "posterior_samples"):
        count = getattr(settings.pearl, name)
        check_multiple(f"pearl_{name}", count, settings.physics.horizon)


def _memory(settings: TrainingSettings, family: Family) -> dict[str, int]:
    pearl, sac = settings.pearl, settings.sac
    obs, act = family.obs_dim, family.act_dim
    row, kept = row_bytes(family), kept_bytes(family)
    visits = pearl.iterations * pearl.tasks_per_iteration
    samples = visits * (pearl.prior_samples + pearl.posterior_samples)
    batch, context = pearl.batch_size, pearl.context_size
    of_context = row + UNIT * sum(pearl.encoder_hidden)
    encoder = network_bytes(2 * obs + act, pearl.encoder_hidden, 2 * pearl.latent_dim)
    return {
        "pearl_prior_samples": samples * kept,
        "pearl_initial_samples": settings.meta.n_train_tasks * pearl.initial_samples * kept,
        "pearl_batch_size": pearl.meta_batch * batch * (row + 5 * UNIT * sum(sac.hidden)),
        "sac_hidden": 5 * network_bytes(obs + act + pearl.latent_dim, sac.hidden, act),
        "pearl_encoder_hidden": encoder,
        "pearl_context_size": pearl.meta_batch * context * of_context,
    }


PEARL = _pearl("pearl", "PEARL", task_conditioned=False)
PEARL_MT = _pearl("pearl-mt", "PEARL-MT", task_conditioned=True)
