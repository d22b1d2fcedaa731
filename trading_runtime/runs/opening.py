"""Take a run for this process alone: its files to work on, its lock, its request to stop."""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING

from trading_runtime.results.files import storage_errors
from trading_runtime.results.s3_store import S3Store
from trading_runtime.runs.lock import is_locked, locked
from trading_runtime.runs.s3_lock import S3Lock, seconds_left
from trading_runtime.runs.working import WorkingRun

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trading_runtime.results.store import RunFiles, Store

_PUBLISH_SECONDS = 10


class OpenRun(WorkingRun):
    """A run that this process has for itself; in S3, others see it every few seconds."""

    _published = 0.0

    def publish(self, *, whole: bool = False) -> None:
        """Show others metadata and journal, when it is time to, or all files."""
        now = time.monotonic()
        if not whole and now - self._published < _PUBLISH_SECONDS:
            return
        self._published = now
        self._publish_journals()
        if whole:
            self._store.publish_run(self.files)
        else:
            self._store.publish(self.files.metadata, self.files.plan)

    def gather(self) -> None:
        """Bring the chains that others have written meanwhile beside those of this process."""
        self._store.fetch(f"{self._name(self.files.journals)}/")


@contextlib.contextmanager
def open_run(store: Store, run_id: str) -> Iterator[OpenRun]:
    """Open a run of ``store``, new or to be resumed.

    Raises ``UsageError`` when another process has it.
    """
    opening = _open_in_s3(store, run_id) if isinstance(store, S3Store) else _open(store, run_id)
    with opening as files:
        opened = OpenRun(store, files)
        try:
            yield opened
        finally:
            opened.publish(whole=True)


@contextlib.contextmanager
def _open(store: Store, run_id: str) -> Iterator[RunFiles]:
    files = store.run(run_id)
    with locked(files):
        with storage_errors(files.folder):
            files.stop.unlink(missing_ok=True)
            _remove_unfinished(files)
        yield files


@contextlib.contextmanager
def _open_in_s3(store: S3Store, run_id: str) -> Iterator[RunFiles]:
    lock = S3Lock(store.objects, run_id)
    try:
        store.objects.remove(_stop_name(run_id))
        yield store.run(run_id)
    finally:
        lock.release()


def _remove_unfinished(files: RunFiles) -> None:
    """Remove what a killed process had not written to its end (see ``write_file``)."""
    for folder in (files.folder, files.failures, files.report_page.parent):
        for path in folder.glob(".*"):
            process = path.name.rpartition(".")[2]
            if process.isdigit() and not _is_alive(int(process)):
                path.unlink(missing_ok=True)


def _is_alive(process: int) -> bool:
    # This one has written nothing yet: in a container ids come again.
    if process == os.getpid():
        return False
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def is_running(store: Store, run_id: str) -> bool:
    """Return whether a process has the run now."""
    if isinstance(store, S3Store):
        return seconds_left(store.objects, run_id) > 0
    return is_locked(store.run(run_id))


def request_stop(store: Store, run_id: str) -> None:
    """Ask the process that has the run to end it."""
    store.objects.write(_stop_name(run_id), b"")


def _stop_name(run_id: str) -> str:
    return f"runs/{run_id}/stop"
