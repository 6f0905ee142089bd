"""Ctrl-C and SIGTERM in a command: an end within two seconds, from anywhere, and nothing broken.

A signal raises KeyboardInterrupt where this package's own code runs, and waits a moment where the
interpreter is in somebody else's: in a queue it would leave a lock behind. Where that takes too
long, in a native call of seconds for instance, and in an import, which would swallow it, the
process and its workers are ended: a run goes on after that as after any crash.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import types
from collections.abc import Callable, Iterator

PATIENCE = 0.7  # seconds; an import that holds the interpreter can add a second
_AGAIN = 0.02  # seconds until it is looked again where the interpreter is
_SIGNALS = (signal.SIGINT, signal.SIGTERM)

# Whose code may be interrupted: ours, and that which waits for our workers.
_OURS = ("admrl_native.", "selectors", "multiprocessing.connection", "__main__")
_IMPORTING = "importlib._bootstrap"


@contextlib.contextmanager
def interruptible(received: list[int], last_words: Callable[[], None]) -> Iterator[None]:
    """SIGINT and SIGTERM raise in the main thread, even where a shell script had SIGINT ignored.

    Args:
        received: gets the numbers of signals that come. The exception does not tell: libraries that
            wait in C++ replace it by their own.
        last_words: says, before the process is ended by force, what is said where it ends itself.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    over = threading.Event()

    def handle(number: int, frame: types.FrameType | None) -> None:
        if number != signal.SIGALRM:
            received.append(number)
        if len(received) > 1 and number != signal.SIGALRM:
            _end(received, last_words)  # asked twice
        if _imports(frame):
            _end(received, last_words)  # it holds the interpreter for long, and would swallow this
        if _is_ours(frame):
            raise KeyboardInterrupt
        signal.setitimer(signal.ITIMER_REAL, _AGAIN)

    def watch(pipe: int) -> None:
        # The signal arrives here even while the main thread is in a native call.
        while not over.is_set():
            number = os.read(pipe, 1)
            if number and number[0] in _SIGNALS and not over.wait(PATIENCE):
                received.append(number[0])
                _end(received, last_words)
        os.close(pipe)

    handlers = {number: signal.signal(number, handle) for number in (*_SIGNALS, signal.SIGALRM)}
    read, write = os.pipe()
    os.set_blocking(write, False)
    wakeup = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    threading.Thread(target=watch, args=(read,), daemon=True).start()
    try:
        yield
    finally:
        over.set()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.set_wakeup_fd(wakeup)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        with contextlib.suppress(BrokenPipeError):  # it has ended already
            os.write(write, b"\0")  # the watcher ends
        os.close(write)


def _is_ours(frame: types.FrameType | None) -> bool:
    """Whether the interpreter is in code that may be left at any line."""
    return frame is not None and frame.f_globals.get("__name__", "").startswith(_OURS)


def _imports(frame: types.FrameType | None) -> bool:
    """Whether the interpreter is anywhere inside an import."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib") or (
            frame.f_globals.get("__name__", "").startswith(_IMPORTING)
        ):
            return True
        frame = frame.f_back
    return False


def _end(received: list[int], last_words: Callable[[], None]) -> None:
    for worker in multiprocessing.active_children():
        worker.kill()
    with contextlib.suppress(Exception):
        last_words()
        sys.stderr.flush()
    os._exit(status(received))


def status(received: list[int]) -> int:
    """130, or 143 after SIGTERM."""
    return 143 if signal.SIGTERM in received else 130
