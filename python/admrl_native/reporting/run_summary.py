"""What a run learned: read from its folder, printed as a table, drawn as summary.png."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from ..configuration.config import Config
from ..store import accounts
from ..store.files import reading
from ..store.folder import RunFolder, open_folder
from ..store.metrics import read_records
from ..store.tasks_table import last


@dataclasses.dataclass(frozen=True)
class TaskSummary:
    """One training task; a return is the mean over episodes, None if not known yet.

    Attributes:
        task: its index.
        psi: (K,) the task, in the family's units.
        u: (K,) the task in normalised coordinates.
        random: return of a policy that acts at random.
        zero_shot: return after zero-shot adaptation, before any sample of the task.
        slbo: return after SLBO on the task.
    """

    task: int
    psi: tuple[float, ...]
    u: tuple[float, ...]
    random: float | None
    zero_shot: float | None
    slbo: float | None


@dataclasses.dataclass(frozen=True)
class Summary:
    """A run, complete or not.

    Attributes:
        config: the run's configuration.
        records: the lines of metrics.jsonl.
        tasks: the visited tasks in order.
        samples: real ones of the whole run, by `ACCOUNTS`.
        virtual_samples: of the whole run.
        wall_seconds: of all its processes together.
    """

    config: Config
    records: Sequence[Mapping[str, Any]]
    tasks: Sequence[TaskSummary]
    samples: Mapping[str, int]
    virtual_samples: int
    wall_seconds: float

    @property
    def iterations(self) -> Sequence[Mapping[str, Any]]:
        """The "iteration" records: of a model-free method, which has no other figures."""
        return [r for r in self.records if r["event"] == "iteration"]


def summarise(path: pathlib.Path) -> Summary:
    """Reads a run folder.

    Raises:
        SettingError: not a run folder, or of another version.
    """
    folder, config = open_folder(path, name="run", to_read=True)
    with reading(folder.metrics, "the records of this run"):
        return _summarise(folder, config)


def _summarise(folder: RunFolder, config: Config) -> Summary:
    records = read_records(folder.metrics)
    tasks: dict[int, dict[str, Any]] = {}
    for r in records:
        if "task" not in r:
            continue
        known = tasks.setdefault(r["task"], {})
        if "psi" in r:
            known["psi"] = r["psi"]
        if "u" in r:
            known["u"] = r["u"]
        if r["event"] == "random-policy":
            known["random"] = r.get("return_mean")
        elif r["event"] == "zero-shot":
            known["zero_shot"] = r.get("real_return")
        elif r["event"] == "slbo-stage":
            known["slbo"] = r.get("real_return")
        elif r["event"] == "task":
            known.update({k: last(v) for k, v in r["returns"].items()})
    low, high = config.family.task_low, config.family.task_high
    found = []
    for task, known in sorted(tasks.items()):
        if "psi" not in known:
            continue
        psi = tuple(known["psi"])
        u = known.get("u") or [
            2 * (p - a) / (b - a) - 1 for p, a, b in zip(psi, low, high, strict=True)
        ]
        returns = (known.get(name) for name in ("random", "zero_shot", "slbo"))
        found.append(TaskSummary(task, psi, tuple(u), *returns))
    return Summary(
        config=config,
        records=records,
        tasks=found,
        samples=accounts.accounts(_latest(records, "real_samples", {})),
        virtual_samples=_latest(records, "virtual_samples", 0),
        wall_seconds=float(records[-1]["wall_seconds"]) if records else 0.0,
    )


def _latest(records: Sequence[Mapping[str, Any]], name: str, default: Any) -> Any:
    return next((r[name] for r in reversed(records) if name in r), default)
