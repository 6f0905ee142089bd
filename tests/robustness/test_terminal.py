"""Work is done and stored first; showing it never fails a command."""

from __future__ import annotations

import errno
import io
import os
import pathlib
import subprocess
import sys
from typing import Any

import pytest

from admrl_native import terminal
from admrl_native.reporting.run_table import write_summary
from admrl_native.terminal import Output
from synthetic_runs import make_run
from toy import flags

TRAIN = [sys.executable, "-m", "admrl_native.train", *flags(n_tasks=2), "--threads", "1", "--out"]


def environment(**changes: str) -> dict[str, str]:
    return {**os.environ, **changes}


@pytest.mark.parametrize(
    "changes",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"MPLBACKEND": "no-such-backend"},
        {"MPLCONFIGDIR": "/proc/no-such-folder"},
    ],
)
def test_any_terminal_and_settings(changes: dict[str, str], tmp_path: pathlib.Path) -> None:
    done = subprocess.run(
        [*TRAIN, str(tmp_path / "run")], capture_output=True, env=environment(**changes)
    )
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    assert b"results in" in done.stdout


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_full_device(stream: str, tmp_path: pathlib.Path) -> None:
    with open("/dev/full", "w") as full:
        streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        done = subprocess.run([*TRAIN, str(tmp_path / "run")], **(streams | {stream: full}))
    assert done.returncode == 0
    assert (tmp_path / "run" / "summary.png").exists()
    assert not done.stderr


def test_a_reader_that_goes_away(tmp_path: pathlib.Path) -> None:
    process = subprocess.Popen(
        [*TRAIN, str(tmp_path / "run")], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()  # as `| head -1` does
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 0
    assert (tmp_path / "run" / "summary.png").exists()


class Broken(io.StringIO):
    encoding = "ascii"

    def write(self, text: str) -> int:
        text.encode("ascii")
        if "break" in text:
            raise OSError(errno.EIO, "gone")
        return super().write(text)


def test_output_shows_what_it_can() -> None:
    stream = Broken()
    out = Output(stream)
    print("ψ = 1 ± 2, θ^ – ☃", file=out)
    assert stream.getvalue() == "psi = 1 +- 2, theta^ - ?\n"
    assert not out.lost
    print("break", file=out)
    assert out.lost
    print("nobody reads this", file=out, flush=True)
    assert "nobody" not in stream.getvalue()


def test_streams_are_put_back() -> None:
    before = sys.stdout, sys.stderr
    with terminal.lasting_output():
        assert isinstance(sys.stdout, Output)
    assert (sys.stdout, sys.stderr) == before


@pytest.mark.parametrize("setting", ["usetex", "style", "draw"])
def test_a_picture_ends_nothing(
    setting: str,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import matplotlib

    run = make_run(tmp_path / "run", "Ant2D")
    if setting == "draw":
        monkeypatch.setattr("admrl_native.reporting.run_picture._draw_tasks", lambda *_: 1 / 0)
        assert write_summary(run) is None
        assert capsys.readouterr().err == "picture not drawn: division by zero\n"
        return
    user = {"text.usetex": True} if setting == "usetex" else {"font.family": "no such font"}
    with matplotlib.rc_context(user):
        assert write_summary(run) == run / "summary.png"
        assert matplotlib.rcParams["text.usetex"] == (setting == "usetex")


def test_names_are_no_formulas(tmp_path: pathlib.Path) -> None:
    import dataclasses

    from admrl_native.families.catalogue import make_family
    from admrl_native.reporting import run_summary as summary
    from admrl_native.reporting.run_picture import draw

    whole = summary.summarise(make_run(tmp_path / "run", "Ant2D"))
    named = dataclasses.replace(make_family("Ant2D"), task_names=(r"$\frac$", "$$ ^_{"))
    config = dataclasses.replace(whole.config, family=named)
    draw(dataclasses.replace(whole, config=config), tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 10_000
