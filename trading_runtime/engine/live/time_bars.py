"""Bars of a length in time that the engine makes (``INTERNAL``), for a replay.

A live node ends such bars by the wall clock, which a replay does not follow. So an engine of a
backtest, whose clock is that of the data, is given the same rows, and the bars that it makes are
played among them. It runs in a thread of its own: the engine allows one in each.
"""

from __future__ import annotations

import queue
import threading
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from nautilus_trader import model
from nautilus_trader.backtest import BacktestEngine, BacktestEngineConfig
from nautilus_trader.common import DataActor, LoggerConfig
from nautilus_trader.data import DataEngineConfig
from nautilus_trader.execution import MakerTakerFeeModel

from trading_runtime.engine.strategy.hidden_packages import without_versions_in_log

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trading_runtime.records.inputs import PartitionInputs

NEVER = 50 * 365 * 86_400 * 1_000_000
"""A delay in microseconds after which no bar ends while a session lasts."""
_END = object()


class _Answer(NamedTuple):
    rows: list[Any]
    error: BaseException | None = None


def is_made_of_time(what: Any) -> bool:
    """Tell whether the engine makes these bars, of a certain length in time."""
    if not isinstance(what, model.BarType):
        return False
    return what.standard().is_internally_aggregated() and what.spec.is_time_aggregated()


def is_made(row: Any) -> bool:
    """Tell whether a row is a bar that was made here, and no row of the data."""
    return isinstance(row, model.Bar) and row.bar_type.is_internally_aggregated()


class TimeBars:
    """Makes the bars of one replay, as its rows come."""

    def __init__(
        self,
        types: Sequence[model.BarType],
        partition: PartitionInputs,
        instruments: Sequence[Any],
        *,
        skips_empty: bool,
    ) -> None:
        """Make bars of these types, in whose order those of one instant are given out."""
        self._given: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._made: queue.SimpleQueue[_Answer] = queue.SimpleQueue()
        arguments = (types, partition, instruments, skips_empty)
        self._thread = threading.Thread(
            target=self._work, args=arguments, name="time bars", daemon=True
        )
        self._thread.start()

    def among(self, rows: list[Any]) -> list[Any]:
        """Return rows, the next ones in time order, with the bars that end among them."""
        heard = self._asked(rows)
        of_data = len(heard) - sum(map(is_made, heard))
        if of_data != len(rows):
            raise AssertionError(f"bars were made of {of_data} rows instead of {len(rows)}")
        return heard

    def last(self) -> list[Any]:
        """Return the bars that end after all rows, up to the end of the window."""
        return self._asked(_END)

    def close(self) -> None:
        """Release the engine."""
        self._given.put(None)
        self._thread.join()

    def _asked(self, what: Any) -> list[Any]:
        self._given.put(what)
        rows, error = self._made.get()
        if error is not None:
            raise error
        return rows

    def _work(
        self,
        types: Sequence[model.BarType],
        partition: PartitionInputs,
        instruments: Sequence[Any],
        skips_empty: bool,  # noqa: FBT001 - the thread's
    ) -> None:
        try:
            with without_versions_in_log():
                engine, listener = _new_engine(
                    types, partition, instruments, skips_empty=skips_empty
                )
        except BaseException as error:  # noqa: BLE001 - raised where rows are asked for
            self._made.put(_Answer([], error))
            return
        while (given := self._given.get()) is not None:
            try:
                if given is _END:
                    engine.end()
                elif given:
                    engine.add_data(given, validate=False)
                    engine.run(partition.warmup_start, partition.end - 1, streaming=True)
                    engine.clear_data()
                self._made.put(_Answer(listener.taken()))
            except BaseException as error:  # noqa: BLE001 - raised where rows are asked for
                self._made.put(_Answer([], error))
        engine.dispose()


def _new_engine(
    types: Sequence[model.BarType],
    partition: PartitionInputs,
    instruments: Sequence[Any],
    *,
    skips_empty: bool,
) -> tuple[BacktestEngine, _Listener]:
    engine = BacktestEngine(
        BacktestEngineConfig(
            logging=LoggerConfig(bypass_logging=True),
            run_analysis=False,
            data_engine=DataEngineConfig(time_bars_build_with_no_updates=not skips_empty),
        )
    )
    nothing = Decimal(0)
    for venue in sorted({item.id.venue for item in instruments}, key=str):
        engine.add_venue(
            venue,
            model.OmsType.NETTING,
            model.AccountType.MARGIN,
            [model.Money.from_str("1 USD")],
            fee_model=MakerTakerFeeModel(nothing, nothing),
        )
    for instrument in instruments:
        engine.add_instrument(instrument)
    listener = _Listener(types, partition)
    engine.add_actor(listener)
    return engine, listener


class _Listener(DataActor):
    """Hears rows and bars in the order in which a strategy does."""

    def __new__(cls, *_arguments: Any) -> Self:
        """Accept the arguments of ``__init__``, which the native base class would refuse."""
        return super().__new__(cls)

    def __init__(self, types: Sequence[model.BarType], partition: PartitionInputs) -> None:
        super().__init__()
        self._types = types
        self._partition = partition
        self._heard: list[Any] = []

    def on_start(self) -> None:
        """Subscribe to everything that there is."""
        for series in self._partition.data:
            if series.type == "bars":
                self.subscribe_bars(model.BarType.from_str(series.identifier))
            else:
                name = model.InstrumentId.from_str(series.instrument_id)
                getattr(self, f"subscribe_{series.type}")(name)
        for bar_type in self._types:
            self.subscribe_bars(bar_type)

    def on_bar(self, bar: model.Bar) -> None:
        """Hear a bar, of the data or made of it."""
        self._heard.append(bar)

    def on_quote(self, quote: model.QuoteTick) -> None:
        """Hear a quote."""
        self._heard.append(quote)

    def on_trade(self, trade: model.TradeTick) -> None:
        """Hear a trade."""
        self._heard.append(trade)

    def taken(self) -> list[Any]:
        """Return what was heard since the last time."""
        heard = self._heard.copy()
        self._heard.clear()
        return heard
