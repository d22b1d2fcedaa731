"""The account of a deployment, stored with the results: one session holds it at a time.

    accounts/<deployment>/state.json    what it holds, as last saved
    accounts/<deployment>/lease.json    who has it, with a number that grows with each holder

A lease says who may trade. On a disk the lock ends with the process; in S3 a lease expires unless
it is renewed. A session that finds a larger number in it than its own has lost the account, and
sends nothing more.

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
from trading_runtime.records.account import LeaseRecord, parse_account
from trading_runtime.records.instruments import InstrumentDefinition
from trading_runtime.records.journal import entries_of
from trading_runtime.records.session_events import OrderFilled
from trading_runtime.runs.lock import read_lease
from trading_runtime.storage.files import open_lock, storage_errors
from trading_runtime.storage.object_store import AGE_INEXACT_SECONDS
from trading_runtime.units import steady_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from trading_runtime.records.account import AccountState
    from trading_runtime.records.journal import JournalEntry
    from trading_runtime.results.store import Store

_LEASE_SECONDS = 15.0
_RELEASES = 3
"""How often a lease is released: once, and again after each renewal that came in between."""
_WAIT_SECONDS = 1.0
_CHECK_SECONDS = 0.5


def encoded(saved: Mapping[str, bytes]) -> dict[str, str]:
    """Return what a strategy saved, in its stored form."""
    return {key: base64.b64encode(value).decode() for key, value in saved.items()}


class SessionAccount:
    """The account of one deployment."""

    def __init__(self, store: Store, name: str, at_venue: str | None = None) -> None:
        """``at_venue`` names an account at a venue, which deployments may share: one at a time."""
        self._store = store
        self._brief = store.objects.brief()
        self.name = name
        self._place = at_venue or name
        self._state = f"accounts/{name}/state.json"
        self._instruments = f"accounts/{name}/instruments.json"
        self._lease = f"accounts/{self._place}/lease.json"
        self._token = 0
        self._holder = uuid.uuid4().hex
        self._session = self._version = ""
        self._renewed = self._checked = 0.0
        self._is_leaving = False
        self._expires = not store.objects.has_file_locks

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
        if not self._expires:
            # It ends with the process: after 'kill -9' no one has to wait for a lease to expire.
            leaving.enter_context(self._locked(self._place))
            if self._place != self.name:
                # Its state is kept by the deployment's name.
                leaving.enter_context(self._locked(self.name))
        there = self._read_lease()
        if self._expires and there is not None:
            there = self._watched(*there)
        self._session = session
        self._token = 1 if there is None else (there[0].token or 0) + 1
        self._renewed = steady_seconds()
        content = self._content(_LEASE_SECONDS)
        if there is None:
            version = self._store.objects.create(self._lease, content)
        else:
            version = self._store.objects.replace(self._lease, content, there[1])
        if version is None:  # another was faster
            raise self._taken_by_lease()
        self._version = version

    def _watched(self, lease: LeaseRecord, version: str) -> tuple[LeaseRecord, str] | None:
        """Return the lease once it is free; raises ``UsageError`` when its holder renews it.

        Its holder may send orders until ``_LEASE_SECONDS`` after the last renewal. This machine's
        clock may differ from the holder's, so the storage says how long ago that was.
        """
        age = self._store.objects.age(self._lease) if lease.until else None
        unrenewed = max((age or 0.0) - AGE_INEXACT_SECONDS, 0.0)
        deadline = steady_seconds() + _LEASE_SECONDS - unrenewed
        while lease.until:
            if steady_seconds() > deadline:
                break
            time.sleep(_CHECK_SECONDS)
            there = self._read_lease()
            if there is None:
                return None
            if there[1] != version and there[0].until:
                raise self._taken(there[0].session)
            lease, version = there
        return lease, version

    def release(self) -> None:
        """Leave the account to the next session; nothing is sent from here on.

        A renewal may be under way in another thread, but none begins from here on.
        """
        self._is_leaving = True
        for _ in range(_RELEASES):
            if self._store.objects.replace(self._lease, self._content(None), self._version):
                return
            there = self._read_lease()
            if there is None or not self._is_ours(there[0]):
                return
            self._version = there[1]

    def _is_ours(self, lease: LeaseRecord) -> bool:
        return (lease.token, lease.holder) == (self._token, self._holder)

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
        if now - self._renewed > _LEASE_SECONDS / 3:
            content = self._content(_LEASE_SECONDS)
            version = self._brief.replace(self._lease, content, self._version)
            if version is not None:
                self._checked = self._renewed = now
                self._version = version
                return
        there = read_lease(self._brief, self._lease)
        if there is None or not self._is_ours(there[0]):
            taker = None if there is None else there[0].session
            raise LeaseLostError(
                f"session {taker!r} has taken the account of {self.name!r}: this "
                "one sends nothing more"
            )
        self._checked, self._version = now, there[1]

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
        return self._expires and steady_seconds() - self._renewed > _LEASE_SECONDS

    def read(self) -> AccountState | None:
        """Return what the account holds, ``None`` when it has no history.

        ``entries`` returns what the last session wrote into its journal, some of it after saving
        the state. Raises ``DataError`` when the file is damaged.
        """
        try:
            return parse_account(self._store.objects.read(self._state))
        except FileNotFoundError:
            return None
        except ValueError as error:
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

    def _locked(self, place: str) -> contextlib.AbstractContextManager[None]:
        taken = self._taken_by_lease if place == self._place else self._taken_by_name
        return _file_lock(self._store.root / "accounts" / place / "lock", taken)

    def _taken_by_name(self) -> UsageError:
        return UsageError(
            f"another session of a deployment named {self.name!r} is running: stop that one first, "
            "or give the deployment another name"
        )

    def _taken_by_lease(self) -> UsageError:
        there = self._read_lease()
        if self._place == self.name and (there is None or not there[0].until):
            return self._taken_by_name()  # it trades at a venue
        return self._taken(None if there is None else there[0].session)

    def _taken(self, session: str | None) -> UsageError:
        return UsageError(
            f"the account of {self._place!r} is in use by session {session!r}: one session trades "
            "it at a time; stop that one first, or give the deployment another "
            f"{'name' if self._place == self.name else 'account'}"
        )

    def _read_lease(self) -> tuple[LeaseRecord, str] | None:
        return read_lease(self._store.objects, self._lease)

    def _content(self, seconds: float | None) -> bytes:
        """Return the lease, held for so many seconds, or released."""
        return LeaseRecord(
            token=self._token,
            holder=self._holder,
            session=self._session,
            until=0.0 if seconds is None else time.time() + seconds,
        ).to_json()


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


@contextlib.contextmanager
def _file_lock(path: Path, taken: Callable[[], UsageError]) -> Iterator[None]:
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = open_lock(path)
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise taken() from error
        yield
