"""What a strategy opens while its task runs: it may hold data from after the window.

That is files, databases, connections, and other programs, which open what they want.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
import sys
import sysconfig
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from trading_runtime.engine.strategy.file_reads import listening, listening_to_opens

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_IN_OPEN = 0x20
_IN_ISDIR = 0x40000000
_EVENT = struct.Struct("iIII")
_MOST_FOLDERS = 10_000
_CLOCK_STEP = 10_000_000
"""By how many nanoseconds the clock of a file system may be behind."""
_SYSTEM = ("/proc", "/sys", "/dev", "/etc", "/usr/share/zoneinfo")
_CODE = {".py", ".pyc", ".so", ".pth"}
_WAYS_OUT: dict[str, Callable[..., str]] = {
    "socket.connect": lambda _socket, address: f"a connection to {_address(address)}",
    "socket.getaddrinfo": lambda host, *_: f"a connection to {_text(host)}",
    "subprocess.Popen": lambda program, *_: f"the program {_text(program)}",
    "os.system": lambda command: f"the program {_text(command)}",
    "os.posix_spawn": lambda program, *_: f"the program {_text(program)}",
    "os.exec": lambda program, *_: f"the program {_text(program)}",
    "os.fork": lambda: "a process of its own",
    "os.forkpty": lambda: "a process of its own",
}
"""Audit events by which a strategy reaches other processes and machines, as they are reported."""


def _text(name: Any) -> str:
    return os.fsdecode(name) if isinstance(name, str | bytes | os.PathLike) else str(name)


def _address(address: Any) -> str:
    if isinstance(address, tuple):
        return ":".join(map(str, address[:2]))
    return _text(address)


class OpenedFiles:
    """A context in which opened files are noted, and whatever else leads out of the process.

    Python code is seen wherever it opens a file. Native libraries are seen when they open a file
    below one of the ``watched`` folders, on Linux.
    """

    def __init__(self, watched: Sequence[str | Path], ignored: Sequence[str | Path]) -> None:
        """Files below ``ignored`` folders, which the runtime uses, are not noted."""
        self._watched = [Path(place).absolute() for place in watched]
        self._ignored = (
            *_SYSTEM,
            *_interpreter(),
            *(f"{Path(place).absolute()}/" for place in ignored),
        )
        self._found: set[str] = set()
        self._began = time.time_ns() - _CLOCK_STEP
        self._folders: dict[int, str] = {}
        self._inotify = -1
        self._listening = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Begin to note."""
        self._watch()
        self._listening.enter_context(listening_to_opens(self._open))
        self._listening.enter_context(listening(_WAYS_OUT, self._leave))
        return self

    def __exit__(self, *_: object) -> None:
        """Collect what the kernel has seen, and stop."""
        self._listening.close()
        if self._inotify >= 0:
            for path in self._events():
                self.note(path)
            os.close(self._inotify)

    def _open(self, path: str, _flags: int) -> None:
        if not path.startswith("<"):
            self.note(str(Path(path).absolute()))

    def _leave(self, event: str, arguments: tuple[Any, ...]) -> None:
        self._found.add(_WAYS_OUT[event](*arguments))

    def note(self, path: str) -> None:
        """Note that a file was opened, unless it is code, of the system, or made meanwhile."""
        if Path(path).suffix in _CODE or path.startswith(self._ignored):
            return
        with contextlib.suppress(OSError):  # there is no such file
            if Path(path).stat().st_ctime_ns < self._began:
                self._found.add(path)

    def found(self) -> list[str]:
        """Return what was opened, in the order of the names."""
        return sorted(self._found)

    def _watch(self) -> None:
        if sys.platform != "linux":
            return
        kernel = ctypes.CDLL(None, use_errno=True)
        self._inotify = kernel.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        for folder in self._all_folders():
            watch = kernel.inotify_add_watch(self._inotify, os.fsencode(folder), _IN_OPEN)
            if watch >= 0:
                self._folders[watch] = folder

    def _all_folders(self) -> Iterator[str]:
        count = 0
        for place in self._watched:
            for folder, inner, _ in os.walk(place):
                inner[:] = [name for name in inner if not name.startswith((".", "__pycache__"))]
                count += 1
                if count > _MOST_FOLDERS:
                    return
                yield folder

    def _events(self) -> Iterator[str]:
        while True:
            try:
                content = os.read(self._inotify, 1 << 20)
            except BlockingIOError:
                return
            at = 0
            while at < len(content):
                watch, mask, _, length = _EVENT.unpack_from(content, at)
                at += _EVENT.size
                name = os.fsdecode(content[at : at + length].rstrip(b"\0"))
                at += length
                if name and not mask & _IN_ISDIR and watch in self._folders:
                    yield f"{self._folders[watch]}/{name}"


def _interpreter() -> tuple[str, ...]:
    package = Path(__file__).resolve().parent.parent
    return (sys.prefix, sys.base_prefix, *sysconfig.get_paths().values(), str(package))
