"""Finished oracles on disk, one JSON and one safetensors file each: shared between runs.

CACHE/<family>/<digest>.json          ψ, returns, learning curves, settings, version
CACHE/<family>/<digest>.safetensors   the policy
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pathlib
import time
from collections.abc import Callable, Sequence

import numpy as np

from ..evaluation.comparison import Returns
from ..evaluation.oracle import VERSION, OracleResult, learn
from ..evaluation.settings import OracleSettings
from ..families.declaration import Family
from ..families.physics import PhysicsSettings
from ..families.world import World
from .files import digest_of, lock_file, reading, seal, unseal, write_atomically


@dataclasses.dataclass(frozen=True)
class OracleCache:
    """The oracles of one family in one physics.

    Attributes:
        folder: of the cache.
        family: of the tasks.
        physics: of the simulation.
        settings: of the learner.
    """

    folder: pathlib.Path
    family: Family
    physics: PhysicsSettings
    settings: OracleSettings

    def find(self, psi: Sequence[float]) -> OracleResult | None:
        """A finished oracle; None if there is none.

        Raises:
            DamagedFile: one is not what was stored.
        """
        import safetensors.torch

        path = self._path(psi)
        if not path.exists():
            return None
        file = path.with_suffix(".safetensors")
        again = "remove it and the other file of its name to have it learned anew"
        with reading(path, "a finished oracle", again):
            stored = unseal(path.read_bytes())
            returns = Returns(np.array(stored["select"]), np.array(stored["fresh"]))
        with reading(file, "the policy of a finished oracle", again):
            content = file.read_bytes()
            if digest_of(content) != stored["policy"]:
                raise ValueError("it was changed")
            policy = safetensors.torch.load(content)
        return OracleResult(returns, policy, stored["samples"], stored["curves"])

    def find_or_learn(
        self, psi: Sequence[float], *, threads: int, after_update: Callable[[], None]
    ) -> OracleResult:
        """Learns a task that is not in the cache; one process at a time does so for each task."""
        path = self._path(psi)
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path.with_name(f".{path.stem}.lock"), "wb") as lock:
            lock_file(lock, wait=True)
            return self.find(psi) or self._learn(psi, threads, after_update)

    def _learn(
        self, psi: Sequence[float], threads: int, after_update: Callable[[], None]
    ) -> OracleResult:
        import safetensors.torch
        import torch

        began = time.perf_counter()
        result = learn(
            self.family,
            self.physics,
            torch.tensor(psi, dtype=torch.float64),
            self.settings,
            threads=threads,
            after_update=lambda _return: after_update(),
        )
        path = self._path(psi)
        policy = safetensors.torch.save(result.policy)
        write_atomically(path.with_suffix(".safetensors"), policy)
        stored = {
            "family": self.family.name,
            "psi": list(psi),
            "learner": self.learner,
            "version": VERSION,
            "settings": self.settings.to_dict(),
            "select": result.returns.select.tolist(),
            "fresh": result.returns.fresh.tolist(),
            "policy": digest_of(policy),
            "samples": result.samples,
            "curves": result.curves,
            "seconds": round(time.perf_counter() - began, 3),
        }
        write_atomically(path, seal(stored))  # last: with it, all is there
        return result

    @property
    def learner(self) -> str:
        """What learns, in words."""
        millions = self.settings.samples * self.settings.attempts / 1e6
        return f"TRPO on the real environment, at most {millions:g} million samples"

    def key(self, psi: Sequence[float] = ()) -> str:
        """A digest of all that decides the result for a task."""
        what = [
            World.of(self.family, self.physics).digest(),
            list(psi),
            self.settings.to_dict(),
            VERSION,
        ]
        text = json.dumps(what, sort_keys=True).encode()
        return hashlib.blake2b(text, digest_size=10).hexdigest()

    def _path(self, psi: Sequence[float]) -> pathlib.Path:
        return self.folder / self.family.name.lower() / f"{self.key(psi)}.json"
