"""Ctrl-C and SIGTERM at any moment, imports included: 130 or 143 soon, and the work goes on."""

from __future__ import annotations

import os
import pathlib
import random
import shlex
import signal
import subprocess
import sys
import threading
import time

import pytest

from admrl_native import interrupt
from toy import flags

# Two seconds are promised; a test machine may be busy with something else.
SOON = 6.0


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_training_is_interrupted_anywhere(
    number: signal.Signals, status: int, tmp_path: pathlib.Path
) -> None:
    moments = random.Random(int(number))
    path = tmp_path / "a folder's $name"
    command = ["train", *flags(n_tasks=3), "--threads", "1", "--out", str(path)]
    run = [sys.executable, "-m", "admrl_native.cli"]
    ends = []
    for _ in range(5):
        process = subprocess.Popen(
            [*run, *command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        time.sleep(0.5 + 2.5 * moments.random())
        process.send_signal(number)
        sent = time.monotonic()
        _, error = process.communicate(timeout=60)
        if process.returncode == -number:  # before the command had begun
            continue
        assert process.returncode in (status, 0), error
        assert "Traceback" not in error
        if process.returncode == status:
            assert time.monotonic() - sent < SOON
            assert error.startswith("interrupted")
            if "go on with: " in error:
                command = shlex.split(error.split("go on with: ")[1])[1:]
                assert command == ["train", "--resume", str(path)]
        ends.append(process.returncode)
    assert ends
    done = subprocess.run([*run, *command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def started(script: str) -> subprocess.Popen[str]:
    """A process that has printed that it is ready."""
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_somebody_elses_code_is_left_alone_and_then_ended() -> None:
    """In a queue's lock nothing is raised: after its patience the process ends."""
    script = (
        "import queue, sys\n"
        "from admrl_native.command import run\n"
        "def body(go_on):\n"
        "    go_on.append('admrl go on')\n"
        "    print('ready', flush=True)\n"
        "    queue.Queue().get()\n"
        "sys.exit(run('wait', body))\n"
    )
    process = started(script)
    time.sleep(1.0)  # it is in the queue by then, no longer between two lines of its own
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert error == "interrupted; go on with: admrl go on\n"
    assert interrupt.PATIENCE <= time.monotonic() - began < SOON


def test_an_import_is_ended_at_once(tmp_path: pathlib.Path) -> None:
    """It would swallow an exception, and holds the interpreter for long as it is."""
    (tmp_path / "slow.py").write_text(
        "import time\nprint('ready', flush=True)\n"
        "try:\n    time.sleep(60)\nexcept BaseException:\n    pass\n"
    )
    script = (
        "import sys\n"
        f"sys.path.insert(0, {str(tmp_path)!r})\n"
        "from admrl_native.command import run\n"
        "def body(go_on):\n"
        "    go_on.append('admrl go on')\n"
        "    import slow\n"
        "    return 0\n"
        "sys.exit(run('wait', body))\n"
    )
    process = started(script)
    time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    _, error = process.communicate(timeout=SOON)
    assert process.returncode == 143
    assert error == "interrupted; go on with: admrl go on\n"


def test_the_last_words_are_said_once() -> None:
    """Also where the patience ends while they are being said."""
    script = (
        "import sys, time\n"
        "from admrl_native.command import run\n"
        "class Slow:\n"
        "    def __getattr__(self, name):\n"
        "        return getattr(sys.__stderr__, name)\n"
        "    def write(self, text):\n"
        "        time.sleep(0.4)\n"
        "        return sys.__stderr__.write(text)\n"
        "sys.stderr = Slow()\n"
        "def body(go_on):\n"
        "    go_on.append('admrl go on')\n"
        "    print('ready', flush=True)\n"
        "    try:\n"
        "        while True:\n"
        "            time.sleep(0.01)\n"
        "    finally:\n"
        "        time.sleep(0.9)\n"
        "sys.exit(run('wait', body))\n"
    )
    process = started(script)
    time.sleep(0.2)  # it is in its loop
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert error == "interrupted; go on with: admrl go on\n"


def test_handlers_are_put_back_and_the_watcher_ends() -> None:
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)]
    threads = threading.active_count()
    descriptors = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    for _ in range(20):
        with interrupt.interruptible([], lambda: None):
            pass
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)] == before
    deadline = time.monotonic() + 10
    while threading.active_count() > threads and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() == threads
    if descriptors:
        assert len(os.listdir("/proc/self/fd")) == descriptors
