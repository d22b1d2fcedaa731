"""One session: a strategy that trades in this process until it is stopped, and its results."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field, replace
from decimal import Context, Decimal, localcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trading_runtime.canonical import canonical_json, digest
from trading_runtime.config.adapters import AdapterData, AdapterExecution
from trading_runtime.control.kill_switch import KillSwitch
from trading_runtime.datasets.observed_days import Observed, stretches
from trading_runtime.engine.live.arriving import ArrivingData
from trading_runtime.engine.live.node import PaperNode
from trading_runtime.engine.live.replay import DataReplay
from trading_runtime.engine.live.simulated import rounded_balance
from trading_runtime.engine.live.venue_node import VenueNode
from trading_runtime.engine.strategy.hidden_packages import without_optional_packages
from trading_runtime.engine.strategy.loading import imported_strategy, refuse_foreign_modules
from trading_runtime.engine.strategy.subscriptions import unfed
from trading_runtime.errors import (
    DataError,
    Kind,
    StoppedError,
    StorageError,
    TaskTimeoutError,
    TradingRuntimeError,
    TransientError,
    UsageError,
)
from trading_runtime.execution.lifecycle import begin_run, record_error, recorded, summarise_run
from trading_runtime.planning.arriving import ArrivingWindow
from trading_runtime.records import session_events as events
from trading_runtime.records.events import ExecutorKind, Mode, RunInitialised
from trading_runtime.records.status import Status
from trading_runtime.runs.opening import acquire_run
from trading_runtime.runs.rates import write_metrics
from trading_runtime.runs.run_events import breakdown, completion
from trading_runtime.sessions.account import SessionAccount
from trading_runtime.sessions.event_loop import PromptLoop
from trading_runtime.sessions.health import LoopTurns
from trading_runtime.sessions.origin import check_origin
from trading_runtime.sessions.preparation import arrived_window, copied_window, cut_window
from trading_runtime.sessions.recording import SessionRecords
from trading_runtime.sessions.rolling import rolled_forward
from trading_runtime.sessions.starting import check_start, venue_account
from trading_runtime.sessions.trading import FAILED_REASON, Trading
from trading_runtime.storage.files import write_file
from trading_runtime.storage.scratch import remove_abandoned_scratch
from trading_runtime.units import day_of, parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from trading_runtime.engine.strategy.loading import LoadedStrategy
    from trading_runtime.records.account import AccountState
    from trading_runtime.records.instruments import InstrumentDefinition
    from trading_runtime.records.journal import Journal
    from trading_runtime.records.plan import Plan
    from trading_runtime.records.result import RunResult
    from trading_runtime.records.run_files import RunFiles
    from trading_runtime.results.store import Store
    from trading_runtime.runs.metadata import Metadata
    from trading_runtime.runs.opening import OpenRun
    from trading_runtime.sessions.ending import Ending
    from trading_runtime.sessions.preparation import PreparedSession, SessionWindow

_MICROSECOND = 1_000
_SECOND = 1_000_000_000
_MAKING_SECONDS = 30.0
"""How long a node may take to be made, even if ``limits.blocked`` is shorter."""
_LAST_SECONDS = 20.0
"""How long a process whose loop is stuck may store what it has."""


@dataclass(frozen=True)
class SessionOutcome:
    """How a session ended."""

    run_id: str
    files: RunFiles
    ending: Ending
    received: int | None
    """The signal that stopped it."""
    rows: int
    orders: int
    fills: int
    seconds: float
    result: RunResult | None = None
    """``None`` when no row came."""
    kept: Path | None = None
    """The folder with what could not be stored, if the storage did not answer at the end."""
    left: Sequence[str] = ()
    """Orders, by id, and positions that should be gone and are still there."""


def kept_advice(store: Store, run_id: str, kept: Path) -> str:
    """Return what to do with the folder of a session whose end could not be stored."""
    return (
        f"the end of the session could not be stored in {store.place}/runs/{run_id}: its journal "
        f"is in {kept}; copy that folder there"
    )


@dataclass
class Session:
    """A prepared deployment, under one run id."""

    prepared: PreparedSession
    run_id: str
    is_fresh: bool = False
    """Whether the account starts afresh, whatever an earlier session left."""
    despite: str | None = None
    """Why it may start although it is not what its tasks tested."""
    patience: float = 0.0
    """Seconds that another session may take to leave the account."""
    is_live: bool = False
    """Whether orders may go to a venue."""
    _opened: OpenRun = field(init=False)
    _files: RunFiles = field(init=False)
    _metadata: Metadata = field(init=False)
    _journal: Journal = field(init=False)
    _records: SessionRecords = field(init=False)
    _window: SessionWindow = field(init=False)
    _node: PaperNode = field(init=False)
    _replay: DataReplay | ArrivingData = field(init=False)
    _trading: Trading = field(init=False)
    _traded: Trading | None = None
    """``_trading``, once it has ended."""
    _imported: set[str] = field(default_factory=set)
    """Modules that the session itself imported after the strategy."""
    _account: SessionAccount = field(init=False)

    def execute(self) -> SessionOutcome:
        """Trade until the data ends, the session is stopped, or something fails.

        Raises ``UsageError`` when the id is running or taken, or another session has the account;
        ``KilledError`` when the kill switch is on. Any other ending is in the return value.
        """
        prepared, started = self.prepared, time.monotonic()
        check_start(prepared.deployment, is_live=self.is_live)
        KillSwitch(prepared.store).refuse_start(self.run_id)
        name = prepared.deployment.name
        self._account = SessionAccount(prepared.store, name, venue_account(prepared.deployment))
        kept, result = None, None
        try:
            ending, result = self._executed(started)
        except (TransientError, StorageError):
            trading = self._traded
            if trading is None or trading.ending is None or prepared.store.copy.is_complete:
                raise
            # How it ended is not lost with a storage that is away, or that denies access by now.
            ending, kept = trading.ending, self._kept_apart()
        return SessionOutcome(
            self.run_id,
            self._files,
            ending,
            self._trading.reasons.received,
            self._replay.rows,
            self._records.orders,
            self._records.fills,
            time.monotonic() - started,
            result,
            kept,
            self._trading.left,
        )

    def _executed(self, started: float) -> tuple[Ending, RunResult | None]:
        prepared = self.prepared
        with (
            self._account.held(self.run_id, self.patience),
            acquire_run(prepared.store, self.run_id) as self._opened,
        ):
            carried = self._carried()
            plan = self._plan(carried)
            overridden = check_origin(prepared, plan, self.despite)
            self._files = files = self._opened.files
            self._metadata = begin_run(
                files,
                prepared.as_run(plan),
                self.run_id,
                ExecutorKind.LOCAL,
                mode=Mode(prepared.deployment.mode),
            )
            write_file(files.deployment, prepared.explicit_deployment())
            remove_abandoned_scratch()
            with self._opened.open_journal("session") as self._journal:
                is_burst = prepared.deployment.pace == "burst"
                self._records = SessionRecords(self._journal, self._account.fence, is_held=is_burst)
                mode = self._metadata.now.mode
                self._journal.write(RunInitialised(run_id=self.run_id, mode=mode))
                if overridden is not None:
                    self._journal.write(overridden)
                with recorded(self._opened, self._metadata, self._journal):
                    return self._trade(plan, carried, started)

    def _kept_apart(self) -> Path:
        """Copy the run's files to where they outlive this process; return the folder."""
        self.prepared.store.objects.give_up()
        # Not named as scratch is, whatever the run is called.
        folder = Path(tempfile.mkdtemp(prefix=f"trading-runtime-kept-{self.run_id}-"))
        shutil.copytree(self._files.folder, folder, dirs_exist_ok=True)
        return folder

    @property
    def _terms(self) -> str:
        at_venue = venue_account(self.prepared.deployment)
        if at_venue is not None:
            return f"live {at_venue}"
        execution = self.prepared.deployment.execution.plain()
        return digest(json.loads(canonical_json(execution)))

    def _carried(self) -> AccountState | None:
        """Return the account as the previous session left it, ``None`` when it starts afresh.

        What a killed session wrote into its journal but had not saved yet is included.
        """
        deployment = self.prepared.deployment
        state = None if self.is_fresh else self._account.read()
        if (
            state is None
            or state.is_complete
            or getattr(deployment.execution, "oms_type", "") == "hedging"
        ):
            return None
        if state.terms != self._terms:
            if state.terms.startswith("live ") or self._terms.startswith("live "):
                raise UsageError(
                    f"the account of {deployment.name!r} is of another kind: it was opened as "
                    f"{state.terms if state.terms.startswith('live ') else 'paper'}, and this is "
                    f"{self._terms if self._terms.startswith('live ') else 'paper'}; give the "
                    "deployment another name"
                )
            raise UsageError(
                f"the account of {deployment.name!r} was opened under another 'execution' section "
                "than the deployment has now; give --fresh to open a new one"
            )
        if self._terms.startswith("live "):
            return state  # the venue knows the rest
        rolled = rolled_forward(
            state,
            self._account.entries(state),
            {item.id: item for item in self._definitions()},
            is_cash=deployment.execution.account_type == "cash",
        )
        return replace(rolled, balances=[rounded_balance(text) for text in rolled.balances])

    def _definitions(self) -> Sequence[InstrumentDefinition]:
        """Return the instruments of the earlier session."""
        if isinstance(self.prepared.deployment.data, AdapterData):
            return self._account.instruments()
        return self.prepared.manifest.instruments

    def _plan(self, carried: AccountState | None, end: int | None = None) -> Plan:
        if carried is None:
            return self.prepared.plan(self.run_id, end=end)
        start = (carried.at // _MICROSECOND + 1) * _MICROSECOND if carried.at else None
        return self.prepared.plan(
            self.run_id, start=start, end=end, balances=list(carried.balances)
        )

    def _trade(
        self, plan: Plan, carried: AccountState | None, started: float
    ) -> tuple[Ending, RunResult | None]:
        prepared, common = self.prepared, plan.common
        deployment = prepared.deployment
        data = deployment.data
        cut: AbstractContextManager[SessionWindow]
        if isinstance(data, AdapterData):
            cut = contextlib.nullcontext(arrived_window(plan))
        else:
            cut = copied_window(plan, prepared.manifest, prepared.loaded.dataset_place)
        recorder = None
        if deployment.record is not None:
            # Before the strategy's modules, among which a later import would be counted.
            from trading_runtime.engine.live.recorder import Recorder
            from trading_runtime.sessions.data_recording import recording_place

            recorder = Recorder(recording_place(prepared.read))
        with (
            localcontext(Context()),
            without_optional_packages(common.packages),
            cut as self._window,
            imported_strategy(prepared.code, common.config_path, common.seed) as loaded,
        ):
            inputs = self._window.inputs
            if isinstance(data, AdapterData):
                self._replay = ArrivingData(data, common.equity_interval)
                source = f"{data.adapter} {data.environment or ''}".strip()
                self._replay.recorder = recorder
            else:
                rows = self._window.slice.rows
                self._replay = DataReplay(inputs, self._window.catalog, data.pace, rows)
                source = f"replay {data.pace}"
            balances = list(common.venue.balances)
            self._journal.write(
                events.SessionStarted(
                    deployment=deployment.name,
                    mode=Mode(deployment.mode),
                    data=source,
                    balances=balances,
                    carried_from=None if carried is None else carried.session,
                    saved=None if carried is None else sorted(carried.strategy) or None,
                )
            )
            self._node = self._new_node(loaded, balances, carried)
            if isinstance(self._replay, ArrivingData):
                self._records.now = time.time_ns
            else:
                self._records.now = lambda: self._replay.now(self._node.cache)
            try:
                self._trading = Trading(
                    deployment,
                    prepared.store,
                    self.run_id,
                    self._opened,
                    self._records,
                    self._account,
                    self._node,
                    self._replay,
                    self._terms,
                    carried,
                    self._flush,
                    self._end_blocked,
                    started=started,
                )
                ending = self._traded_to_the_end(self._trading)
                self._traded = self._trading
                if self._trading.storage.is_silent:
                    self.prepared.store.objects.give_up()
                if isinstance(self._replay, ArrivingData) and self._replay.recorder is not None:
                    self._replay.count()
                    self._replay.recorder.finish()
                self._node.logged_failure()
                if ending.is_orderly:
                    before = loaded.imported_before | self._imported
                    refuse_foreign_modules(replace(loaded, imported_before=before), common.packages)
                self._report_stop(ending)
                is_stored = self._replay.rows and not self._trading.storage.is_silent
                result = self._left(carried, started) if is_stored else None
                self._report_end(ending, result)
            finally:
                self._node.dispose()
        return ending, result

    @staticmethod
    def _traded_to_the_end(trading: Trading) -> Ending:
        runner = asyncio.Runner(loop_factory=PromptLoop)
        try:
            return runner.run(trading.run())
        finally:
            if not trading.is_abandoned:  # which would be waited for
                runner.close()

    def _new_node(
        self, loaded: LoadedStrategy, balances: list[str], carried: AccountState | None
    ) -> PaperNode:
        saved = None if carried is None else carried.saved
        inputs, replay = self._window.inputs, self._replay
        execution = self.prepared.deployment.execution
        longest = parse_duration(self.prepared.deployment.limits.blocked) / _SECOND
        # There is no loop yet that would look at the kill switch.
        with LoopTurns().watched(max(longest, _MAKING_SECONDS), self._end_stuck):
            if isinstance(execution, AdapterExecution) and isinstance(replay, ArrivingData):
                return VenueNode(inputs, loaded, replay, self._records, execution, saved)
            return PaperNode(inputs, loaded, replay, self._records, balances, saved)

    def _flush(self) -> Callable[[], None]:
        """Return what stores the tables as they are now, so that they survive a killed session."""
        before = set(sys.modules)
        from trading_runtime.results.artifacts import table_bytes

        contents = {}
        with contextlib.suppress(DataError):
            tables = self._node.tables(self._replay.last + 1).as_arrow()
            for name, table in tables.items():
                contents[self._files.session / f"{name}.parquet"] = table_bytes(table)
        # Of the packages that tables need, some import whatever else is installed.
        self._imported |= sys.modules.keys() - before

        def store() -> None:
            for path, content in contents.items():
                write_file(path, content)
            self._opened.publish(*contents)

        return store

    def _end_blocked(self, seconds: float) -> None:
        """End the process from the watchdog's thread, whether the event loop comes back or not."""
        guard = self._node.guard
        guard.halt_reason, guard.halted = FAILED_REASON.format(kind=Kind.TIMEOUT), True
        self._end_stuck(seconds, self._trading.storage.outbox.wait)

    def _end_stuck(
        self, seconds: float, wait: Callable[[float], None] = lambda _seconds: None
    ) -> None:
        """Store what is known, and end the process; ``wait`` waits for what is being stored."""
        blocked = self.prepared.deployment.limits.blocked
        message = (
            f"the strategy, or a read of the storage, has not returned for {seconds:.0f} s, "
            f"longer than limits.blocked ({blocked}): no signal and no kill switch would reach it"
        )
        is_stored = threading.Event()

        def store_what_is_known() -> None:
            with contextlib.suppress(TradingRuntimeError):
                self._seal_blocked(message)
                wait(_LAST_SECONDS)
                self._opened.gather()
                self._metadata.seal()
                self._opened.publish_all()
                self._account.release()
                is_stored.set()

        try:
            storing = threading.Thread(target=store_what_is_known, name="ending", daemon=True)
            storing.start()
            storing.join(_LAST_SECONDS)
            if not (is_stored.is_set() or self.prepared.store.copy.is_complete):
                advice = kept_advice(self.prepared.store, self.run_id, self._kept_apart())
                os.write(2, f"warning: {advice}\n".encode())
        except OSError as error:
            message += f"; its journal could neither be stored nor kept: {error}"
        finally:
            with contextlib.suppress(OSError):
                os.write(2, f"error: {message}\n".encode())
            os._exit(Kind.TIMEOUT.exit_code)

    def _seal_blocked(self, message: str) -> None:
        """Record on this machine how the session ended, whatever the storage does."""
        failed = breakdown(TaskTimeoutError(message))
        self._records.end()
        # The session's own chain may be in use by what blocks.
        with self._opened.open_journal("watchdog") as journal:
            journal.write(failed)
        self._metadata.set(Status.FAILED, error=failed.message)
        self._metadata.seal()

    def _left(self, carried: AccountState | None, started: float) -> RunResult:
        """Store the session's outcome as the result of its one task; return the run's result."""
        import polars as pl  # noqa: F401 - once imported, it takes SIGINT for itself

        from trading_runtime.results.artifacts import result_files, task_summary

        signal.signal(signal.SIGINT, signal.SIG_IGN)
        prepared, replay = self.prepared, self._replay
        cut: AbstractContextManager[SessionWindow]
        if isinstance(replay, ArrivingData):
            cut = contextlib.nullcontext(self._arrived(replay))
        else:
            end = (replay.last // _MICROSECOND + 1) * _MICROSECOND
            played = self._window.plan if replay.is_complete else self._plan(carried, end)
            cut = cut_window(played, self._window.dataset)
        with cut as window:
            plan = window.plan
            tables = self._node.tables(window.partition.end)
            counts: dict[str, Any] = {
                "rows": window.slice.rows,
                "observed": window.slice.observed,
                "warmup_rows": 0,
                "warmup_short": False,
                "funding": Decimal(0),
                "funding_settlements": 0,
                "warmup_denied_orders": 0,
                "engine_warnings": self._node.warnings,
            }
            queue = self._node.guard.queue
            if queue is not None and (queue.takes_orders or queue.counts):
                counts["queued_requests"] = dict(sorted(queue.counts.items()))
            if isinstance(replay, DataReplay) and (missing := self._unfed(window)):
                counts["unfed_subscriptions"] = dict.fromkeys(missing, 1)
            if plan.common.has_risk_profile:
                counts["risk_refusals"] = dict(sorted(self._node.risk.refusals.items()))
            summary = task_summary(window.task_id, window.inputs, tables.columns, counts)
            prepared.store.write_task(
                window.task_id,
                result_files(window.task_id, window.stored_inputs, tables.as_arrow(), summary),
            )
        write_file(self._files.plan, plan.to_json())
        self._metadata.replan(plan.digest)
        seconds = time.monotonic() - started
        write_metrics(self._files, prepared.code.path, seconds, [(seconds, replay.rows)])
        return summarise_run(plan, prepared.store, self._files, self._metadata).result

    def _unfed(self, window: SessionWindow) -> list[str]:
        """Return what the strategy subscribed to and the dataset's rows do not serve."""
        emulated = self._node.cache.orders_emulated()
        data = window.inputs.partition.data
        return unfed(self._node.guard.subscriptions, emulated, data, quotes_from_books=False)

    def _arrived(self, data: ArrivingData) -> SessionWindow:
        """Return the window of what came."""
        end = (max(data.last, time.time_ns()) // _MICROSECOND + 1) * _MICROSECOND
        days = range(day_of(data.first), day_of(data.last) + 1)
        window = ArrivingWindow(self.prepared.prepared_at, end, data.rows, len(days))
        plan = self.prepared.arriving_plan(
            self.run_id, self._node.definitions, window, self._node.opening_balances
        )
        return arrived_window(plan, Observed(data.first, data.last, stretches(days)))

    def _report_stop(self, ending: Ending) -> None:
        node = self._node
        self._journal.write(
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

    def _report_end(self, ending: Ending, result: RunResult | None) -> None:
        journal, metadata = self._journal, self._metadata
        if ending.kind is Kind.OK and result is not None:
            journal.write(completion(result))
            return
        error = StoppedError(ending.why) if ending.is_orderly else ending.error
        error = error or RuntimeError(ending.why)
        record_error(error, metadata, journal, self._trading.killed_by)
