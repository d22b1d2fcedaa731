"""Rows of a dataset, fed to a live node as if they came from a venue.

The node puts what a client delivers into an unbounded queue, and drops what is left there when it
stops. So only the rows of a fraction of a second are in flight at a time: a mark is sent after
them, and when it comes out at the other end, all rows before it have been processed.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import time
from bisect import bisect_right
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Self

from nautilus_trader import model
from nautilus_trader.common import DataActor
from nautilus_trader.live import DataClientConfig
from nautilus_trader.persistence import ParquetDataCatalog

from trading_runtime.engine.instruments.definitions import build_instruments
from trading_runtime.engine.live.clients import DataClient, DataClientFactory
from trading_runtime.engine.live.time_bars import TimeBars, is_made
from trading_runtime.engine.simulation.feed import CHUNK_ROWS, READERS, fed
from trading_runtime.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from trading_runtime.records.inputs import SeriesInputs, TaskInputs

CLIENT = "REPLAY"
MARKS = model.InstrumentId.from_str("SESSION.MARKS")
"""An instrument that does not exist: its status events are the marks between rows."""

_FEWEST_ROWS, _MOST_ROWS = 16, 4_096
"""Between two marks: fewer when the node is slow, so that it can be stopped at any moment."""
_QUICK, _SLOW = 0.05, 0.2
"""Seconds between two marks, below which more rows are sent at a time, and above which fewer."""
_SHORTEST_WAIT = 0.001
_MOST_MARKS = 100
_MICROSECOND = 1_000
_instant = attrgetter("ts_init")


class DataReplay:
    """Plays the rows of one partition once."""

    def __init__(self, inputs: TaskInputs, catalog: Path, pace: str, rows: int = 0) -> None:
        """Play the rows of the partition in ``catalog`` in the order in which a backtest gets them.

        ``rows`` is their number, so that as many are read at a time as in a backtest. ``pace`` is
        ``burst``, ``real`` or ``x<factor>``. Raises ``UsageError`` for types of data that only a
        backtest supports.
        """
        self._partition = fed(inputs)
        types = {series.type for series in self._partition.data}
        if other := sorted(types - set(READERS)):
            rest = ", ".join(sorted(types - set(other)))
            raise UsageError(
                f"data.types: a session does not replay {', '.join(other)}, but only "
                f"{', '.join(READERS)}; set 'data.types: [{rest}]' to trade without"
            )
        self._latest = [_latest_of(series) for series in self._partition.data]
        self._newest = self._latest.copy()
        """Those of rows, and of bars that are made of them."""
        self._catalog = ParquetDataCatalog(str(catalog))
        self.instruments = build_instruments(self._partition.instruments)
        self._interval = inputs.common.equity_interval
        self._factor = {"burst": None, "real": 1.0}[pace] if pace[0] != "x" else float(pace[1:])
        self.on_look: Callable[[int], None] = lambda _ts: None
        """Called at each multiple of the equity interval, once all rows up to it were seen."""
        self.rows = 0
        """How many rows were delivered."""
        self.last = 0
        """The instant of the last of them, nanoseconds since the epoch."""
        self.is_complete = False
        """Whether every row was delivered."""
        self._client: ReplayClient | None = None
        self._marks: dict[int, tuple[asyncio.Event, int | None]] = {}
        self._sent = 0
        self._count = rows
        self._stopping = asyncio.Event()
        self._woken = asyncio.Event()
        self._calls: list[tuple[int, int, Callable[[int], None]]] = []
        self._called, self._numbers = 0, itertools.count()
        self.is_quiet: Callable[[], bool] = lambda: True
        """Whether no order is under way to the venue."""
        self.has_calls = False
        """Whether ``call_at`` is used: only rows of one instant are then under way."""
        self.made_bars: Callable[[], Sequence[model.BarType]] = tuple
        """Returns the types of the bars that are made of the rows, as asked before the first."""
        self._skips_empty_bars = inputs.common.venue.skip_empty_bars
        self._bars: TimeBars | None = None

    def attach(self, builder: Any) -> Any:
        """Add the client that delivers the rows to a node under construction."""
        return builder.add_data_client(CLIENT, replay_factory(self), DataClientConfig(), None)

    def actors(self, fail: Callable[[BaseException], None]) -> list[DataActor]:
        """Return what receives the marks in the node."""
        return [_Receiver(self, fail)]

    def stop(self) -> None:
        """Deliver no more rows, except those of the current microsecond."""
        self._stopping.set()
        self._woken.set()

    def call_at(self, at: int, call: Callable[[int], None]) -> None:
        """Call back at an instant of the data, after the rows up to it and before later ones."""
        heapq.heappush(self._calls, (at, next(self._numbers), call))
        self._woken.set()

    async def play(self) -> None:
        """Deliver all rows; return when the node has processed them, or those before a stop."""
        if types := self.made_bars():
            self._newest += [("", "bar", each.standard()) for each in types]
            self._bars = TimeBars(
                types, self._partition, self.instruments, skips_empty=self._skips_empty_bars
            )
        try:
            if self._factor is None and not self.has_calls:
                await self._burst()
            else:
                await self._pace()
        finally:
            if self._bars is not None:
                self._bars.close()
        await self.pass_mark()

    async def _burst(self) -> None:
        """Deliver rows as fast as the node takes them."""
        hand, size, count = self._bound().hand, 256, 0
        pending, sent = self._mark(None), time.monotonic()
        latest = next_look = 0
        for rows in self._row_lists():
            first = 0
            while first < len(rows):
                ts = rows[first].ts_init
                if self._stopping.is_set():
                    latest = (self.last // _MICROSECOND + 1) * _MICROSECOND - 1
                    if ts > latest:
                        return
                elif ts > next_look:
                    if self.rows:
                        self._mark(next_look)
                    latest = next_look = -(-ts // self._interval) * self._interval
                # No decision falls between the rows of a group.
                end = min(first + size - count, len(rows))
                end = bisect_right(rows, latest, first, end, key=_instant)
                for row in rows[first:end]:
                    hand(row)
                self.last = rows[end - 1].ts_init
                self.rows += end - first
                if self._bars is not None:
                    self.rows -= sum(map(is_made, rows[first:end]))
                count += end - first
                first = end
                if count == size:
                    # Yield to other tasks even if there is nothing to wait for.
                    await asyncio.sleep(0)
                    await pending.wait()
                    now, count = time.monotonic(), 0
                    size = _fitting(size, now - sent)
                    pending, sent = self._mark(None), now
        self.is_complete = True

    async def _pace(self) -> None:
        """Deliver each row when it is time, and make the calls between them."""
        hand, is_stopping = self._bound().hand, self._stopping.is_set
        next_look, count, size = 0, 0, 256
        started, first = time.monotonic(), 0
        pending, sent = self._mark(None), started
        for row in itertools.chain.from_iterable(self._row_lists()):
            ts: int = row.ts_init
            if is_stopping() and ts // _MICROSECOND != self.last // _MICROSECOND:
                break
            first = first or ts
            if (
                self.has_calls
                and ts > self.last
                and not await self._called_before(ts, started, first)
            ):
                break
            if ts > next_look:
                if self.rows:
                    self._mark(next_look)
                next_look = -(-ts // self._interval) * self._interval
            if self._factor is not None and not await self._waited(self._due(ts, started, first)):
                break
            hand(row)
            self.last = ts
            self.rows += self._bars is None or not is_made(row)
            count += 1
            if count >= size:
                # Yield to other tasks even if there is nothing to wait for.
                await asyncio.sleep(0)
                await pending.wait()
                now, count = time.monotonic(), 0
                size = _fitting(size, now - sent)
                pending, sent = self._mark(None), now
        else:
            self.is_complete = True
            await self._called_before(self._partition.end, started, first)

    async def pass_mark(self) -> None:
        """Wait until everything delivered has been processed."""
        await self._mark(None).wait()

    def acknowledge(self, number: int) -> None:
        """Record that a mark came out at the other end."""
        event, look = self._marks.pop(number)
        if look is not None:
            self.on_look(look)
        event.set()

    def bind(self, client: ReplayClient) -> None:
        """Deliver rows to ``client``."""
        self._client = client

    def now(self, cache: Any) -> int:
        """Return the instant of the newest row in ``cache``, 0 before the first one."""
        # Asked at each event of an order.
        newest = self._called
        for _, kind, key in self._newest:
            row = getattr(cache, kind)(key)
            if row is not None and row.ts_init > newest:
                newest = row.ts_init
        return newest

    def newest(self, cache: Any) -> dict[str, int]:
        """Return the instant of each instrument's newest row in ``cache``, by its id."""
        found: dict[str, int] = {}
        for name, kind, key in self._latest:
            row = getattr(cache, kind)(key)
            found[name] = max(found.get(name, 0), 0 if row is None else row.ts_init)
        return found

    def _bound(self) -> ReplayClient:
        if self._client is None:
            raise RuntimeError("the node has not made its data client")
        return self._client

    def _mark(self, look: int | None) -> asyncio.Event:
        self._sent += 1
        event = asyncio.Event()
        self._marks[self._sent] = event, look
        self._bound().hand(
            model.InstrumentStatus(
                MARKS,
                model.MarketStatusAction.NONE,
                self._sent,
                self._sent,
                None,
                None,
                None,
                None,
                None,
            )
        )
        return event

    async def _called_before(self, ts: int, started: float, first: int) -> bool:
        """Make the calls due before ``ts``, each in its time; return whether to continue."""
        if not self.has_calls:
            return True
        await self._processed()
        while not self._stopping.is_set():
            is_call = bool(self._calls) and self._calls[0][0] < ts
            if not is_call and self.is_complete:
                break
            if self._factor is not None:
                self._woken.clear()
                at = self._calls[0][0] if is_call else ts
                wait = self._due(at, started, first) - time.monotonic()
                if wait > _SHORTEST_WAIT:
                    # An earlier call may be added meanwhile.
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._woken.wait(), wait)
                    continue
            if not is_call:
                break
            self._called, _, call = heapq.heappop(self._calls)
            call(self._called)
            await self._processed()
        return not self._stopping.is_set()

    async def _processed(self) -> None:
        """Wait until what was delivered is processed, and what it caused has come back."""
        await self.pass_mark()
        for _ in range(_MOST_MARKS):
            if self.is_quiet():
                return
            await self.pass_mark()

    def _due(self, ts: int, started: float, first: int) -> float:
        """Return when a paced replay comes to an instant of the data."""
        return started + (ts - first) / 1e9 / (self._factor or 1.0)

    async def _waited(self, due: float) -> bool:
        """Wait until it is time; return whether the replay continues."""
        wait = due - time.monotonic()
        if wait > _SHORTEST_WAIT:
            try:
                await asyncio.wait_for(self._stopping.wait(), wait)
            except TimeoutError:
                return True
            return False
        return True

    def _row_lists(self) -> Iterator[list[Any]]:
        """Yield the rows in time order; for equal times, in the order of the series.

        Bars that are made of them are among them.
        """
        start, end = self._partition.warmup_start, self._partition.end
        length = -(-(end - start) // max(1, -(-self._count // CHUNK_ROWS)))
        for first in range(start, end, length):
            last = min(first + length, end) - 1
            rows: list[Any] = []
            for series in self._partition.data:
                reader = READERS[series.type]
                rows += reader(self._catalog, [series.identifier], first, last)
            if len(self._partition.data) > 1:
                rows.sort(key=_instant)
            yield rows if self._bars is None else self._bars.among(rows)
        if self._bars is not None:
            yield self._bars.last()


def _fitting(size: int, seconds: float) -> int:
    """Return how many rows are sent at a time, after so many have taken ``seconds``."""
    if seconds < _QUICK:
        return min(size * 2, _MOST_ROWS)
    return max(size // 2, _FEWEST_ROWS) if seconds > _SLOW else size


def _latest_of(series: SeriesInputs) -> tuple[str, str, Any]:
    """Return the instrument of a series, and the cache's method and key for its newest row."""
    name = series.instrument_id
    if series.type == "bars":
        return name, "bar", model.BarType.from_str(series.identifier)
    kind = {"quotes": "quote", "trades": "trade"}[series.type]
    return name, kind, model.InstrumentId.from_str(name)


class _Receiver(DataActor):
    """Receives the marks that follow the rows of a replay."""

    def __new__(cls, *_arguments: Any) -> Self:
        """Accept the arguments of ``__init__``, which the native base class would refuse."""
        return super().__new__(cls)

    def __init__(self, replay: DataReplay, fail: Callable[[BaseException], None]) -> None:
        super().__init__()
        self._replay = replay
        self._fail = fail

    def on_start(self) -> None:
        self.subscribe_instrument_status(MARKS, client_id=model.ClientId(CLIENT))

    def on_instrument_status(self, status: Any) -> None:
        try:
            self._replay.acknowledge(status.ts_event)
        except Exception as error:  # noqa: BLE001 - the engine would only log it
            self._fail(error)


class ReplayClient(DataClient):
    """The node's side of a replay."""

    def __init__(self, replay: DataReplay, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._replay = replay
        self.hand = self._output.data
        """Gives the node a row."""

    async def _connect(self) -> None:
        for instrument in self._replay.instruments:
            self._handle_instrument(instrument)
        self._replay.bind(self)

    async def _disconnect(self) -> None:
        pass

    async def _nothing(self, command: object) -> None:
        """Accept a subscription: all rows are played, whatever is subscribed to."""

    _subscribe_bars = _subscribe_quotes = _subscribe_trades = _nothing
    _subscribe_instrument = _subscribe_instruments = _subscribe_instrument_status = _nothing
    _unsubscribe_bars = _unsubscribe_quotes = _unsubscribe_trades = _nothing
    _unsubscribe_instrument = _unsubscribe_instruments = _unsubscribe_instrument_status = _nothing


def replay_factory(replay: DataReplay) -> DataClientFactory:
    """Return what the node makes its client from."""

    class Factory(DataClientFactory):
        @staticmethod
        def create(*, name: str, config: DataClientConfig, cache: Any, clock: Any) -> ReplayClient:
            venue = model.Venue(CLIENT)
            return ReplayClient(
                replay, name=name, config=config, cache=cache, clock=clock, venue=venue
            )

    return Factory()
