"""What an evaluation computes, and where it is kept.

RUN/evaluation/<grid>/finished.jsonl     what is done, a line for each task and n
RUN/evaluation/<grid>/zero_shot/         models and agents that further adaptation goes on from
RUN/evaluation/<grid>/policies/          <task>-<n>.safetensors: the adapted policies
RUN/evaluation/<grid>/evaluation.json    the result, once it is complete
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pathlib
from typing import Any

from ...configuration.config import Config
from ...evaluation.grids import Tasks
from ...settings import SettingError
from ...store.folder import RunFolder
from ...store.oracles import OracleCache


@dataclasses.dataclass(frozen=True)
class EvaluationPlan:
    """Everything that decides what an evaluation computes.

    Attributes:
        config: the run's.
        checkpoint: number of the checkpoint.
        grid: name of the set of tasks.
        psis: the tasks.
        real_samples: the n, ascending.
        episodes: of each of the two sets of real episodes.
        seed: of every random number.
        oracle: where the tasks' own learners are kept; None: no A*, no model errors.
    """

    config: Config
    checkpoint: int
    grid: str
    psis: Tasks
    real_samples: tuple[int, ...]
    episodes: int
    seed: int
    oracle: OracleCache | None

    def __post_init__(self) -> None:
        per_round = self.config.training.schedule.n_adapt
        for n in self.real_samples:
            if n < 0 or n % per_round:
                raise SettingError(
                    "real_samples", f"expected multiples of n_adapt ({per_round}), got {n}"
                )
        if not self.real_samples or len(set(self.real_samples)) < len(self.real_samples):
            raise SettingError("real_samples", "expected one or several different numbers")
        if self.episodes < 1:
            raise SettingError("episodes", f"expected at least 1, got {self.episodes}")

    def _digest(self) -> str:
        return hashlib.blake2b(json.dumps(self.psis).encode(), digest_size=4).hexdigest()

    def header(self) -> dict[str, Any]:
        """What a file of finished pieces must agree on; n and the oracle can be added later."""
        config = self.config
        return {
            "what": "evaluation",
            "run": {
                "family": config.family.name,
                "method": config.method,
                "preset": config.preset,
                "seed": config.seed,
                "checkpoint": self.checkpoint,
                "settings": config.digest(),
            },
            "options": {
                "tasks": f"{len(self.psis)} of {self.grid} ({self._digest()})",
                "episodes": self.episodes,
                "seed": self.seed,
                "device": config.device,
            },
        }


@dataclasses.dataclass(frozen=True)
class EvaluationFolder:
    """Names the parts of an evaluation's folder."""

    path: pathlib.Path

    @classmethod
    def of(cls, folder: RunFolder, grid: str) -> EvaluationFolder:
        return cls(folder.path / "evaluation" / grid)

    @property
    def finished(self) -> pathlib.Path:
        return self.path / "finished.jsonl"

    @property
    def zero_shot(self) -> pathlib.Path:
        return self.path / "zero_shot"

    @property
    def result(self) -> pathlib.Path:
        return self.path / "evaluation.json"

    def policy(self, task: int, real_samples: int) -> pathlib.Path:
        return self.path / "policies" / f"{task:03d}-{real_samples}.safetensors"
