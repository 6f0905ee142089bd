"""The table and the picture at the end of a run."""

from __future__ import annotations

import io
import pathlib
import struct
from types import ModuleType
from typing import Any

import pytest

import admrl_native as admrl
from admrl_native.configuration.config import make_config
from admrl_native.families.catalogue import FAMILIES
from admrl_native.reporting.run_summary import summarise
from admrl_native.reporting.run_table import print_table, write_summary
from admrl_native.settings import SettingError
from admrl_native.store import folder as folders
from admrl_native.store.metrics import MetricsLog


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _size(picture: pathlib.Path) -> tuple[int, int]:
    """Width and height that a PNG file declares."""
    head = picture.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", head[16:24])
    return width, height


@pytest.mark.parametrize("family", [f for f in FAMILIES if f != "Walker2D"])
def test_every_kind_of_task_space_can_be_drawn(
    fake: ModuleType, tiny: dict[str, Any], tmp_path: pathlib.Path, family: str
) -> None:
    admrl.train(family, out=tmp_path / "run", progress=False, **tiny)
    assert _size(tmp_path / "run/summary.png") == (1620, 1080)


def test_the_summary_is_what_the_metrics_say(
    fake: ModuleType, tiny: dict[str, Any], tmp_path: pathlib.Path
) -> None:
    run = admrl.train("Hopper2D", out=tmp_path / "run", progress=False, **tiny)
    summary = summarise(run.path)
    stages = [r for r in run.metrics() if r["event"] == "slbo-stage"]
    assert [t.task for t in summary.tasks] == [0, 1, 2]
    assert [t.random for t in summary.tasks] == [10.0] * 3
    assert [t.zero_shot for t in summary.tasks] == [None, 300.0, 300.0]
    last_of_task = [r["real_return"] for r in stages if r["stage"] == 1]
    assert [t.slbo for t in summary.tasks] == last_of_task
    counts = stages[-1]["real_samples"]
    assert summary.samples == {
        "training": counts["train"],
        "gradient": 0,
        "evaluation": counts["validation"],
    }
    assert summary.virtual_samples == 1000


def test_a_task_that_is_not_done_is_summarised_as_far_as_it_is(tmp_path: pathlib.Path) -> None:
    folder = folders.create(tmp_path / "run", make_config("Ant2D"))
    log = MetricsLog(folder.metrics)
    record = {"event": "random-policy", "task": 0, "psi": [3.0, -3.0], "return_mean": 5.0}
    log.append({**record, "wall_seconds": 1.0})
    log.close()
    (task,) = summarise(folder.path).tasks
    assert (task.psi, task.u) == ((3.0, -3.0), (1.0, -1.0))
    assert (task.random, task.zero_shot, task.slbo) == (5.0, None, None)
    assert _size(write_summary(folder.path)) == (1620, 1080)


def test_a_run_without_any_metrics_can_be_drawn(tmp_path: pathlib.Path) -> None:
    folder = folders.create(tmp_path / "run", make_config("Ant3D"))
    stream = io.StringIO()
    assert _size(write_summary(folder.path, stream)) == (1620, 1080)
    assert stream.getvalue().splitlines()[0].startswith("Mean return by task: admrl on Ant3D")


def test_tables(fake: ModuleType, tiny: dict[str, Any], tmp_path: pathlib.Path) -> None:
    run = admrl.train("Hopper2D", out=tmp_path / "run", progress=False, **tiny)
    summary = summarise(run.path)
    plain, rich = io.StringIO(), _Terminal()
    print_table(summary, plain)
    title, head, *rows, totals = plain.getvalue().splitlines()
    assert title == "Mean return by task: admrl on Hopper2D, quick, seed 0"
    assert head.split() == ["task", "psi", "random", "policy", "zero-shot", "after", "SLBO"]
    assert [row.split()[0] for row in rows] == ["1", "2", "3"]
    assert len({len(row) for row in (head, *rows)}) == 1
    assert totals.startswith(
        "real: 24 training, 0 gradient and 24 evaluation samples; 1,000 virtual"
    )
    print_table(summary, rich)
    assert "(-1.4, 1.32)" in rich.getvalue()


def test_drawing_leaves_matplotlib_as_it_was(tmp_path: pathlib.Path) -> None:
    import matplotlib

    folder = folders.create(tmp_path / "run", make_config("Ant2D"))
    before = dict(matplotlib.rcParams)
    write_summary(folder.path)
    assert dict(matplotlib.rcParams) == before


def test_what_is_no_run_folder_is_named(tmp_path: pathlib.Path) -> None:
    with pytest.raises(SettingError, match=r"^run: expected a run folder, got .*no config\.yaml"):
        summarise(tmp_path)
