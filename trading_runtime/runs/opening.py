"""Take a run for this process alone: its files to work on, its lock, its request to stop."""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING

from trading_runtime.results.s3_store import S3Store
from trading_runtime.results.store import storage_errors
from trading_runtime.runs.journal import Journal, new_writer
from trading_runtime.runs.lock import is_locked, locked
from trading_runtime.runs.s3_lock import S3Lock, seconds_left

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trading_runtime.results.store import RunFiles, Store

_PUBLISH_SECONDS = 10
_ASK_SECONDS = 3


class OpenRun:
    """A run that this process has for itself."""

    def __init__(self, files: RunFiles) -> None:
        self.files = files
        self._journals: list[Journal] = []

    def open_journal(self, name: str) -> Journal:
        """Open a new chain of the run's journal; its name begins with ``name``."""
        journal = Journal(self.files.journals, new_writer(name))
        self._journals.append(journal)
        return journal

    def publish(self, *, whole: bool = False) -> None:
        """Show others how far the run is; ``whole`` once it has ended."""

    def remove(self, path: Path) -> None:
        """Remove a file of the run for good; nothing happens when there is none."""
        path.unlink(missing_ok=True)

    def gather(self) -> None:
        """Bring the chains that others have written meanwhile beside those of this process."""

    def stop_requested(self) -> bool:
        """Return whether ``runs stop`` asked for the end."""
        return self.files.stop.exists()


@contextlib.contextmanager
def open_run(store: Store, run_id: str) -> Iterator[OpenRun]:
    """Open a run of ``store``, new or to be resumed.

    Raises ``UsageError`` when another process has it.
    """
    if isinstance(store, S3Store):
        with _open_in_s3(store, run_id) as opened:
            yield opened
        return
    files = store.run(run_id)
    with locked(files):
        with storage_errors(files.folder):
            files.stop.unlink(missing_ok=True)
            _remove_unfinished(files)
        yield OpenRun(files)


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
    if isinstance(store, S3Store):
        store.objects.write(f"runs/{run_id}/stop", b"")
    else:
        store.run(run_id).stop.touch()


class _S3Run(OpenRun):
    """A run in S3: worked on in a local folder, published every few seconds and at the end."""

    def __init__(self, store: S3Store, run_id: str) -> None:
        self._store = store
        self._objects = store.objects
        self._prefix = f"runs/{run_id}/"
        self._published = self._asked = 0.0
        self._stopping = False
        self._lock = S3Lock(store.objects, run_id)
        self._objects.remove(f"{self._prefix}stop")
        super().__init__(store.run(run_id))

    def publish(self, *, whole: bool = False) -> None:
        """Upload metadata and journal, when it is time to, or all files."""
        now = time.monotonic()
        if not whole and now - self._published < _PUBLISH_SECONDS:
            return
        self._published = now
        for journal in self._journals:
            self._store.publish_part(journal.end_part())
        files = self.files
        shown = files.folder.rglob("*") if whole else [files.metadata, files.plan]
        kept_here = {files.lock, files.stop}
        self._store.publish(
            *(
                path
                for path in sorted(shown)
                if path not in kept_here and files.journals not in path.parents
            )
        )

    def remove(self, path: Path) -> None:
        """Remove a file of the run for good, stored and local."""
        super().remove(path)
        self._objects.remove(self._prefix + path.relative_to(self.files.folder).as_posix())

    def gather(self) -> None:
        """Bring the chains that others have written meanwhile beside those of this process."""
        self._store.fetch(f"{self._prefix}journal/")

    def stop_requested(self) -> bool:
        """Ask the storage, every few seconds at most."""
        now = time.monotonic()
        if not self._stopping and now - self._asked >= _ASK_SECONDS:
            self._asked = now
            self._stopping = self._objects.has(f"{self._prefix}stop")
        return self._stopping

    def release(self) -> None:
        """Give the run free for others."""
        self._lock.release()


@contextlib.contextmanager
def _open_in_s3(store: S3Store, run_id: str) -> Iterator[OpenRun]:
    opened = _S3Run(store, run_id)
    try:
        yield opened
    finally:
        try:
            opened.publish(whole=True)
        finally:
            opened.release()
