"""Run an experiment again and again, with a fault at each change that it makes to its files.

A process of its own, since it forks and replaces functions. Prints a JSON line for each fault:
where, how the run ended, how it stands then, what ``runs check`` finds, and, for new runs, both
again after the run was repeated.

kill: the process is killed before the change.
power: so it is, and what was not synced is lost: files have no content, journals no new lines.
full: from then on there is no space for what is new, and half of what is being written is there.
broken: the change fails with an error of input and output, once.
"""

from __future__ import annotations

import errno
import functools
import io
import itertools
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

# Imported once, and not in every process that is forked.
import trading_runtime.engine.simulation.venue
import trading_runtime.metrics.exposition
import trading_runtime.records.trials
import trading_runtime.report
import trading_runtime.results.ledger
import trading_runtime.results.reduction
import trading_runtime.results.validation  # noqa: F401
from trading_runtime.errors import TradingRuntimeError
from trading_runtime.execution.local_run import LocalRun
from trading_runtime.execution.preparation import prepare_run
from trading_runtime.report.write import _environment
from trading_runtime.results.store import Store
from trading_runtime.runs.overview import overview
from trading_runtime.runs.run_check import check_run

if TYPE_CHECKING:
    from collections.abc import Callable

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

    @property
    def have_happened(self) -> bool:
        """Whether there was a change of this number."""
        return self._count > self._at

    def tell(self, facts: dict[str, Any]) -> None:
        """Write a line to the parent."""
        self._write(self._told, json.dumps(facts).encode() + b"\n")

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


def main() -> None:
    """Run ``run_id`` of an experiment with a fault at each step; ``fresh``: each time a new run."""
    file, results, run_id, how, fault = sys.argv[1:]
    make_what_every_run_needs(file)
    for step in itertools.count():
        name = f"{run_id}-{step}" if how == "fresh" else run_id
        folder = Path(results) / "runs" / name
        told = in_child(functools.partial(faulty, file, folder, step, fault))
        if not told:
            return
        facts: dict[str, Any] = {}
        for line in [*told.splitlines(), in_child(functools.partial(judged, file, folder))]:
            facts |= json.loads(line)
        sys.stdout.write(json.dumps(facts) + "\n")
        sys.stdout.flush()


def make_what_every_run_needs(file: str) -> None:
    """Make once what a process keeps: models, templates, digests of code.

    Only what starts no thread, which a fork would not have.
    """
    prepare_run(file, 1, lambda *_: {})
    for name in ("index.html", "report.md"):
        _environment().get_template(name)


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


def run(file: str, run_id: str) -> None:
    """Run the experiment, whose tasks are stored: no worker is needed."""
    LocalRun(prepare_run(file, 1), run_id, lambda: False, show_progress=False).execute(
        allow_incomplete=False
    )


def faulty(file: str, folder: Path, step: int, fault: str, out: int) -> None:
    """Run the experiment with a fault at the change of this number; say how it ended."""
    faults = Faults(folder, step, fault, out)
    try:
        run(file, folder.name)
        ended: int | str = 0
    except TradingRuntimeError as error:
        ended = error.kind.exit_code
    except Exception as error:  # noqa: BLE001 - a defect, which the test shows
        ended = repr(error)
    if faults.have_happened:
        faults.tell({"ended": ended})


def judged(file: str, folder: Path, out: int) -> None:
    """Say how a run stands, repeat it, and say how it stands then."""
    before = standing(folder)
    run(file, folder.name)
    os.write(out, json.dumps({"before": before, "after": standing(folder)}).encode())


def standing(folder: Path) -> dict[str, Any]:
    """Return the status that people are shown, and what is found about the files."""
    store = Store(str(folder.parent.parent))
    found = check_run(store.run(folder.name), store=store)
    return {
        "status": overview(store, folder.name).status,
        "findings": [str(item) for item in found.findings],
    }


if __name__ == "__main__":
    main()
