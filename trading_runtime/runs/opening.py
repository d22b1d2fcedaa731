"""Open a run for writing: its id, its files, its lock, its journal, its stop request.

Several processes may share a run. On disk they write into the run's folder itself. In S3 each has a
local folder, to which only the files it asks for are copied: a thousand pods that copied all
journals would make a million copies.
"""

from __future__ import annotations

import abc
import contextlib
import datetime as dt
import json
import os
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trading_runtime.errors import DataError, LeaseLostError, UsageError
from trading_runtime.records.journal import Journal, new_writer
from trading_runtime.records.metadata import read_metadata
from trading_runtime.records.run_files import RunFiles
from trading_runtime.runs.heartbeat import SILENT_SECONDS, has_pods
from trading_runtime.runs.lock import Lease, is_leased, is_locked, locked
from trading_runtime.runs.metadata import seal_again
from trading_runtime.storage.files import storage_errors
from trading_runtime.storage.object_store import version_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from trading_runtime.records.events import Event
    from trading_runtime.records.metadata import RunMetadata
    from trading_runtime.results.store import Store


_RUN_ID = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?")


def check_run_id(text: str) -> str:
    """Return ``text`` when it is a run id; raises ``UsageError`` otherwise."""
    if not _RUN_ID.fullmatch(text):
        raise UsageError(
            f"run id {text[:80]!r}: accepted are 1 to 63 lower-case letters, digits, '.' and '-', "
            "beginning and ending with a letter or digit"
        )
    return text


def new_run_id(experiment_name: str, now: dt.datetime, taken: set[str]) -> str:
    """Return an id from the experiment's name and the time that no run has yet."""
    stem = f"{experiment_name}-{now.astimezone(dt.UTC):%Y%m%dt%H%M%S}"
    numbered = (f"{stem}-{number}" for number in range(2, len(taken) + 3))
    return check_run_id(stem if stem not in taken else next(n for n in numbered if n not in taken))


class WorkingRun(abc.ABC):
    """The files of a run held by this process; in S3 they are copies, published as they grow."""

    seconds_between_questions = 3.0
    """Seconds between two checks of storage for a stop request; a disk is checked every time."""

    def __init__(self, store: Store, files: RunFiles) -> None:
        self.files = files
        self.store = store
        self._journals: list[Journal] = []
        self._unsent: list[Path] = []
        """Parts of the journals that have ended and are not stored yet."""
        self._asked = 0.0
        self._stopping = False

    def open_journal(self, name: str) -> Journal:
        """Open a new chain of the run's journal; its name begins with ``name``."""
        journal = Journal(self.files.journals, new_writer(name))
        self._journals.append(journal)
        return journal

    @abc.abstractmethod
    def check_held(self) -> None:
        """Raise when this process no longer holds the run."""

    def remove(self, path: Path) -> None:
        """Remove a file of the run; do nothing when there is none."""
        self.store.remove(path)

    def publish(self, *paths: Path) -> None:
        """Store files that this process wrote."""
        self.store.publish(*paths)

    @abc.abstractmethod
    def publish_when_due(self) -> None:
        """Let others see the run's progress, when it is due."""

    def stored_failures(self) -> list[Path]:
        """Return the failure files of the run, sorted; each has its content."""
        return sorted(self.files.failures.glob("*.json"))

    def stop_requested(self, *, brief: bool = False) -> bool:
        """Return whether ``runs stop`` asked the run to end.

        With ``brief`` a question that gets no answer soon raises, instead of being repeated.
        """
        now = time.monotonic()
        objects = self.store.objects
        if not self._stopping and now - self._asked >= objects.pause(
            self.seconds_between_questions
        ):
            asked = objects.brief() if brief else objects
            self._stopping = asked.has(self._name(self.files.stop))
            self._asked = now  # a question without an answer is asked again
        return self._stopping

    def end_parts(self) -> None:
        """Let later lines of the journals go to new files: those before can be published."""
        if self.store.copy.is_complete:
            return
        for journal in self._journals:
            if (part := journal.end_part()) is not None:
                self._unsent.append(part)

    def publish_parts(self) -> None:
        """Store the parts that have ended; one that could not be stored remains for next time."""
        for part in list(self._unsent):
            self.store.publish(part)
            with contextlib.suppress(ValueError):  # another thread has stored it meanwhile
                self._unsent.remove(part)

    def _publish_journals(self) -> None:
        self.end_parts()
        self.publish_parts()

    def _name(self, path: Path) -> str:
        """Return the name of a file in the store."""
        return path.relative_to(self.store.root).as_posix()


_FIRST_PUBLISH_SECONDS = 10.0
_MOST_PUBLISH_SECONDS = 60.0
"""Each publication makes an object: frequent enough to follow a pod, rare enough for a thousand."""


class SharedRun(WorkingRun):
    """The files of a run that several processes share; each has only some to itself."""

    seconds_between_questions = 5.0

    def __init__(self, store: Store, run_id: str) -> None:
        super().__init__(store, RunFiles(store.root / "runs" / run_id))
        self._published_at = 0.0
        self._publish_seconds = _FIRST_PUBLISH_SECONDS

    def check_held(self) -> None:
        """Do nothing: no process can lose a shared run."""

    def read(self, path: Path) -> bytes | None:
        """Return the content of a file of the run as stored now; ``None`` when there is none."""
        try:
            content = self.store.objects.read(self._name(path))
        except FileNotFoundError:
            return None
        self.store.copy.keep(self._name(path), content)
        return content

    def read_json(self, path: Path) -> Any:
        """Return a JSON file's content, ``None`` without one; ``DataError`` if it is damaged."""
        content = self.read(path)
        try:
            return None if content is None else json.loads(content)
        except ValueError as error:
            place = f"{self.store.objects.url}/{self._name(path)}"
            raise DataError(f"{place}: cannot be read: {error}") from error

    def metadata(self) -> RunMetadata | None:
        """Return the run's metadata as stored now; ``DataError`` if they are damaged."""
        self.read(self.files.metadata)
        return read_metadata(self.files)

    def failures(self) -> dict[str, Path]:
        """Return the failure files stored now, by task id; they are not fetched."""
        names = self.store.objects.sizes(f"{self._name(self.files.failures)}/")
        paths = [self.store.root / name for name in sorted(names)]
        return {path.stem: path for path in paths if path.suffix == ".json"}

    def stored_failures(self) -> list[Path]:
        """Return the failure files stored now, sorted; they are fetched."""
        paths = sorted(self.failures().values())
        for path in paths:
            self.read(path)
        return paths

    def publish_when_due(self, *, now: bool = False) -> None:
        """Store what this process wrote to its journals, when it is due or ``now``."""
        moment = time.monotonic()
        if now or moment - self._published_at >= self._publish_seconds:
            self._published_at = moment
            self._publish_seconds = min(2 * self._publish_seconds, _MOST_PUBLISH_SECONDS)
            self._publish_journals()


_PUBLISH_SECONDS = 10


@dataclass(frozen=True)
class Held:
    """Whether this process still holds a run; both raise when it does not."""

    check: Callable[[], None]
    """By what is known: in S3, a loss is known when the lease was to be renewed."""
    confirm: Callable[[], None]
    """By asking the storage."""


class OpenRun(WorkingRun):
    """A run that this process holds alone; in S3, others see it every few seconds."""

    _published = 0.0

    def __init__(self, store: Store, files: RunFiles, held: Held) -> None:
        """``held`` raises when this process no longer holds the run (see ``hold_run``)."""
        super().__init__(store, files)
        self._held = held
        self._version: str | None = None
        """Of the metadata, as this process last stored them."""

    def check_held(self) -> None:
        """Raise ``LeaseLostError`` or ``StorageError`` once this process has lost the run."""
        self._held.check()

    def remove(self, path: Path) -> None:
        """Remove a file of the run; raises ``LeaseLostError`` when the run is lost."""
        self.check_held()
        super().remove(path)

    def stop_requested(self, *, brief: bool = False) -> bool:
        """Return whether ``runs stop`` asked the run to end; raises when the run is lost."""
        self.check_held()
        return super().stop_requested(brief=brief)

    def publish(self, *paths: Path) -> None:
        """Store files that this process wrote; raises ``LeaseLostError`` when the run is lost."""
        self.check_held()
        super().publish(*(path for path in paths if path != self.files.metadata))
        if self.files.metadata in paths:
            self._publish_metadata()

    def _publish_metadata(self) -> None:
        """Store the metadata: the write that begins and ends a run, which no earlier holder makes.

        A process that was suspended after it had checked its lease finds here that others have
        written since.
        """
        path, objects = self.files.metadata, self.store.objects
        if self.store.copy.is_complete or not path.is_file():
            return
        name, content = self._name(path), path.read_bytes()
        version = self._version and objects.replace(name, content, self._version)
        if not version:
            # Not as this process left them: those of an earlier attempt, or of another holder.
            there = version_of(objects, name)
            self._held.confirm()
            if there is None:
                version = objects.create(name, content)
            else:
                version = objects.replace(name, content, there)
        if not version:
            raise LeaseLostError(
                f"run {self.files.folder.name!r}: another process has written its metadata "
                "meanwhile; nothing more was stored of the run"
            )
        self._version = version

    def publish_when_due(self) -> None:
        """Store metadata and journal when it is due.

        Raises ``LeaseLostError`` when another process has taken over the run.
        """
        self.check_held()
        if self.is_due():
            self.end_parts()
            self.publish_progress()

    def is_due(self) -> bool:
        """Return whether the run's progress is to be published, and count from now if it is."""
        now = time.monotonic()
        if now - self._published < _PUBLISH_SECONDS:
            return False
        self._published = now
        return True

    def publish_progress(self) -> None:
        """Store metadata, and the parts of journals that have ended."""
        self.check_held()
        self.publish_parts()
        self.publish(self.files.metadata, self.files.plan)

    def publish_all(self) -> None:
        """Store all files of the run; raises as ``publish_when_due`` does."""
        self._held.confirm()
        self._publish_journals()
        self.store.publish_all_but_metadata(self.files)
        self._publish_metadata()

    def gather(self) -> None:
        """Fetch the chains that others have written since, next to those of this process."""
        self.store.fetch(f"{self._name(self.files.journals)}/")


@contextlib.contextmanager
def acquire_run(store: Store, run_id: str) -> Iterator[OpenRun]:
    """Open a run of ``store``, new or to be resumed.

    Raises ``UsageError`` when another process holds it.
    """
    with hold_run(store, run_id) as held:
        opened = OpenRun(store, store.run(run_id), held)
        try:
            yield opened
        finally:
            opened.publish_all()


@contextlib.contextmanager
def hold_run(store: Store, run_id: str) -> Iterator[Held]:
    """Take a run for this process alone, and clear a stop request; nothing is published.

    What it yields raises ``LeaseLostError`` once another process has taken over the run, and
    ``StorageError`` once it is no longer in its place. Raises ``UsageError`` when
    another process holds the run, or pods work on it.
    """
    if not store.objects.has_file_locks:
        lease = Lease(store.objects, run_id)
        try:
            _refuse_pods(store, run_id)
            store.objects.remove(_stop_name(run_id))
            yield Held(lease.check, lease.confirm)
        finally:
            lease.release()
        return
    files = store.run(run_id)
    with locked(files) as check_lock:
        _refuse_pods(store, run_id)
        with storage_errors(files.folder):
            files.stop.unlink(missing_ok=True)
            _remove_unfinished(files)
        yield Held(check_lock, check_lock)


def _refuse_pods(store: Store, run_id: str) -> None:
    if has_pods(store.objects, run_id):
        raise UsageError(
            f"run {run_id!r} is running in pods, or was until {SILENT_SECONDS:.0f} s ago; wait for "
            f"it, stop it with 'trading-runtime runs stop {run_id}', or choose another --run-id"
        )


def _remove_unfinished(files: RunFiles) -> None:
    """Remove files that a killed process had not finished writing (see ``write_file``)."""
    for folder in (files.folder, files.failures, files.report_page.parent):
        for path in folder.glob(".*"):
            process = path.name.rpartition(".")[2]
            if process.isdigit() and not _is_alive(int(process)):
                path.unlink(missing_ok=True)


def _is_alive(process: int) -> bool:
    # This one has written nothing yet: in a container, process ids repeat.
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
    """Return whether a process holds the run now, or pods work on it."""
    return is_held(store, run_id) or has_pods(store.objects, run_id)


def is_held(store: Store, run_id: str) -> bool:
    """Return whether a process holds the run for itself alone now."""
    if not store.objects.has_file_locks:
        return is_leased(store.objects, run_id)
    return is_locked(store.run(run_id))


def request_stop(store: Store, run_id: str) -> None:
    """Ask the process that holds the run to end it."""
    store.objects.write(_stop_name(run_id), b"")


def _stop_name(run_id: str) -> str:
    return f"runs/{run_id}/stop"


def append_events(
    store: Store, run_id: str, name: str, *events: Event, changed: Sequence[Path] = ()
) -> None:
    """Append events to a run's journal, in a chain of their own whose name begins with ``name``.

    ``changed`` are files of the run that were written together with them. ``run_id`` has already
    been checked. A run in progress takes in the chain when it ends. Raises ``StorageError`` when
    nothing can be written.
    """
    files = store.run(run_id)
    with Journal(files.journals, new_writer(name)) as journal:
        for event in events:
            journal.write(event)
        store.publish_part(journal.end_part)
    seal_changes(store, run_id, *changed)


def seal_changes(store: Store, run_id: str, *changed: Path) -> None:
    """Add new chains of the journal, and files that ``changed``, to the sealed end of a run.

    A run in progress takes them in when it ends.
    """
    files = store.run(run_id)
    if not store.objects.has_file_locks:
        if not is_running(store, run_id):
            _seal(files, changed)
            store.publish(files.journal, files.metadata)
        return
    # The process that has the lock is running it.
    with contextlib.suppress(UsageError), locked(files):
        _seal(files, changed)


def _seal(files: RunFiles, changed: Sequence[Path]) -> None:
    # 'runs check' reports damaged metadata; the event is in its chain anyway.
    with contextlib.suppress(DataError):
        seal_again(files, *changed)
