"""Which files a strategy opens while its task runs: what they hold may lie after the window."""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Self

from trading_runtime.engine.strategy.file_reads import listening_to_opens

if TYPE_CHECKING:
    from collections.abc import Iterator

_IN_OPEN = 0x20
_IN_ISDIR = 0x40000000
_EVENT = struct.Struct("iIII")
_MOST_FOLDERS = 10_000
_SYSTEM = ("/proc", "/sys", "/dev", "/etc", "/usr/share/zoneinfo")
_CODE = {".py", ".pyc", ".so", ".pth"}


class OpenedFiles:
    """A context in which opened files are noted.

    Python code is seen wherever it opens a file. Native libraries are seen when they open a file of
    the dataset or of the experiment's folder, on Linux.
    """

    def __init__(self, dataset: str, folder: Path, scratch: Path) -> None:
        """Watch the folders of dataset and experiment; ``scratch`` is the runtime's own."""
        self._watched = [Path(place).absolute() for place in (dataset, folder)]
        self._ignored = (*_SYSTEM, str(scratch), *_interpreter())
        self._found: set[str] = set()
        self._folders: dict[int, str] = {}
        self._inotify = -1
        self._listening = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Begin to note."""
        self._watch()
        self._listening.enter_context(listening_to_opens(self._open))
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

    def note(self, path: str) -> None:
        """Note that a file was opened, unless it is code, or of the system."""
        if Path(path).suffix not in _CODE and not path.startswith(self._ignored):
            self._found.add(path)

    def found(self) -> list[str]:
        """Return the files that were opened, in the order of their names."""
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
