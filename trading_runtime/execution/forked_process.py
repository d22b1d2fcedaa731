"""A worker process that is forked, where this process is set up as a worker's would be.

A pod computes one batch, mostly with one worker: started anew, it would import for a second time
what this process has in common with it, which is a good part of what a small batch takes.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from trading_runtime.execution.started_process import (
    Process,
    StartedProcess,
    worker_environment,
)

if TYPE_CHECKING:
    from typing import IO, NoReturn

_THREADS = Path("/proc/self/task")
_SAID_BY_IMAGES = ("PYTHON_VERSION", "PYTHON_SHA256")
"""What Python's official images say of themselves; the interpreter reads neither."""


def fork_or_start(number: int, scratch: Path) -> StartedProcess:
    """Return a worker that was forked, or started where a fork would not be the same."""
    if not is_set_up_as_worker():
        return StartedProcess(number, scratch)
    from trading_runtime.execution.worker import import_engine

    import_engine()
    # A thread is not forked, and what it held would stay held.
    is_alone = len(list(_THREADS.iterdir())) == 1
    return ForkedProcess(number, scratch) if is_alone else StartedProcess(number, scratch)


def is_set_up_as_worker() -> bool:
    """Return whether this interpreter was started with all that a worker's would be."""
    options = sys.flags.optimize or sys.warnoptions or sys._xoptions  # noqa: SLF001 - documented
    if options or not _THREADS.exists():
        return False
    found = {name: value for name, value in os.environ.items() if name not in _SAID_BY_IMAGES}
    # The package is found without a path to it.
    return {"PYTHONPATH": "", **found} == {**worker_environment(), "PYTHONPATH": ""}


class ForkedProcess(StartedProcess):
    """A worker that begins as a copy of this process, which has imported the engine already."""

    def _start(self, sender: int) -> Process:
        requests, told = os.pipe()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        parent = os.getpid()
        child = os.fork()
        if child == 0:
            os.close(told)
            self._work(requests, sender, parent)
        os.close(requests)
        return _Child(child, told)

    def _work(self, requests: int, sender: int, parent: int) -> NoReturn:
        exit_code = 1
        try:
            os.dup2(requests, 0)
            for stream in (1, 2):
                os.dup2(self.output.fileno(), stream)
            os.chdir(self.folder)
            environment = worker_environment()
            os.environ.clear()
            os.environ.update(environment)
            from trading_runtime.execution.worker import serve

            serve(sender, parent)
            exit_code = 0
        except BaseException:  # noqa: BLE001 - nothing of this process's own may follow
            traceback.print_exc()
        finally:
            with contextlib.suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(exit_code)


class _Child:
    """A forked process, with what ``subprocess`` offers for one that it started."""

    def __init__(self, pid: int, told: int) -> None:
        self.pid = pid
        self.stdin: IO[bytes] | None = os.fdopen(told, "wb")
        self._exit_code: int | None = None

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def send_signal(self, sig: int) -> None:
        if self._exit_code is None:
            os.kill(self.pid, sig)

    def wait(self) -> int:
        if self._exit_code is None:
            self._exit_code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self._exit_code
