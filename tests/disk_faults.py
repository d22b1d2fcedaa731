"""A fault at one of the changes that a process makes to files below a folder.

kill: the process is killed before the change.
power: so it is, and what was not synced is lost: files have no content, journals no new lines.
full: from then on there is no space for what is new, and half of what is being written is there.
broken: the change fails with an error of input and output, once.

Only in processes of their own (see ``in_child``), since functions are replaced.
"""

from __future__ import annotations

import errno
import io
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from trading_runtime.errors import TradingRuntimeError

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parent.parent
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_GROWING = {"open", "os.mkdir", "write", "fsync"}
"""Changes that need space."""
_KILLING = {"kill", "power"}
_CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.truncate"}


class Faults:
    """Counts the changes below a folder, and lets something go wrong at one of them."""

    def __init__(self, folder: Path, at: int, fault: str, told: int) -> None:
        self._folder, self._at, self._fault, self._told = folder, at, fault, told
        self._count = 0
        self._is_full = False
        self._synced = {_file(path.stat()): path.stat().st_size for path in _files(folder)}
        """What a loss of power leaves of each file: its size at the beginning or when synced."""
        sys.addaudithook(self._see)
        write, fsync, opened = os.write, os.fsync, io.open

        def writing(descriptor: int, content: bytes) -> int:
            self._change("write", _name_of(descriptor), lambda: write(descriptor, _half(content)))
            return write(descriptor, content)

        def syncing(descriptor: int) -> None:
            self._change("fsync", _name_of(descriptor))
            fsync(descriptor)
            facts = os.fstat(descriptor)
            self._synced[_file(facts)] = facts.st_size

        def opening(path: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
            if mode != "wb":
                return opened(path, mode, *arguments, **options)
            return io.BufferedWriter(_File(path, self._change))

        vars(os).update(write=writing, fsync=syncing)
        vars(io).update(open=opening)
        self._write = write

    def tell(self, facts: dict[str, Any]) -> None:
        """Write a line to the parent."""
        self._write(self._told, json.dumps(facts).encode() + b"\n")

    def try_on(self, change: Callable[[], object]) -> None:
        """Make a change, and tell how it ended: an exit code, or the text of a defect."""
        try:
            change()
            ended: int | str = 0
        except TradingRuntimeError as error:
            ended = error.kind.exit_code
        except Exception as error:  # noqa: BLE001 - a defect, which the test shows
            ended = repr(error)
        if self._count > self._at:  # there was a change of this number
            self.tell({"ended": ended})

    def _see(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in _CHANGES or (
            event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITING
        ):
            self._change(event, str(arguments[0]))

    def _change(self, event: str, name: str, partly: Callable[[], object] = lambda: None) -> None:
        is_here = name.startswith(f"{self._folder}/")
        if not is_here or threading.current_thread() is not threading.main_thread():
            return
        if self._is_full and event in _GROWING:
            self._fail(errno.ENOSPC)
        if self._fault in _KILLING and event in {"write", "fsync"}:
            return  # others see what is opened and renamed
        if self._fault == "full" and event not in _GROWING:
            return
        self._count += 1
        if self._count != self._at + 1:
            return
        short = name.removeprefix(f"{self._folder}/")
        self.tell({"at": f"{event} {short}"})
        if self._fault == "power":
            self._lose()
        if self._fault in _KILLING:
            os.kill(os.getpid(), signal.SIGKILL)
        partly()
        self._is_full = self._fault == "full"
        self._fail(errno.ENOSPC if self._is_full else errno.EIO)

    def _lose(self) -> None:
        self._count += 1  # what is lost is no change of the run
        for path in _files(self._folder):
            os.truncate(path, self._synced.get(_file(path.stat()), 0))

    @staticmethod
    def _fail(number: int) -> NoReturn:
        raise OSError(number, os.strerror(number))


class _File(io.FileIO):
    """A new file whose writes are changes."""

    def __init__(self, path: Any, change: Callable[..., None]) -> None:
        super().__init__(path, "wb")
        self._path, self._change = str(path), change

    def write(self, content: Any, /) -> int:
        """Write, or fail with half of it written."""
        self._change("write", self._path, lambda: io.FileIO.write(self, _half(content)))
        return super().write(content)


def _half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def _file(facts: os.stat_result) -> tuple[int, int]:
    return facts.st_dev, facts.st_ino


def _name_of(descriptor: int) -> str:
    return str(Path(f"/proc/self/fd/{descriptor}").readlink())


def in_child(work: Callable[[int], None]) -> str:
    """Return what ``work`` writes to the descriptor that it is given, in a forked process."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            work(writing)
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as said:
        content = said.read()
    os.waitpid(child, 0)
    return content


def lines_of(module: str, *words: str | Path) -> list[dict[str, Any]]:
    """Return the JSON lines that a module prints, run as a program of its own."""
    done = subprocess.run(
        [sys.executable, "-m", module, *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]
