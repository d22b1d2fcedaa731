"""One process per run id: a lock on a disk, and a lease in S3 that expires unless it is renewed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
import uuid
from typing import TYPE_CHECKING, BinaryIO

from trading_runtime.errors import LeaseLostError, StorageError, TransientError, UsageError
from trading_runtime.records.account import LeaseRecord, parse_lease
from trading_runtime.storage.files import open_lock, open_regular, storage_errors
from trading_runtime.storage.object_store import AGE_INEXACT_SECONDS
from trading_runtime.units import steady_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trading_runtime.records.run_files import RunFiles
    from trading_runtime.storage.object_store import ObjectStore


_ATTEMPTS = 3
_PAUSE_SECONDS = 0.02


@contextlib.contextmanager
def locked(files: RunFiles) -> Iterator[Callable[[], None]]:
    """Hold the run's lock; raises ``UsageError`` when another process has it.

    Yields a function that raises ``StorageError`` once the lock is no longer where it was taken:
    what is there then is not the run that this process holds.
    """
    with storage_errors(files.lock):
        files.folder.mkdir(parents=True, exist_ok=True)
        handle = open_lock(files.lock)
    with handle:
        if not _take(handle):
            raise UsageError(
                f"run {files.folder.name!r} is running already; wait for it, stop it with "
                f"'trading-runtime runs stop {files.folder.name}', or choose another --run-id"
            )
        yield lambda: _check_in_place(files, handle)


def _check_in_place(files: RunFiles, handle: BinaryIO) -> None:
    try:
        is_in_place = os.path.samestat(os.stat(files.lock), os.fstat(handle.fileno()))  # noqa: PTH116
    except OSError:
        is_in_place = False
    if not is_in_place:
        raise StorageError(
            f"{files.folder}: was removed, moved or replaced while the run was going on; nothing "
            f"more is stored of it: put it back, and give --run-id {files.folder.name} again"
        )


def _take(handle: BinaryIO) -> bool:
    """Try a few times: a process that only asks whether the run is locked holds it briefly."""
    for attempt in range(_ATTEMPTS):
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_PAUSE_SECONDS * (attempt < _ATTEMPTS - 1))
        else:
            return True
    return False


def is_locked(files: RunFiles) -> bool:
    """Return whether a process is running this run now."""
    try:
        with os.fdopen(open_regular(files.lock), "rb") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
    except OSError:
        pass
    return False


_LEASE_SECONDS = 120.0
"""How long a lease is valid without renewal; after that, its holder must have died."""
_RENEWALS = 6
"""How often it is renewed in this time."""


class Lease:
    """The lease of a run, held by this process and renewed by a thread until it is released.

    A thread renews it because a task, or reading all results, may take longer than the lease lasts.
    """

    def __init__(
        self, objects: ObjectStore, run_id: str, clock: Callable[[], float] = steady_seconds
    ) -> None:
        """Take the lease; raises ``UsageError`` when another process has it.

        ``clock`` is asked only how many seconds have gone by in this process.
        """
        self._objects = objects
        self._run_id = run_id
        self._name = lease_name(run_id)
        self._clock = clock
        self._holder = uuid.uuid4().hex
        self._until = 0.0
        self._renewals = 0
        self._lost = False
        self._is_gone = False
        self._changing = threading.Lock()
        self._version = self._take()
        self._released = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        self._thread.start()

    def confirm(self) -> None:
        """Renew the lease, and raise as ``check`` does unless this process holds it."""
        self.renew()
        self.check()

    def check(self) -> None:
        """Raise ``LeaseLostError`` unless this process holds the lease.

        An expired lease is renewed first. That fails if another process took it over, and raises
        ``TransientError`` if the storage cannot be reached. Raises ``StorageError`` when the lease
        was removed.
        """
        if not self._lost and self._clock() >= self._until:
            self.renew()
        if self._is_gone:
            raise StorageError(
                f"{self._objects.url}/runs/{self._run_id}: was removed, moved or replaced while "
                "the run was going on; nothing more is stored of it: put it back, and give "
                f"--run-id {self._run_id} again"
            )
        if self._lost:
            raise LeaseLostError(
                f"run {self._run_id!r}: another process has taken it over, because this one did "
                f"not renew its lease for {_LEASE_SECONDS:.0f} s; finished tasks are kept, nothing "
                "more was stored of the run: wait for the other process, or give --run-id "
                f"{self._run_id} again when it has ended"
            )

    def renew(self) -> None:
        """Renew the lease, if this process still holds it."""
        with self._changing:
            if self._lost:
                return
            until, content = self._new_content()
            version = self._objects.replace(self._name, content, self._version)
            if version is None:
                self._lost = True
                self._is_gone = not self._objects.has(self._name)
            else:
                self._version, self._until = version, until

    def release(self) -> None:
        """Release the run, unless another process has taken it over."""
        self._released.set()
        self._thread.join()
        # Once renewed, no other process takes it over before it is removed.
        self.renew()
        if not self._lost:
            self._objects.remove(self._name)

    def _take(self) -> str:
        """Write the lease and return its version."""
        self._until, content = self._new_content()
        version = self._objects.create(self._name, content)
        if version is None:
            there = read_lease(self._objects, self._name)
            if there is None:  # just released
                version = self._objects.create(self._name, content)
            elif _is_free(self._objects, self._name, there[0]):
                version = self._objects.replace(self._name, content, there[1])
        if version is None:
            raise UsageError(
                f"run {self._run_id!r} is running already; wait for it, stop it with "
                f"'trading-runtime runs stop {self._run_id}', or choose another --run-id"
            )
        return version

    def _keep(self) -> None:
        while not self._released.wait(_LEASE_SECONDS / _RENEWALS):
            # Storage may be away for a while; the next attempt comes before the lease expires.
            with contextlib.suppress(StorageError, TransientError):
                self.renew()

    def _new_content(self) -> tuple[float, bytes]:
        self._renewals += 1
        record = LeaseRecord(holder=self._holder, renewals=self._renewals)
        return self._clock() + _LEASE_SECONDS, record.to_json()


def lease_name(run_id: str) -> str:
    """Return the name of the object that is the lease of a run."""
    return f"runs/{run_id}/lock"


def is_leased(objects: ObjectStore, run_id: str) -> bool:
    """Return whether a process has the lease of a run now."""
    name = lease_name(run_id)
    there = read_lease(objects, name)
    return there is not None and not _is_free(objects, name, there[0])


def _is_free(objects: ObjectStore, name: str, there: LeaseRecord) -> bool:
    """Return whether a lease, as just read, has no holder, or was not renewed in time.

    Should it be renewed after it was read, the conditional write that takes it over fails.
    """
    if not there.holder:
        return True
    age = objects.age(name)
    return age is None or age >= _LEASE_SECONDS + AGE_INEXACT_SECONDS


def read_lease(objects: ObjectStore, name: str) -> tuple[LeaseRecord, str] | None:
    """Return a lease and its version; ``None`` without one."""
    try:
        content, version = objects.read_version(name)
    except FileNotFoundError:
        return None
    return parse_lease(content), version
