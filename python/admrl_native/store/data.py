"""Real transitions in append-only shards: data/train-000000.safetensors, and so on."""

from __future__ import annotations

import dataclasses
import pathlib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from .files import DamagedFile, digest_of, reading, write_atomically

if TYPE_CHECKING:
    import torch

_PURPOSE = re.compile(r"[a-z][a-z-]*")
_SHARD = re.compile(r"\.?[a-z][a-z-]*-\d{6,}\.safetensors(\.part)?")


@dataclasses.dataclass
class DataShards:
    """Writes one shard per call and knows how many there are.

    Attributes:
        folder: the run's data folder.
        counts: shards by purpose.
        digests: what each shard is known by, by its file name.
    """

    folder: pathlib.Path
    counts: dict[str, int] = dataclasses.field(default_factory=dict)
    digests: dict[str, str] = dataclasses.field(default_factory=dict)

    def append(self, purpose: str, transitions: Mapping[str, torch.Tensor]) -> None:
        """Stores transitions as the next shard of their purpose.

        Args:
            purpose: lower-case name of the replay, such as "train".
            transitions: name to tensor (M, ...), all of one length M; copied.

        Raises:
            ValueError: the tensors are not of one length, or the purpose cannot be a file name.
        """
        import safetensors.torch

        if not _PURPOSE.fullmatch(purpose):
            raise ValueError(f"purpose: expected lower-case letters and dashes, got {purpose!r}")
        lengths = {name: len(value) for name, value in transitions.items()}
        if len(set(lengths.values())) != 1:
            raise ValueError(f"transitions: expected tensors of one length, got {lengths}")
        number = self.counts.get(purpose, 0)
        tensors = {name: value.detach().cpu().contiguous() for name, value in transitions.items()}
        path, content = self._path(purpose, number), safetensors.torch.save(tensors)
        write_atomically(path, content)
        self.digests[path.name] = digest_of(content)
        self.counts[purpose] = number + 1

    def truncate(self, counts: Mapping[str, int], digests: Mapping[str, str]) -> None:
        """Forgets, and deletes, every shard beyond these counts, and what a crash left unfinished.

        Files that are no shards are left alone. Nothing is deleted if one of the others is damaged.

        Raises:
            FileNotFoundError: a shard that should be there is missing.
            ValueError: one is not what was stored.
        """
        keep = {self._path(purpose, i) for purpose, count in counts.items() for i in range(count)}
        for path in sorted(keep):
            if not path.is_file():
                raise FileNotFoundError(
                    f"{path}: expected a data shard that the checkpoint counts, found none"
                )
            _check(path, path.read_bytes(), digests)
        for path in self.folder.iterdir():
            if path not in keep and _SHARD.fullmatch(path.name):
                path.unlink()
        self.counts, self.digests = dict(counts), dict(digests)

    def load(self) -> dict[str, dict[str, torch.Tensor]]:
        """Every transition by purpose, shards concatenated in the order they were stored.

        Raises:
            ValueError: a shard is missing, damaged, or not the one that was stored.
        """
        import safetensors.torch
        import torch

        loaded = {}
        for purpose, count in self.counts.items():
            with reading(self.folder, f"data shards of {purpose}"):
                shards = [safetensors.torch.load(self._read(purpose, i)) for i in range(count)]
                if shards:
                    names = list(shards[0])
                    loaded[purpose] = {n: torch.cat([s[n] for s in shards]) for n in names}
        return loaded

    def _read(self, purpose: str, number: int) -> bytes:
        path = self._path(purpose, number)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise DamagedFile(path, f"expected a data shard: {error.strerror}") from None
        _check(path, content, self.digests)
        return content

    def _path(self, purpose: str, number: int) -> pathlib.Path:
        return self.folder / f"{purpose}-{number:06d}.safetensors"


def _check(path: pathlib.Path, content: bytes, digests: Mapping[str, str]) -> None:
    if digest_of(content) != digests.get(path.name):
        raise DamagedFile(path, "expected the data shard that was stored, but it was changed")
