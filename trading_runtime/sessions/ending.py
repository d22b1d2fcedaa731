"""Why a session ends: reasons are looked for several times a second, and the first one counts."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trading_runtime.config.sizes import parse_size
from trading_runtime.engine.live.arriving import ArrivingData
from trading_runtime.errors import (
    CrashError,
    DiffersError,
    KilledError,
    Kind,
    TransientError,
    kind_of_error,
)
from trading_runtime.execution.workers.memory import resident_bytes

if TYPE_CHECKING:
    import asyncio

    from trading_runtime.config.deployment import Deployment
    from trading_runtime.engine.live.node import PaperNode
    from trading_runtime.engine.live.replay import DataReplay
    from trading_runtime.sessions.recording import SessionRecords
    from trading_runtime.sessions.storing import SessionStorage
    from trading_runtime.sessions.watching import HealthWatch


@dataclass(frozen=True)
class Ending:
    """Why a session ends."""

    kind: Kind
    why: str
    error: BaseException | None = None

    @property
    def is_orderly(self) -> bool:
        """Whether the data ended, or the end was asked for."""
        return self.kind in {Kind.OK, Kind.STOPPED}

    @classmethod
    def of(cls, error: BaseException) -> Ending:
        """Return the ending for an error."""
        return cls(kind_of_error(error), str(error), error)


@dataclass
class Reasons:
    """The reasons to end one session, of which the first counts."""

    deployment: Deployment
    records: SessionRecords
    node: PaperNode
    data: DataReplay | ArrivingData
    storage: SessionStorage
    watch: HealthWatch
    received: int | None = None
    """The signal that stopped it."""
    is_connected: bool = False
    ending: Ending | None = None

    def note(self, ending: Ending) -> None:
        """Take a reason, unless there is one already."""
        if self.ending is None:
            self.ending = ending

    def look(self, running: asyncio.Future[None]) -> bool:
        """Record the first reason to end the session, if there is one."""
        if self.ending is None:
            for reason in (
                self._own_error,
                self._failure,
                self._kill_switch,
                self._lost_account,
                self._lost_venue,
                self._request,
                self._memory,
            ):
                if (found := reason()) is not None:
                    self.note(found)
                    break
            else:
                if running.done():
                    self.note(self._node_ended(running.exception()))
        return self.ending is not None

    def _node_ended(self, error: BaseException | None) -> Ending:
        if error is None:
            return Ending(Kind.INTERNAL, "the engine's node ended unexpectedly")
        if not isinstance(self.data, ArrivingData) or self.is_connected:
            return Ending.of(error)
        if "reconcil" in str(error).lower():
            return Ending.of(DiffersError(f"the engine could not reconcile: {error}"))
        return Ending.of(TransientError(f"the venue did not answer: {error}"))

    def _own_error(self) -> Ending | None:
        return None if self.records.error is None else Ending.of(self.records.error)

    def _failure(self) -> Ending | None:
        error = self.node.failures.as_error()
        return None if error is None else Ending.of(error)

    def _kill_switch(self) -> Ending | None:
        try:
            if not self.storage.killed():
                return None
            by = self.storage.killed_by
            message = f"the kill switch is {'on' if by is None else by.shown}"
        except Exception as error:  # noqa: BLE001 - a switch that cannot be read counts as on
            message = f"the kill switch cannot be read, and so counts as on: {error}"
        return Ending.of(KilledError(message))

    def _lost_account(self) -> Ending | None:
        try:
            self.storage.held()
            self.storage.outbox.check()
        except Exception as error:  # noqa: BLE001 - an account that cannot be read is lost
            return Ending.of(error)
        return None

    def _lost_venue(self) -> Ending | None:
        error = self.watch.error()
        return None if error is None else Ending.of(error)

    def _request(self) -> Ending | None:
        if self.received is not None:
            return Ending(Kind.STOPPED, f"signal {signal.Signals(self.received).name}")
        try:
            is_wanted = self.storage.stop_requested()
        except Exception as error:  # noqa: BLE001 - a run whose place cannot be read is lost
            return Ending.of(error)
        if is_wanted:
            return Ending(Kind.STOPPED, "'runs stop' asked for it")
        return None

    def _memory(self) -> Ending | None:
        limit = self.deployment.limits.memory
        if limit is None:
            return None
        most, used = parse_size(limit), resident_bytes(os.getpid())
        if used <= most:
            return None
        return Ending.of(
            CrashError(f"the session has {used:,} bytes of memory, above limits.memory ({limit})")
        )
