"""The account of a deployment, stored with the results: one session holds it at a time.

    accounts/<deployment>/state.json    what it holds, as last saved
    accounts/<deployment>/lease.json    who has it, with a number that grows with each holder
    accounts/<venue>-<id>/lease.json    the same for an account at a venue

A lease says who may trade. On a disk a lock beside it ends with the process; in S3 a lease expires
unless it is renewed. A session that finds a larger number in it than its own has lost the account,
and sends nothing more. One that trades at a venue has two: the account there may be shared by
deployments, and its state is kept by the deployment's name.

Clocks of machines are set, and differ. So a holder counts by a clock that cannot be set, and a
session that wants another's lease waits to see that it is not renewed, whatever its time says.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import time
import uuid
from typing import TYPE_CHECKING

from trading_runtime.errors import DataError, LeaseLostError, UsageError
from trading_runtime.records.account import LeaseRecord, OtherFormatError, parse_account
from trading_runtime.records.instruments import InstrumentDefinition
from trading_runtime.records.journal import entries_of
from trading_runtime.records.session_events import OrderFilled
from trading_runtime.runs.lock import read_lease
from trading_runtime.storage.files import open_lock, storage_errors
from trading_runtime.storage.object_store import AGE_INEXACT_SECONDS
from trading_runtime.units import steady_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from trading_runtime.records.account import AccountState
    from trading_runtime.records.journal import JournalEntry
    from trading_runtime.results.store import Store

_LEASE_SECONDS = 18.0
_RENEW_SECONDS = 3.0
"""So early that both leases last longer than the storage may be silent, even if each was answered
late: until then, orders are cancelled by the one who may."""
_RELEASES = 3
"""How often a lease is released: once, and again after each renewal that came in between."""
_WAIT_SECONDS = 1.0
_CHECK_SECONDS = 0.5


def encoded(saved: Mapping[str, bytes]) -> dict[str, str]:
    """Return what a strategy saved, in its stored form."""
    return {key: base64.b64encode(value).decode() for key, value in saved.items()}


class _Lease:
    """Says which session has a place below ``accounts``: a deployment's name, or an account."""

    def __init__(self, store: Store, place: str, taken: Callable[[str | None], UsageError]) -> None:
        """``taken`` makes the error for a place that a session has."""
        self.place = place
        self._objects, self._brief = store.objects, store.objects.brief()
        self._name = f"accounts/{place}/lease.json"
        self._path = store.root / "accounts" / place / "lock"
        self._taken = taken
        self._expires = not store.objects.has_file_locks
        self._token = 0
        self._holder = uuid.uuid4().hex
        self._session = self._version = ""
        self._renewed = 0.0

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold a lock on the disk, which ends with the process: nobody waits after ``kill -9``."""
        with storage_errors(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            handle = open_lock(self._path)
        with handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise self._taken_now() from error
            yield

    def free(self) -> tuple[LeaseRecord, str] | None:
        """Return the lease once it is free; raises ``UsageError`` when its holder renews it.

        Its holder may send orders until ``_LEASE_SECONDS`` after the last renewal. This machine's
        clock may differ from the holder's, so the storage says how long ago that was.
        """
        there = self.read()
        if there is None or not self._expires:
            return there
        lease, version = there
        age = self._objects.age(self._name) if lease.until else None
        unrenewed = max((age or 0.0) - AGE_INEXACT_SECONDS, 0.0)
        deadline = steady_seconds() + _LEASE_SECONDS - unrenewed
        while lease.until:
            if steady_seconds() > deadline:
                break
            time.sleep(_CHECK_SECONDS)
            there = self.read()
            if there is None:
                return None
            if there[1] != version and there[0].until:
                raise self._taken(there[0].session)
            lease, version = there
        return lease, version

    def take(self, session: str, there: tuple[LeaseRecord, str] | None) -> None:
        """Take the lease, which was found free; raises ``UsageError`` if another was faster."""
        self._session = session
        self._token = 1 if there is None else (there[0].token or 0) + 1
        self._renewed = steady_seconds()
        content = self._content(_LEASE_SECONDS)
        if there is None:
            version = self._objects.create(self._name, content)
        else:
            version = self._objects.replace(self._name, content, there[1])
        if version is None:
            raise self._taken_now()
        self._version = version

    def release(self) -> None:
        """Leave the place to the next session; a renewal may be under way in another thread."""
        for _ in range(_RELEASES):
            if self._objects.replace(self._name, self._content(None), self._version):
                return
            there = self.read()
            if there is None or not self._is_ours(there[0]):
                return
            self._version = there[1]

    def check(self, now: float) -> None:
        """Raise ``LeaseLostError`` when another session has it; renew it when that is due."""
        if self._expires and now - self._renewed > _RENEW_SECONDS:
            content = self._content(_LEASE_SECONDS)
            version = self._brief.replace(self._name, content, self._version)
            if version is not None:
                self._renewed, self._version = now, version
                return
        there = read_lease(self._brief, self._name)
        if there is None:
            raise LeaseLostError(
                f"the lease on the account of {self.place!r} is gone: another session may take it, "
                "and this one sends nothing more"
            )
        if not self._is_ours(there[0]):
            taker = there[0].session
            raise LeaseLostError(
                f"session {taker!r} has taken the account of {self.place!r}: this one sends "
                "nothing more"
            )
        self._version = there[1]

    @property
    def is_expired(self) -> bool:
        """Whether another session may have it by now."""
        return self._expires and steady_seconds() - self._renewed > _LEASE_SECONDS

    def read(self) -> tuple[LeaseRecord, str] | None:
        """Return the lease as it is in the storage, and its version; ``None`` without one."""
        return read_lease(self._objects, self._name)

    def _is_ours(self, lease: LeaseRecord) -> bool:
        return (lease.token, lease.holder) == (self._token, self._holder)

    def _taken_now(self) -> UsageError:
        there = self.read()
        return self._taken(there[0].session if there is not None and there[0].until else None)

    def _content(self, seconds: float | None) -> bytes:
        """Return the lease, held for so many seconds, or released."""
        return LeaseRecord(
            token=self._token,
            holder=self._holder,
            session=self._session,
            until=0.0 if seconds is None else time.time() + seconds,
        ).to_json()


class SessionAccount:
    """The account of one deployment."""

    def __init__(self, store: Store, name: str, at_venue: str | None = None) -> None:
        """``at_venue`` names an account at a venue, which deployments may share: one at a time."""
        self._store = store
        self.name = name
        self._state = f"accounts/{name}/state.json"
        self._instruments = f"accounts/{name}/instruments.json"
        self._leases = [_Lease(store, name, self._name_taken)]
        if at_venue is not None and at_venue != name:
            self._leases.insert(0, _Lease(store, at_venue, self._account_taken))
        self._expires = not store.objects.has_file_locks
        self._checked = 0.0
        self._is_leaving = False

    @contextlib.contextmanager
    def held(self, session: str, patience: float = 0.0) -> Iterator[None]:
        """Take the account for ``session``; raises ``UsageError`` when another session has it.

        With ``patience``, another session may take so many seconds to leave it.
        """
        with contextlib.ExitStack() as leaving:
            deadline = steady_seconds() + patience
            while True:
                try:
                    with contextlib.ExitStack() as taking:
                        self._take(session, taking)
                        leaving.push(taking.pop_all())
                    break
                except UsageError:
                    if steady_seconds() > deadline:
                        raise
                    time.sleep(_WAIT_SECONDS)
            try:
                yield
            finally:
                self.release()

    def _take(self, session: str, leaving: contextlib.ExitStack) -> None:
        if self._store.objects.has_file_locks:
            for lease in self._leases:
                leaving.enter_context(lease.locked())
        # Before one is taken: to see that the other is free may take longer than it lasts.
        found = [lease.free() for lease in self._leases]
        with contextlib.ExitStack() as taken:
            for lease, there in zip(self._leases, found, strict=True):
                lease.take(session, there)
                taken.callback(lease.release)
            taken.pop_all()

    def release(self) -> None:
        """Leave the account to the next session; nothing is sent from here on.

        A renewal may be under way in another thread, but none begins from here on.
        """
        self._is_leaving = True
        with contextlib.ExitStack() as released:
            # One that cannot be released keeps no other.
            for lease in self._leases:
                released.callback(lease.release)

    def check(self) -> None:
        """Raise ``LeaseLostError`` when another session has since taken the account.

        The storage is asked every half second at most, and a renewal, which succeeds only for the
        holder, counts as a look. In between ``fence`` holds. Raises ``TransientError`` when the
        storage does not answer soon.
        """
        now = steady_seconds()
        if now - self._checked < _CHECK_SECONDS:
            return
        self._refuse_leaving()
        for lease in self._leases:
            lease.check(now)
        self._checked = now

    def fence(self) -> None:
        """Raise ``LeaseLostError`` when another session may have taken the account by now.

        Asked before each order, it reads only the clock: this process may have been suspended.
        """
        if self._is_leaving:
            self._refuse_leaving()
        if self._expires and self._is_expired():
            raise LeaseLostError(
                f"the lease on the account of {self.name!r} was not renewed in "
                f"{_LEASE_SECONDS:.0f} s: another session may have it, and this one sends nothing "
                "more"
            )

    def _refuse_leaving(self) -> None:
        if self._is_leaving:
            raise LeaseLostError(
                f"the account of {self.name!r} was left to the next session: this one sends "
                "nothing more"
            )

    def _is_expired(self) -> bool:
        return any(lease.is_expired for lease in self._leases)

    def read(self) -> AccountState | None:
        """Return what the account holds, ``None`` when it has no history.

        ``entries`` returns what the last session wrote into its journal, some of it after saving
        the state. Raises ``DataError`` when the file is damaged, or another version wrote it.
        """
        try:
            return parse_account(self._store.objects.read(self._state))
        except FileNotFoundError:
            return None
        except OtherFormatError as error:
            raise DataError(
                f"{self._store.place}/{self._state}: {error}; continue with the version that wrote "
                "it, or start over with 'trade --fresh'"
            ) from error
        except (ValueError, RecursionError) as error:
            raise self._damaged(self._state, error) from error

    def write(self, state: AccountState) -> None:
        """Save what the account holds, atomically.

        Raises as ``check`` does when the lease has run out: what is saved late must not replace
        what another session has saved since.
        """
        self._refuse_leaving()
        if self._is_expired():
            self.check()
        self._store.objects.write(self._state, state.to_json())

    def write_instruments(self, definitions: Sequence[InstrumentDefinition]) -> None:
        """Keep the definitions of instruments that no dataset has."""
        content = json.dumps([item.content for item in definitions]).encode() + b"\n"
        self._store.objects.write(self._instruments, content)

    def instruments(self) -> list[InstrumentDefinition]:
        """Return these definitions; raises ``DataError`` when they are damaged."""
        try:
            content = json.loads(self._store.objects.read(self._instruments))
            return [InstrumentDefinition.from_document(item) for item in content]
        except FileNotFoundError:
            return []
        except (ValueError, TypeError) as error:
            raise self._damaged(self._instruments, error) from error

    def _damaged(self, name: str, error: Exception) -> DataError:
        return DataError(
            f"{self._store.place}/{name}: damaged: {error}; look at it, then start over with "
            "'trade --fresh'"
        )

    def entries(self, state: AccountState) -> list[JournalEntry]:
        """Return what the session that saved ``state`` wrote into its journal."""
        files = self._store.run(state.session)
        return without_repeated_fills(entries_of(files.journals, "session-"))

    def _account_taken(self, session: str | None) -> UsageError:
        return UsageError(
            f"the account of {self._leases[0].place!r} is in use by {_named(session)}: one session "
            "trades it at a time; stop that one first, or give the deployment another account"
        )

    def _name_taken(self, session: str | None) -> UsageError:
        return UsageError(
            f"the account of {self.name!r} is in use by {_named(session)}: one session of a "
            "deployment's name runs at a time; stop that one first, or give the deployment another "
            "name"
        )


def _named(session: str | None) -> str:
    return "another session" if session is None else f"session {session!r}"


def without_repeated_fills(entries: Iterable[JournalEntry]) -> list[JournalEntry]:
    """Return lines of journals without those of fills that were reported before."""
    seen: set[tuple[str, str]] = set()
    found = []
    for entry in entries:
        filled = entry.as_event(OrderFilled)
        if filled is not None:
            fill = filled.order_id, filled.trade_id
            if fill in seen:
                continue
            seen.add(fill)
        found.append(entry)
    return found
