"""What a strategy's process left running: found by the kernel's own lists, and ended with it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys

MARK = {"TRADING_RUNTIME_WORKER": "1"}
"""The variable that marks a worker's processes, so that they are found after its end."""
_PR_SET_DUMPABLE, _PR_SET_CHILD_SUBREAPER = 4, 36
_MOST_ROUNDS = 50


def adopt_orphans() -> None:
    """Make this process the parent of whatever its descendants leave behind.

    A daemon, which cut itself off from its parent, is then still found below this process.
    """
    _set(_PR_SET_CHILD_SUBREAPER, 1)


def hide_from_children() -> None:
    """Let no process of the same user read this one's environment and memory; root still can."""
    _set(_PR_SET_DUMPABLE, 0)


def end_descendants(process: int) -> int:
    """Kill everything below a process; return how many processes that were.

    It repeats until none is left, since each may start others in the meantime.
    """
    ended: set[int] = set()
    for _ in range(_MOST_ROUNDS):
        found = _below(process)
        if not found:
            break
        ended.update(found)
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if process == os.getpid():
            for pid in found:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, 0)
    return len(ended)


def end_adopted(workers: frozenset[int]) -> None:
    """Kill what workers that are gone left to this process; ``workers`` are those that live."""
    for pid in _children(os.getpid()):
        if pid not in workers and _is_marked(pid):
            end_descendants(pid)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)


def _set(option: int, value: int) -> None:
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _below(process: int) -> list[int]:
    """Return the living descendants of a process."""
    found: list[int] = []
    waiting = [process]
    while waiting:
        children = _children(waiting.pop())
        found += filter(_is_running, children)
        waiting += children
    return found


def _children(process: int) -> list[int]:
    children: list[int] = []
    with contextlib.suppress(OSError):
        # Asked after every task: paths as strings are several times faster.
        for thread in os.listdir(f"/proc/{process}/task"):  # noqa: PTH208
            with contextlib.suppress(OSError):
                children += map(int, _read(f"{process}/task/{thread}/children").split())
    return children


def _is_running(process: int) -> bool:
    with contextlib.suppress(OSError, IndexError):
        return _read(f"{process}/stat").rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    return False


def _is_marked(process: int) -> bool:
    mark = "".join(f"{name}={value}" for name, value in MARK.items()).encode()
    with contextlib.suppress(OSError):
        return mark in _read(f"{process}/environ").split(b"\0")
    return False


def _read(name: str) -> bytes:
    with open(f"/proc/{name}", "rb") as file:  # noqa: PTH123 - see above
        return file.read()
