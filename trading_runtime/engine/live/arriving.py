"""Market data as it comes from a venue, with the same interface as rows of a replay.

How old an instrument's data is, is measured here at the data's own instants: a connection that
is up, or one that repeats the same old row, proves nothing.

The engine sends an order once every callback for the row has returned. So a row that comes is only
kept, and looked at a moment later.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Self

from nautilus_trader import model
from nautilus_trader.common import DataActor, SocketState

from trading_runtime.engine.live.adapters import adapter_client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from trading_runtime.config.adapters import AdapterData
    from trading_runtime.engine.live.recorder import Recorder

_SECOND = 1_000_000_000
_SETTLE = 0.01


class ArrivingData:
    """What one adapter's data client delivers for some instruments, until stopped."""

    is_complete = False
    """Data as it comes has no end."""

    def __init__(
        self, settings: AdapterData, interval: int, client: tuple[Any, Any] | None = None
    ) -> None:
        """``interval`` is that of equity samples, in nanoseconds.

        Raises ``UsageError`` when the adapter refuses its settings.
        """
        self._client = client or adapter_client(settings)
        self.names: list[str] = list(settings.instruments)
        self._only = self.names[0] if len(self.names) == 1 else None
        """The instrument of every row, if there is only one."""
        self.types: list[str] = list(settings.types)
        self.bar_kinds: list[str] = list(settings.bars)
        self._interval = interval
        self.instruments: Sequence[Any] = ()
        self.on_look: Callable[[int], None] = lambda _ts: None
        self.on_socket: Callable[[str, bool], None] = lambda _endpoint, _is_connected: None
        """Called when a socket of the venue is connected or lost."""
        self.subscribe_again: Callable[[str], None] = lambda _name: None
        """Subscribe again to an instrument's data; set by the node."""
        self.came: list[Any] = []
        """The rows that came and were not counted yet."""
        self._counted = time.time_ns()
        """When the last of the others were."""
        self._rows = self._first = self._last = 0
        self._skew: float | None = None
        self.recorder: Recorder | None = None
        """Takes each row as well, when what comes is recorded."""
        self._newest: dict[str, int] = dict.fromkeys(self.names, 0)
        self._stopping = asyncio.Event()

    def attach(self, builder: Any) -> Any:
        """Add the adapter's client to a node under construction."""
        factory, config = self._client
        return builder.add_data_client(None, factory, config)

    def actors(self, fail: Callable[[BaseException], None]) -> list[DataActor]:
        """Return what receives the data in the node, apart from the strategy."""
        return [_Watcher(self, fail)]

    def stop(self) -> None:
        """End ``play``."""
        self._stopping.set()

    async def play(self) -> None:
        """Sample the account at each multiple of the interval, until stopped."""
        sampled = 0
        while not self._stopping.is_set():
            now = time.time_ns()
            due = (now // self._interval + 1) * self._interval
            try:
                await asyncio.wait_for(self._stopping.wait(), (due - now) / _SECOND)
            except TimeoutError:
                # If the clock was set back, the next sample still comes after the last one.
                if self.rows and due > sampled:
                    sampled = due
                    self.on_look(due)

    async def pass_mark(self, look: int | None = None) -> None:  # noqa: ARG002
        """Let the node work: what a venue sends has no place in a queue of ours."""
        await asyncio.sleep(_SETTLE)

    def now(self, cache: Any) -> int:  # noqa: ARG002
        """Return the wall clock's instant."""
        return time.time_ns()

    @property
    def rows(self) -> int:
        """How many rows came."""
        self.count()
        return self._rows

    @property
    def first(self) -> int:
        """The instant of the first row's arrival, 0 before it."""
        self.count()
        return self._first

    @property
    def last(self) -> int:
        """The instant of the last row's arrival, 0 before the first."""
        self.count()
        return self._last

    def newest(self, cache: Any) -> dict[str, int]:  # noqa: ARG002
        """Return the instant, by the venue's clock, of each instrument's newest row."""
        self.count()
        return dict(self._newest)

    def is_newer(self, name: str, instant: int) -> bool:
        """Return whether an instrument's newest row is of ``instant`` or later.

        By the venue's clock, that is. Asked before each order, it mostly has to look at the last
        row of all.
        """
        if self.came:
            last = self.came[-1]
            is_of_it = name == self._only or str(_instrument_of(last)) == name
            if is_of_it and last.ts_event >= instant:
                return True
        self.count()
        return self._newest.get(name, 0) >= instant

    def has_come(self, name: str) -> bool:
        """Return whether a row of an instrument was counted."""
        return bool(self._newest.get(name))

    def freshest(self) -> float | None:
        """Return by how many seconds the freshest tick since the last call was ahead of the clock.

        Below zero: it was late, or the venue's clock is behind. ``None`` without a tick.
        """
        self.count()
        skew, self._skew = self._skew, None
        return skew

    def count(self) -> None:
        """Count the rows that came, and give them to the recorder, if there is one."""
        if not self.came:
            return
        rows, now = self.came.copy(), time.time_ns()
        self.came.clear()
        self._rows += len(rows)
        for row in rows:
            name, ts_event = str(_instrument_of(row)), row.ts_event
            # Since the last count, whatever the adapter says: a row may have waited in the engine.
            at = min(max(row.ts_init, self._counted), now)
            self._first = self._first or at
            self._last = max(self._last, at)
            self._newest[name] = max(self._newest[name], ts_event)
            if not isinstance(row, model.Bar):
                skew = (ts_event - at) / _SECOND
                self._skew = skew if self._skew is None else max(self._skew, skew)
            if self.recorder is not None:
                self.recorder.add(*_series_of(row), row)
        self._counted = now


def _instrument_of(row: Any) -> model.InstrumentId:
    return row.bar_type.instrument_id if isinstance(row, model.Bar) else row.instrument_id


def _series_of(row: Any) -> tuple[str, str]:
    """Return type and identifier of the series that a row belongs to."""
    if isinstance(row, model.Bar):
        return "bars", str(row.bar_type)
    return "quotes" if isinstance(row, model.QuoteTick) else "trades", str(row.instrument_id)


class _Watcher(DataActor):
    """Subscribes to each instrument, and notes what comes and which sockets are lost."""

    def __new__(cls, *_arguments: Any) -> Self:
        """Accept the arguments of ``__init__``, which the native base class would refuse."""
        return super().__new__(cls)

    def __init__(self, data: ArrivingData, fail: Callable[[BaseException], None]) -> None:
        super().__init__()
        self._data = data
        self._fail = fail
        # Called without a frame of Python.
        for name in ("on_quote", "on_trade", "on_bar"):
            setattr(self, name, data.came.append)

    def on_start(self) -> None:
        try:
            self.subscribe_socket_state()
            for name in self._data.names:
                for subscribe, _, what in self._series(name):
                    subscribe(what)
        except Exception as error:  # noqa: BLE001 - the engine would only log it
            self._fail(error)
        self._data.subscribe_again = self._subscribe_again

    def _series(
        self, name: str
    ) -> Iterator[tuple[Callable[[Any], None], Callable[[Any], None], Any]]:
        """Yield how to subscribe to each series of an instrument, how to end that, and its id."""
        instrument_id = model.InstrumentId.from_str(name)
        if "quotes" in self._data.types:
            yield self.subscribe_quotes, self.unsubscribe_quotes, instrument_id
        if "trades" in self._data.types:
            yield self.subscribe_trades, self.unsubscribe_trades, instrument_id
        for kind in self._data.bar_kinds:
            bar_type = model.BarType.from_str(f"{name}-{kind}-EXTERNAL")
            yield self.subscribe_bars, self.unsubscribe_bars, bar_type

    def _subscribe_again(self, name: str) -> None:
        for subscribe, unsubscribe, what in self._series(name):
            unsubscribe(what)
            subscribe(what)

    def on_socket_state(self, event: Any) -> None:
        self._data.on_socket(str(event.endpoint), event.state == SocketState.CONNECTED)
