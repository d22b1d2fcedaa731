"""A node while it trades: started, checked several times a second, and ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from trading_runtime.collector import start_collecting
from trading_runtime.engine.live.arriving import ArrivingData
from trading_runtime.engine.live.resting import ended_since, in_order
from trading_runtime.engine.live.venue_node import VenueNode
from trading_runtime.engine.strategy.guard_state import KILL_REASON
from trading_runtime.errors import (
    DataError,
    DiffersError,
    Kind,
    LeaseLostError,
    StorageError,
    TradingRuntimeError,
    TransientError,
    UsageError,
)
from trading_runtime.execution.workers.memory import resident_bytes
from trading_runtime.records import session_events as events
from trading_runtime.records.account import AccountState, HeldPosition
from trading_runtime.sessions.account import encoded
from trading_runtime.sessions.ending import Ending, Reasons
from trading_runtime.sessions.health import Health, HealthServer, LoopTurns
from trading_runtime.sessions.reconciling import known_of, reconciled
from trading_runtime.sessions.storing import SessionStorage
from trading_runtime.sessions.watching import HealthWatch
from trading_runtime.units import format_instant, parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from trading_runtime.config.deployment import Deployment
    from trading_runtime.engine.live.node import PaperNode
    from trading_runtime.engine.live.replay import DataReplay
    from trading_runtime.results.store import Store
    from trading_runtime.runs.opening import OpenRun
    from trading_runtime.sessions.account import SessionAccount
    from trading_runtime.sessions.recording import SessionRecords

_LOOK_SECONDS = 0.3
_KEEP_IN_BURST_SECONDS = 1.0
_CONNECT_SECONDS = 30.0
_LEAVE_SECONDS = 1.0
"""How long a node that is not connected yet may take to stop."""
_SETTLE_SECONDS = 5.0
_MOST_PAUSED_SECONDS = 15.0
"""How long an end waits before it sends what the venue asked not to send yet."""
_AGAIN_SECONDS = 1.0
"""Until the venue is asked again for what it refused."""
_FLUSH_SECONDS = 30.0
_LATE_HEARTBEATS = 3
_HEARTBEAT = "TRADING_RUNTIME_HEARTBEAT"
"""The variable in which a supervisor names a file that is touched with every heartbeat."""
_STORING_SECONDS = 600.0
"""How long a session may store its results without a heartbeat."""
_STOPPED = "STOP: the session ends, and no order goes out"
FAILED_REASON = "FAILURE: the session ends ({kind}), and no order goes out"
_SECOND = 1_000_000_000
_MINUTE = 60 * _SECOND


def left_advice(left: Sequence[str]) -> str:
    """Return what to do about orders and positions that the end of a session has left."""
    return (
        f"left open at the venue: {', '.join(left)}; look there, or start again, since the next "
        "session takes them up"
    )


@dataclass
class Trading:
    """One node, from its start to its end."""

    deployment: Deployment
    store: Store
    run_id: str
    opened: OpenRun
    records: SessionRecords
    account: SessionAccount
    node: PaperNode
    replay: DataReplay | ArrivingData
    terms: str
    """The digest of the settings that apply to the account."""
    carried: AccountState | None
    """What the account holds before the session."""
    flush: Callable[[], Callable[[], None]]
    """Returns what stores the tables as they are now; it reads nothing of the node."""
    on_blocked: Callable[[float], None]
    """Called in another thread when a callback takes too long; does not return."""
    started: float = field(default_factory=time.monotonic)
    reasons: Reasons = field(init=False)
    """Those to end it, and the one that it has found."""
    left: Sequence[str] = ()
    """Orders, by id, and positions that should be gone and are not."""
    is_abandoned: bool = False
    """Whether the node still connects to a venue that is silent, long after its end."""
    _wanted: asyncio.Event = field(init=False, default_factory=asyncio.Event)
    storage: SessionStorage = field(init=False)
    _watch: HealthWatch = field(init=False)
    _sessions: list[str] = field(default_factory=list)
    _asked: list[Any] = field(default_factory=list)
    """Orders that the strategy asked to cancel, and whose cancellations waited at the halt."""
    _turns: LoopTurns = field(default_factory=LoopTurns)
    _beaten: float = field(default_factory=time.monotonic)
    _kept: int = -1
    _cancelled: float = float("-inf")
    """When orders that open were last cancelled, while only such go out that reduce."""

    def __post_init__(self) -> None:
        """Watch what the storage says of this session."""
        self.storage = SessionStorage(self.store, self.run_id, self.opened, self.account)
        wake = self._wanted.set
        self._watch = HealthWatch(self.deployment, self.node, self.replay, self.records, wake)
        self.reasons = Reasons(
            self.deployment, self.records, self.node, self.replay, self.storage, self._watch
        )

    async def run(self) -> Ending:
        """Trade until there is a reason to end; return it."""
        self.node.failures.stop_engine = self._wanted.set
        if self.deployment.pace != "burst":
            # As soon as the engine has returned, since a kill may come at any moment.
            loop = asyncio.get_running_loop()
            self.records.on_change = lambda: loop.call_soon(self._keep)
        health = self.deployment.health
        turning = asyncio.ensure_future(self._turns.note())
        with contextlib.ExitStack() as leaving:
            leaving.callback(turning.cancel)
            leaving.enter_context(self._signals(asyncio.get_running_loop()))
            leaving.enter_context(self.storage.working())
            longest = parse_duration(self.deployment.limits.blocked) / _SECOND
            leaving.enter_context(self._turns.watched(longest, self.on_blocked))
            if health.port is not None:
                server = HealthServer(self._health, self._turns.silent)
                port = leaving.enter_context(server.serving(health.host, health.port))
                self.records.write(events.HealthServed(address=f"http://{health.host}:{port}"))
            await self._run_node()
        if self.ending is not None and self.ending.is_orderly:
            self.storage.outbox.check()
            self.records.check()
            if (failed := self.node.failures.as_error()) is not None:
                # The engine calls on_stop last.
                self.reasons.ending = Ending.of(failed)
        return self.ending or Ending(Kind.INTERNAL, "the session ended without a reason")

    @property
    def ending(self) -> Ending | None:
        """Why it ends, once there is a reason."""
        return self.reasons.ending

    @property
    def killed_by(self) -> Any:
        """Who switched the kill switch on, once that was seen."""
        return self.storage.killed_by

    async def _run_node(self) -> None:
        running = asyncio.ensure_future(self.node.run())
        try:
            if await self._connect(running):
                await self._trade(running)
                await self._end(running)
        finally:
            self.node.stop()
            if not self.reasons.is_connected:
                # While it connects, the engine heeds neither a stop nor a cancellation.
                _, waiting = await asyncio.wait({running}, timeout=_LEAVE_SECONDS)
                self.is_abandoned = bool(waiting)
            try:
                if not self.is_abandoned:
                    await running
                    self._take_last()
            except Exception as error:  # noqa: BLE001 - it is how the session ended
                self.reasons.note(Ending.of(error))

    def _take_last(self) -> None:
        """Write down and save what a simulated venue did with orders that on_stop sent."""
        if not self.reasons.is_connected or isinstance(self.node, VenueNode):
            return
        if self.ending is not None and self.ending.is_orderly and self.node.report_last():
            self._keep(whole=True)

    @contextlib.contextmanager
    def _signals(self, loop: asyncio.AbstractEventLoop) -> Iterator[None]:
        def receive(number: int) -> None:
            self.reasons.received = self.reasons.received or number
            self._wanted.set()

        numbers = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as under nohup
            numbers.append(signal.SIGHUP)
        for number in numbers:
            loop.add_signal_handler(number, receive, number)
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)
                # It ends already: another signal must not keep what it leaves from being stored.
                signal.signal(number, signal.SIG_IGN)

    async def _connect(self, running: asyncio.Future[None]) -> bool:
        """Wait until a mark comes through the node, then restore what the account holds."""
        deadline = time.monotonic() + _CONNECT_SECONDS
        while not self.node.handle.is_running:
            if self.reasons.look(running):
                return False
            if time.monotonic() > deadline:
                message = f"not connected after {_CONNECT_SECONDS:.0f} s"
                self.reasons.note(Ending.of(TransientError(message)))
                return False
            await asyncio.sleep(0.01)
        passed = asyncio.ensure_future(self.replay.pass_mark())
        both: set[asyncio.Future[None]] = {passed, running}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if not passed.done():
            passed.cancel()
            self.reasons.look(running)
            return False
        while not self.storage.is_answered:
            if self.reasons.look(running):
                return False
            await asyncio.sleep(0.01)
        if not await self._prepared():
            return False
        if self.carried is not None and self.carried.losses is not None:
            self.node.risk.resume_losses(self.carried.losses)
        self._watch.open()
        self.reasons.is_connected = True
        # From here on it is this session's account, whatever ends it.
        self._keep(beside=False)
        start_collecting()
        seconds = round(time.monotonic() - self.started, 3)
        self.records.write(events.SessionConnected(seconds=seconds))
        return True

    async def _prepared(self) -> bool:
        """Put back, or compare with the venue, what the account holds; return whether it is so."""
        try:
            self.node.learn_instruments()
        except UsageError as error:
            self.reasons.note(Ending.of(error))
            return False
        if isinstance(self.replay, ArrivingData):
            known = self.node.definitions
            self.storage.outbox.put("instruments", lambda: self.account.write_instruments(known))
            if self.replay.recorder is not None:
                self.replay.recorder.define(self.node.definitions)
        if isinstance(self.node, VenueNode):
            return self._reconcile(self.node)
        return self.carried is None or await self._restore(self.carried)

    def _reconcile(self, node: VenueNode) -> bool:
        """Compare the venue with what is known; return whether everything is explained."""
        known = known_of(self.store, self.carried)
        self.records.know(known.sent)
        lookback = getattr(self.deployment.execution, "lookback", 0)
        found = reconciled(
            known,
            node.venue_orders(),
            node.quantities(),
            [str(item.id) for item in self.replay.instruments],
            time.time_ns() - lookback * _MINUTE,
            node.not_valued,
        )
        for event in found.events:
            self.records.write(event)
        if found.rows:
            message = (
                "what the venue has is not explained, and nothing was traded: "
                + "; ".join(found.rows)
                + "; look at it, then start with --fresh to take over what the venue has"
            )
            self.reasons.note(Ending.of(DiffersError(message)))
            return False
        self._sessions = [*(self.carried.sessions if self.carried else ()), self.run_id]
        return True

    async def _restore(self, state: AccountState) -> bool:
        """Restore positions and resting orders; return whether they exist now."""
        there = {str(item.id) for item in self.replay.instruments}
        names = [item.instrument for item in state.positions]
        names += [order.instrument for order in state.orders]
        if gone := sorted(set(names) - there):
            message = (
                f"session {state.session!r} left positions or orders in {', '.join(gone)}, which "
                "the data does not have: add it to the data, or start over with 'trade --fresh'"
            )
            self.reasons.note(Ending.of(UsageError(message)))
            return False
        for position in state.positions:
            self.node.restore_position(
                position.instrument, position.quantity, position.average_price
            )
        wanted = {item.instrument: Decimal(item.quantity) for item in state.positions}
        if not await self._settled(lambda: self.node.quantities() == wanted):
            message = (
                f"the positions of session {state.session!r} could not be put back: there are "
                f"{self.node.quantities()}, and there were {wanted}"
            )
            self.reasons.note(Ending.of(DataError(message)))
            return False
        ended = ended_since(state.orders, time.time_ns())
        for order_id, how in ended.items():
            self.records.write(events.OrderEnded(order_id=order_id, how=how))
        resting = [order for order in state.orders if order.order_id not in ended]
        for order in in_order(resting):
            self.node.restore_order(order)
        await self._settled(lambda: self.node.is_quiet)
        if state.positions or state.orders:
            self.records.write(
                events.AccountRestored(
                    session=state.session,
                    positions=[f"{item.instrument} {item.quantity}" for item in state.positions],
                    orders=[item.order_id for item in resting],
                )
            )
        return True

    async def _trade(self, running: asyncio.Future[None]) -> None:
        """Let rows come until there is a reason to end; look for one several times a second."""
        playing: asyncio.Future[None] = asyncio.ensure_future(self.replay.play())
        for each in (playing, running):
            each.add_done_callback(lambda _ended: self._wanted.set())
        try:
            await self._turn(playing, running)
        except Exception as error:  # noqa: BLE001 - such as a full disk: what rests is cancelled
            self.reasons.note(Ending.of(error))
        if self.ending is not None and not self.ending.is_orderly:
            self._halt(self.ending)
        _touch_heartbeat(_STORING_SECONDS)
        self.replay.stop()
        if not running.done():
            await asyncio.wait({playing, running}, return_when=asyncio.FIRST_COMPLETED)
        if playing.done() and (failed := playing.exception()) is not None:
            self.reasons.note(Ending.of(failed))
        if not self.reasons.look(running):
            self.reasons.note(Ending(Kind.OK, "the data reached its end"))

    async def _turn(self, playing: asyncio.Future[None], running: asyncio.Future[None]) -> None:
        """Look at everything several times a second, until there is a reason to end."""
        heartbeat = parse_duration(self.deployment.limits.heartbeat) / _SECOND
        flushed = kept = self._beaten = time.monotonic()
        between = _KEEP_IN_BURST_SECONDS if self.deployment.pace == "burst" else 0.0
        while not self.reasons.look(running) and not playing.done():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wanted.wait(), _LOOK_SECONDS)
            self._wanted.clear()
            now = time.monotonic()
            self.records.flush()
            self._watch.look()
            self._look_at_reducing()
            if now - kept >= between:
                kept = now
                self._keep()
            if now - self._beaten >= heartbeat:
                self._beaten = now
                self._send_heartbeat()
            self._publish()
            if now - flushed >= _FLUSH_SECONDS:
                flushed = now
                self.storage.outbox.put("tables", self.flush(), beside=True)

    def _publish(self) -> None:
        if self.opened.is_due():
            self.opened.end_parts()
            self.storage.outbox.put("progress", self.opened.publish_progress)

    def _look_at_reducing(self) -> None:
        """Obey ``kill activate --reduce``, and its end."""
        try:
            found = self.storage.reducing()
            on, why = found is not None, "" if found is None else found.shown
        except Exception as error:  # noqa: BLE001 - a switch that cannot be read counts as on
            on, why = True, f"the switch cannot be read, and so counts as on: {error}"
        if on != self.node.risk.only_reducing:
            self.node.risk.only_reducing, self._cancelled = on, float("-inf")
            self.records.write(events.SessionReduced(on=on, why=why or "it was cleared"))
        now = time.monotonic()
        if on and now - self._cancelled >= _AGAIN_SECONDS and not self._watch.paused_for:
            self._cancelled = now
            with contextlib.suppress(TradingRuntimeError):  # which ends the session
                self.node.cancel_opening()

    def _halt(self, ending: Ending) -> None:
        if not self.node.guard.halted:
            self._asked = self.node.waiting_cancellations()
            is_killed = ending.kind is Kind.KILLED
            self.node.halt(KILL_REASON if is_killed else FAILED_REASON.format(kind=ending.kind))
            self.records.write(events.SessionHalted(why=ending.why, kind=ending.kind))

    async def _end(self, running: asyncio.Future[None]) -> None:
        """Leave the account as the deployment says, and save what it holds."""
        ending = self.ending
        if running.done() or ending is None:
            return
        node = self.node
        at_venue = isinstance(node, VenueNode)
        if ending.is_orderly:
            cancels = self.deployment.on_stop != "hold"
            flattens = self.deployment.on_stop == "flatten"
        else:
            cancels, flattens = True, self.deployment.on_failure == "flatten"
        # In a backtest, too, what waits when the data has come to its end is never sent.
        asked = self._asked or ([] if self.replay.is_complete else node.waiting_cancellations())
        node.drop_waiting("QUEUE end: the session ended before its turn")
        if at_venue:
            node.halt(_STOPPED)
        await self._settled(lambda: node.is_quiet)
        if isinstance(ending.error, LeaseLostError):
            # Another session may be in charge of the account, so nothing is cancelled.
            self._report_left([item.client_order_id for item in node.left] if at_venue else [], [])
            return
        # From here on another may be in charge; and what cannot be written down is not sent.
        with contextlib.suppress(LeaseLostError, StorageError):
            if cancels:
                node.halt(_STOPPED)  # a strategy that always quotes would quote again
                await self._request_until(node.cancel_resting, lambda: not node.left)
            elif asked:  # by the strategy, before the end
                await self._request_until(
                    lambda: node.cancel(asked), lambda: not node.left_of(asked)
                )
            if flattens:  # never without cancelling
                await self._request_until(node.close_positions, lambda: not node.quantities())
        if ending.is_orderly and not flattens and not at_venue:
            node.resume()  # what the strategy sends in its on_stop is in a backtest, too
        all_left = [item.client_order_id for item in node.left]
        self._report_left(
            all_left if cancels else node.left_of(asked), node.positions() if flattens else []
        )
        self._keep(whole=True)

    def _report_left(self, orders: Sequence[Any], held: Sequence[tuple[str, str, str]]) -> None:
        """Record what should be gone and is not."""
        if not orders and not held:
            return
        names = [str(order_id) for order_id in orders]
        positions = [f"{name} {quantity}" for name, quantity, _ in held]
        self.records.write(events.OrdersLeft(orders=names, positions=positions))
        if self.records.error is None:
            self.left = [*names, *positions]
        else:  # which may be all that is shown of the end
            os.write(2, f"warning: {left_advice([*names, *positions])}\n".encode())

    async def _request_until(self, ask: Callable[[], None], is_done: Callable[[], bool]) -> None:
        """Ask the venue, and ask again for what it refused, such as a request too many."""
        paused = min(self._watch.paused_for, _MOST_PAUSED_SECONDS)
        if paused:
            await self._settled(is_done, paused)
        deadline = time.monotonic() + _SETTLE_SECONDS
        ask()
        while not await self._settled(is_done, _AGAIN_SECONDS) and time.monotonic() < deadline:
            ask()

    async def _settled(
        self, is_settled: Callable[[], bool], seconds: float = _SETTLE_SECONDS
    ) -> bool:
        deadline = time.monotonic() + seconds
        while not is_settled() and time.monotonic() < deadline:
            await self.replay.pass_mark()
            await asyncio.sleep(0.005)
        return is_settled()

    def _keep(self, *, whole: bool = False, beside: bool = True) -> None:
        """Save what the account holds, when it has changed; ``beside`` the loop, or now."""
        if not self.reasons.is_connected or (not whole and self.records.changes == self._kept):
            return
        self.records.flush()
        lines = self.records.lines
        strategy = self.node.save()
        if self.node.failures.message is not None and not whole:
            return
        self._kept = self.records.changes
        state = AccountState(
            session=self.run_id,
            terms=self.terms,
            at=max(
                0 if self.carried is None else self.carried.at,
                self.replay.last if whole else self.replay.now(self.node.cache),
            ),
            is_complete=self.replay.is_complete,
            balances=self.node.balances(),
            positions=[HeldPosition(*item) for item in self.node.positions()],
            orders=self.node.resting_facts(),
            strategy=encoded(strategy),
            lines=lines,
            sessions=self._sessions,
            losses=self.node.risk.losses or (self.carried.losses if self.carried else None),
        )
        beside = beside and self.deployment.pace != "burst"
        self.storage.outbox.put("account", lambda: self.account.write(state), beside=beside)

    def _send_heartbeat(self) -> None:
        node = self.node
        if isinstance(self.replay, ArrivingData) and self.replay.recorder is not None:
            self.replay.count()
            self.replay.recorder.take()
            self.storage.outbox.put("rows", self.replay.recorder.write, beside=True)
        equity = None
        with contextlib.suppress(DataError):
            equity = f"{node.equity().equity:f}"
        now = self.replay.now(node.cache)
        self.records.write(
            events.SessionHeartbeat(
                rows=self.replay.rows,
                at=format_instant(now) if now else None,
                equity=equity,
                positions=node.cache.positions_open_count(),
                resting=len(node.resting),
                memory_bytes=resident_bytes(os.getpid()),
            )
        )
        node.logged_failure()
        _touch_heartbeat()

    def _health(self) -> Health:
        node, now = self.node, time.monotonic()
        heartbeat = parse_duration(self.deployment.limits.heartbeat) / _SECOND
        lives, ready = [], []
        if self.reasons.is_connected and now - self._beaten > _LATE_HEARTBEATS * heartbeat:
            lives.append(f"no heartbeat for {now - self._beaten:.1f} s")
        if not (self.store.root / "runs" / self.run_id).is_dir():
            lives.append("the folder of its results is gone")
        if self.ending is not None:
            ready.append(f"it ends: {self.ending.why}")
        if not self.reasons.is_connected:
            ready.append("not connected")
        ready += self._watch.reasons()
        if node.risk.only_reducing:
            ready.append("only orders that make a position smaller go out")
        at = self.replay.now(node.cache) if self.reasons.is_connected else 0
        status = {
            "run_id": self.run_id,
            "deployment": self.deployment.name,
            "mode": self.deployment.mode,
            "ready": not lives and not ready,
            "why_not": lives + ready,
            "seconds": round(now - self.started, 3),
            "rows": self.replay.rows,
            "at": format_instant(at) if at else None,
            "orders": self.records.orders,
            "fills": self.records.fills,
            "resting": [item.order_id for item in node.resting_facts()],
            "positions": [f"{name} {quantity}" for name, quantity, _ in node.positions()],
            "balances": node.balances(),
        }
        return Health(lives, ready, status)


def _touch_heartbeat(ahead: float = 0.0) -> None:
    """Tell a supervisor, if there is one, that the session lives, or will live so much longer."""
    if path := os.environ.get(_HEARTBEAT):
        with contextlib.suppress(OSError), open(path, "ab"):  # noqa: PTH123 - in the event loop
            os.utime(path, (time.time() + ahead,) * 2)
