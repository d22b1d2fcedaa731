"""One session: a strategy that trades in this process until it is stopped, and what it leaves."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from dataclasses import dataclass, field
from decimal import Context, Decimal, localcontext
from typing import TYPE_CHECKING, Any

from trading_runtime.config.sizes import parse_size
from trading_runtime.control.kill_switch import KillSwitch, KillWatch
from trading_runtime.engine.live.node import PaperNode
from trading_runtime.engine.live.replay import DataReplay
from trading_runtime.engine.strategy.loading import imported_strategy, refuse_foreign_modules
from trading_runtime.errors import (
    CrashError,
    DataError,
    KilledError,
    Kind,
    StoppedError,
    StorageError,
    TradingRuntimeError,
    TransientError,
)
from trading_runtime.execution.lifecycle import begin_run, record_error, recorded, summarise_run
from trading_runtime.execution.workers.memory import resident_bytes
from trading_runtime.records import session_events as events
from trading_runtime.records.events import (
    ExecutorKind,
    Mode,
    RunInitialised,
)
from trading_runtime.results.artifacts import result_files, table_bytes, task_summary
from trading_runtime.runs.opening import acquire_run
from trading_runtime.runs.rates import write_metrics
from trading_runtime.runs.run_events import completion
from trading_runtime.sessions.preparation import cut_window
from trading_runtime.sessions.recording import SessionRecords
from trading_runtime.storage.files import write_file
from trading_runtime.units import format_instant, parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable

    from trading_runtime.records.journal import Journal
    from trading_runtime.records.plan import Plan
    from trading_runtime.records.run_files import RunFiles
    from trading_runtime.runs.metadata import Metadata
    from trading_runtime.runs.opening import OpenRun
    from trading_runtime.sessions.preparation import PreparedSession, SessionWindow

_LOOK_SECONDS = 0.2
_CONNECT_SECONDS = 30.0
_SETTLE_SECONDS = 5.0
_FLUSH_SECONDS = 30.0
_SECOND = 1_000_000_000


@dataclass(frozen=True)
class Ending:
    """Why a session comes to its end."""

    kind: Kind
    why: str
    error: BaseException | None = None

    @property
    def is_orderly(self) -> bool:
        """Whether it was played to its end, or somebody asked for it."""
        return self.kind in {Kind.OK, Kind.STOPPED}


@dataclass(frozen=True)
class SessionOutcome:
    """How a session ended."""

    run_id: str
    files: RunFiles
    ending: Ending
    rows: int
    orders: int
    fills: int
    seconds: float
    result: dict[str, Any] | None = None
    """The content of ``result.json``; none when no row came."""


@dataclass
class Session:
    """A prepared deployment, under one run id."""

    prepared: PreparedSession
    run_id: str
    stop_signals: tuple[int, ...] = (signal.SIGINT, signal.SIGTERM)
    received: int | None = None
    """The signal that stopped it."""
    _opened: OpenRun = field(init=False)
    _files: RunFiles = field(init=False)
    _records: SessionRecords = field(init=False)
    _window: SessionWindow = field(init=False)
    _node: PaperNode = field(init=False)
    _replay: DataReplay = field(init=False)
    _killed: KillWatch = field(init=False)
    _wanted: asyncio.Event = field(init=False)
    _ending: Ending | None = None
    _stale: dict[str, float] = field(default_factory=dict)
    _seen: dict[str, tuple[int, float]] = field(default_factory=dict)
    _connected: bool = False

    def execute(self) -> SessionOutcome:
        """Trade until the data ends, somebody stops it, or something fails.

        Raises ``UsageError`` when the id is running or taken, ``KilledError`` when the kill switch
        is on. How it ended otherwise is in what it returns.
        """
        prepared, started = self.prepared, time.monotonic()
        KillSwitch(prepared.store).refuse_start(self.run_id)
        self._killed = KillWatch(prepared.store, self.run_id)
        plan = prepared.plan(self.run_id)
        with acquire_run(prepared.store, self.run_id) as self._opened:
            self._files = files = self._opened.files
            metadata = begin_run(
                files,
                prepared.as_run(plan),
                self.run_id,
                ExecutorKind.LOCAL,
                mode=Mode(prepared.deployment.mode),
            )
            write_file(files.deployment, prepared.explicit_deployment())
            with self._opened.open_journal("session") as journal:
                self._records = SessionRecords(journal)
                journal.write(RunInitialised(run_id=self.run_id, mode=metadata.content["mode"]))
                with recorded(self._opened, metadata, journal):
                    ending, result = self._lived(plan, metadata, journal, started)
            return SessionOutcome(
                self.run_id,
                files,
                ending,
                self._replay.rows,
                self._records.orders,
                self._records.fills,
                time.monotonic() - started,
                result,
            )

    def _lived(
        self, plan: Plan, metadata: Metadata, journal: Journal, started: float
    ) -> tuple[Ending, dict[str, Any] | None]:
        prepared = self.prepared
        common = plan.common.content
        with (
            localcontext(Context()),
            cut_window(plan, prepared.loaded.dataset_place) as self._window,
            imported_strategy(
                prepared.code, common["strategy"]["config_path"], common["seed"]
            ) as loaded,
        ):
            deployment = prepared.deployment
            self._replay = DataReplay(
                self._window.inputs, self._window.catalog, deployment.data.pace
            )
            balances = common["venue"]["balances"]
            journal.write(
                events.SessionStarted(
                    deployment=deployment.name,
                    mode=Mode(deployment.mode),
                    data=f"replay {deployment.data.pace}",
                    balances=balances,
                )
            )
            self._node = PaperNode(
                self._window.inputs, loaded, self._replay, self._records, balances
            )
            self._records.now = lambda: self._replay.now(self._node.cache)
            try:
                asyncio.run(self._life(started))
                ending = self._ended()
                self._node.logged_failure()
                if ending.is_orderly:
                    refuse_foreign_modules(loaded, common["packages"])
                result = self._left(metadata, started) if self._replay.rows else None
                self._tell_end(ending, metadata, journal, result)
            finally:
                self._node.dispose()
        return ending, result

    async def _life(self, started: float) -> None:
        self._wanted = asyncio.Event()
        node, loop = self._node, asyncio.get_running_loop()
        node.failures.stop_engine = self._wanted.set
        with self._signals(loop):
            running = asyncio.ensure_future(node.run())
            try:
                if await self._connect(running, started):
                    await self._trade(running)
                    await self._end(running)
            finally:
                node.stop()
                try:
                    await running
                except Exception as error:  # noqa: BLE001 - it is how the session ended
                    self._note(Ending(Kind.INTERNAL, f"{type(error).__name__}: {error}", error))

    @contextlib.contextmanager
    def _signals(self, loop: asyncio.AbstractEventLoop) -> Any:
        def receive(number: int) -> None:
            self.received = self.received or number
            self._wanted.set()

        for number in self.stop_signals:
            loop.add_signal_handler(number, receive, number)
        try:
            yield
        finally:
            for number in self.stop_signals:
                loop.remove_signal_handler(number)

    async def _connect(self, running: asyncio.Future[None], started: float) -> bool:
        """Wait until a mark comes through the node; return whether it does."""
        deadline = time.monotonic() + _CONNECT_SECONDS
        while not self._node.handle.is_running:
            if running.done() or self._look_for_ending(running):
                return False
            if time.monotonic() > deadline:
                message = f"not connected after {_CONNECT_SECONDS:.0f} s"
                self._note(Ending(Kind.TRANSIENT, message, TransientError(message)))
                return False
            await asyncio.sleep(0.01)
        passed = asyncio.ensure_future(self._replay.pass_mark())
        both: set[asyncio.Future[None]] = {passed, running}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if not passed.done():
            passed.cancel()
            self._look_for_ending(running)
            return False
        self._connected = True
        seconds = round(time.monotonic() - started, 3)
        self._records.write(events.SessionConnected(seconds=seconds))
        return True

    async def _trade(self, running: asyncio.Future[None]) -> None:
        """Let rows come until there is a reason to end; look for one several times a second."""
        playing: asyncio.Future[None] = asyncio.ensure_future(self._replay.play())
        limits = self.prepared.deployment.limits
        heartbeat = parse_duration(limits.heartbeat) / _SECOND
        beaten = flushed = time.monotonic()
        for each in (playing, running):
            each.add_done_callback(lambda _ended: self._wanted.set())
        while not self._look_for_ending(running) and not playing.done():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wanted.wait(), _LOOK_SECONDS)
            self._wanted.clear()
            now = time.monotonic()
            self._look_at_data(now)
            if now - beaten >= heartbeat:
                beaten = now
                self._beat()
            if now - flushed >= _FLUSH_SECONDS:
                flushed = now
                self._flush()
        if self._ending is not None and not self._ending.is_orderly:
            self._halt()
        self._replay.stop()
        if not running.done():
            await asyncio.wait({playing, running}, return_when=asyncio.FIRST_COMPLETED)
        if playing.done() and playing.exception() is not None:
            error = playing.exception()
            self._note(Ending(_kind_of(error), str(error), error))
        if not self._look_for_ending(running):
            self._note(Ending(Kind.OK, "the data came to its end"))

    def _look_for_ending(self, running: asyncio.Future[None]) -> bool:
        """Note the first reason to end the session, if there is one."""
        if self._ending is not None:
            return True
        failures = self._node.failures
        if self._records.error is not None:
            error = self._records.error
            self._note(Ending(_kind_of(error), str(error), error))
        elif failures.message is not None:
            failed = failures.as_error()
            self._note(Ending(_kind_of(failed), str(failed), failed))
        elif (killed := self._kill_switch()) is not None:
            self._note(killed)
        elif self.received is not None:
            self._note(Ending(Kind.STOPPED, f"signal {signal.Signals(self.received).name}"))
        elif self._opened.stop_requested():
            self._note(Ending(Kind.STOPPED, "'runs stop' asked for it"))
        elif (full := self._memory()) is not None:
            self._note(full)
        elif running.done():
            self._note(Ending(Kind.INTERNAL, "the engine's node ended by itself"))
        return self._ending is not None

    def _kill_switch(self) -> Ending | None:
        try:
            if not self._killed():
                return None
            message = f"the kill switch is {self._killed.switched.shown}"  # type: ignore[union-attr]
        except (StorageError, TransientError, OSError) as error:
            # A switch that nobody can see is on.
            message = f"the kill switch cannot be read, and so counts as on: {error}"
        return Ending(Kind.KILLED, message, KilledError(message))

    def _memory(self) -> Ending | None:
        limit = self.prepared.deployment.limits.memory
        if limit is None:
            return None
        most, used = parse_size(limit), resident_bytes(os.getpid())
        if used <= most:
            return None
        message = f"the session has {used:,} bytes of memory, more than limits.memory ({limit})"
        return Ending(Kind.CRASH, message, CrashError(message))

    def _look_at_data(self, now: float) -> None:
        """Hold back the orders in instruments that no data comes of."""
        longest = self.prepared.deployment.stale_after
        if longest is None:
            return
        seconds = parse_duration(longest) / _SECOND
        for name, newest in self._node.newest_rows().items():
            seen, since = self._seen.get(name, (0, now))
            if newest != seen or name not in self._seen:
                self._seen[name] = newest, now
                if name in self._stale:
                    silent = round(now - self._stale.pop(name), 3)
                    self._node.open_instrument(name)
                    self._records.write(events.DataRecovered(instrument=name, seconds=silent))
            elif now - since > seconds and name not in self._stale:
                self._stale[name] = since
                self._node.close_instrument(name, f"no data for {now - since:.1f} s")
                silent = round(now - since, 3)
                self._records.write(events.DataStale(instrument=name, seconds=silent))

    def _halt(self) -> None:
        ending = self._ending
        if ending is not None and not self._node.guard.halted:
            self._node.halt()
            self._records.write(events.SessionHalted(why=ending.why, kind=ending.kind))

    async def _end(self, running: asyncio.Future[None]) -> None:
        """Leave the account as the deployment says."""
        ending, deployment = self._ended(), self.prepared.deployment
        if running.done():
            return
        node = self._node
        await self._settled(lambda: node.is_quiet)
        if ending.is_orderly:
            cancels = deployment.on_stop != "hold"
            flattens = deployment.on_stop == "flatten"
        else:
            cancels, flattens = True, deployment.on_failure == "flatten"
        if cancels and node.cancel_resting():
            await self._settled(lambda: not node.resting)
        if flattens:
            node.halt()
            if node.close_positions():
                await self._settled(lambda: not node.cache.positions_open())

    async def _settled(self, is_settled: Callable[[], bool]) -> bool:
        deadline = time.monotonic() + _SETTLE_SECONDS
        while not is_settled() and time.monotonic() < deadline:
            await self._replay.pass_mark()
            await asyncio.sleep(0.005)
        return is_settled()

    def _beat(self) -> None:
        node = self._node
        equity = None
        with contextlib.suppress(DataError):
            equity = f"{node.equity().equity:f}"
        now = self._replay.now(node.cache)
        self._records.write(
            events.SessionHeartbeat(
                rows=self._replay.rows,
                at=format_instant(now) if now else None,
                equity=equity,
                positions=node.cache.positions_open_count(),
                resting=len(node.resting),
                memory_bytes=resident_bytes(os.getpid()),
            )
        )

    def _flush(self) -> None:
        """Write the tables as they are now, so that a killed session leaves them."""
        with contextlib.suppress(DataError):
            tables = self._node.tables(self._replay.last + 1)
            for name, table in tables.as_arrow().items():
                write_file(self._files.session / f"{name}.parquet", table_bytes(table))
        self._opened.publish_when_due()

    def _left(self, metadata: Metadata, started: float) -> dict[str, Any]:
        """Store what the session came to as the result of its one task; return ``result.json``."""
        prepared, replay = self.prepared, self._replay
        whole = self._window
        end = whole.partition.end
        if not replay.is_complete:
            end = (replay.last // 1_000 + 1) * 1_000
        plan = prepared.plan(self.run_id, end=end)
        with cut_window(plan, prepared.loaded.dataset_place) as window:
            tables = self._node.tables(window.partition.end)
            counts = {
                "rows": window.slice.rows,
                "observed": window.slice.observed,
                "warmup_rows": 0,
                "warmup_short": False,
                "funding": Decimal(0),
                "funding_settlements": 0,
                "warmup_denied_orders": 0,
                "engine_warnings": self._node.warnings,
            }
            if plan.common.has_risk_profile:
                counts["risk_refusals"] = dict(sorted(self._node.risk.refusals.items()))
            summary = task_summary(window.task_id, window.inputs, tables.columns, counts)
            prepared.store.write_task(
                window.task_id,
                result_files(window.task_id, window.stored_inputs, tables.as_arrow(), summary),
            )
        write_file(self._files.plan, plan.to_json())
        metadata.content["plan_digest"] = plan.digest
        seconds = time.monotonic() - started
        write_metrics(self._files, prepared.code.path, seconds, [(seconds, replay.rows)])
        reduced = summarise_run(plan, prepared.store, self._files, metadata)
        return reduced.result

    def _tell_end(
        self,
        ending: Ending,
        metadata: Metadata,
        journal: Journal,
        result: dict[str, Any] | None,
    ) -> None:
        node = self._node
        journal.write(
            events.SessionStopped(
                why=ending.why,
                rows=self._replay.rows,
                rows_left=not self._replay.is_complete,
                orders=self._records.orders,
                fills=self._records.fills,
                positions=node.cache.positions_open_count(),
                resting=len(node.resting),
                balances=node.balances(),
            )
        )
        if ending.kind is Kind.OK and result is not None:
            journal.write(completion(result))
            return
        error = StoppedError(ending.why) if ending.is_orderly else ending.error
        error = error or RuntimeError(ending.why)
        record_error(error, metadata, journal, self._killed.switched)

    def _note(self, ending: Ending) -> None:
        if self._ending is None:
            self._ending = ending

    def _ended(self) -> Ending:
        return self._ending or Ending(Kind.INTERNAL, "the session ended without a reason")


def _kind_of(error: BaseException | None) -> Kind:
    return error.kind if isinstance(error, TradingRuntimeError) else Kind.INTERNAL
