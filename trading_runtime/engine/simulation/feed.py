"""What a task feeds to the engine, and how: from a catalog, or from decoded rows.

Both engines make the same calls with the same rows; what is decoded once serves all points of a
partition. The engine does not change the rows it is given.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
import tempfile
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from nautilus_trader import model
from nautilus_trader.backtest import (
    BacktestDataConfig,
    BacktestEngine,
    BacktestNode,
    BacktestRunConfig,
)
from nautilus_trader.persistence import ParquetDataCatalog

from trading_runtime.datasets.slices import folder_name, instants_of
from trading_runtime.engine.instruments.currencies import money
from trading_runtime.engine.simulation.custom_rows import market_series
from trading_runtime.engine.simulation.feeding_order import in_feeding_order
from trading_runtime.engine.simulation.rate_rows import RateRows
from trading_runtime.engine.simulation.settlement import write_closes
from trading_runtime.engine.strategy.failures import watch_escapes
from trading_runtime.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from nautilus_trader.backtest import BacktestEngineConfig, BacktestVenueConfig
    from nautilus_trader.common import Cache
    from nautilus_trader.model import InstrumentClose
    from nautilus_trader.portfolio import Portfolio

    from trading_runtime.engine.strategy.failures import FailureRecord
    from trading_runtime.records.inputs import PartitionInputs, SeriesInputs, TaskInputs


DELTAS = "order_book_deltas"
DEPTHS = "order_book_depths"
FUNDING = "funding_rates"
_DATA_TYPES = {
    "bars": model.NautilusDataType.Bar,
    "trades": model.NautilusDataType.TradeTick,
    "quotes": model.NautilusDataType.QuoteTick,
    DELTAS: model.NautilusDataType.OrderBookDelta,
    DEPTHS: model.NautilusDataType.OrderBookDepth,
    "mark_prices": model.NautilusDataType.MarkPriceUpdate,
    "index_prices": model.NautilusDataType.IndexPriceUpdate,
    FUNDING: model.NautilusDataType.FundingRateUpdate,
    "instrument_status": model.NautilusDataType.InstrumentStatus,
    "instrument_closes": model.NautilusDataType.InstrumentClose,
}


def data_configs(partition: PartitionInputs, catalog: Path) -> list[BacktestDataConfig]:
    """Return the engine's configs of all series of a partition, whose rows are in ``catalog``.

    Instruments of the partition without rows are also requested: the engine only knows instruments
    whose data was requested, and a strategy may look them up.
    """
    configs = []
    data = market_series(partition.data)
    for series in data:
        is_bars = series.type == "bars"
        instrument_id = model.InstrumentId.from_str(series.instrument_id)
        configs.append(
            BacktestDataConfig(
                _DATA_TYPES[series.type],
                str(catalog),
                instrument_id=None if is_bars else instrument_id,
                bar_types=[series.identifier] if is_bars else None,
            )
        )
    with_rows = {series.instrument_id for series in data}
    configs += [
        BacktestDataConfig(
            model.NautilusDataType.TradeTick,
            str(catalog),
            instrument_id=model.InstrumentId.from_str(definition.id),
        )
        for definition in partition.instruments
        if definition.id not in with_rows
    ]
    return configs


def last_instant(partition: PartitionInputs, closes: Sequence[InstrumentClose] = ()) -> int:
    """Return the instant up to which the engine runs: the last one before the window's end.

    It is the end itself with funding rates, or when a contract expires there at a stated price.
    What is settled then belongs to the positions held until then: the next window starts flat.
    """
    has_funding = any(series.type == FUNDING for series in partition.data)
    end = partition.end
    return end if has_funding or any(close.ts_init == end for close in closes) else end - 1


def _close_configs(folder: Path, closes: Sequence[InstrumentClose]) -> list[BacktestDataConfig]:
    kind = model.NautilusDataType.InstrumentClose
    return [
        BacktestDataConfig(kind, str(folder), instrument_id=close.instrument_id) for close in closes
    ]


def _rate_configs(rates: RateRows) -> list[BacktestDataConfig]:
    kind = model.NautilusDataType.QuoteTick
    return [BacktestDataConfig(kind, rates.path, instrument_id=pair.id) for pair in rates.pairs]


def books_without_quotes(data: Sequence[SeriesInputs]) -> list[str]:
    """Return the ids of instruments that have order book data and no quotes.

    The engine's risk checks and its portfolio know prices from quotes, trades and bars only; from
    such books it has to make quotes. It does so for all books or for none, so there are none when
    an instrument has both.
    """
    quoted = {series.instrument_id for series in data if series.type == "quotes"}
    books = {item.instrument_id for item in data if item.type in {DELTAS, DEPTHS}}
    return [] if books & quoted else sorted(books)


def expected_steps(data: Sequence[SeriesInputs], catalog: Path, rows: int) -> int:
    """Return how many steps the engine makes for ``rows`` rows: one per row, or per book update.

    An update of an order book is all deltas up to the one with the flag ``F_LAST``.
    Raises ``DataError`` when the last delta of an instrument lacks it.
    """
    if not any(series.type == DELTAS for series in data):
        return rows
    folders = (catalog / "data" / DELTAS).iterdir()
    return rows - sum(_deltas_within_updates(folder) for folder in folders)


def _deltas_within_updates(folder: Path) -> int:
    """Return how many deltas of an instrument are not the last of their update."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    within, complete = 0, True
    # File names start with the time of their first row.
    for path in sorted(folder.glob("*.parquet")):
        flags = pq.read_table(path, columns=["flags"])["flags"]
        is_last = pc.not_equal(pc.bit_wise_and(flags, model.RecordFlag.F_LAST.value), 0)
        within += len(flags) - (pc.sum(is_last).as_py() or 0)
        complete = is_last[-1].as_py() if len(flags) else complete
    if not complete:
        raise DataError(
            f"order book deltas of {folder.name} end without the flag F_LAST (128): the last "
            "update is incomplete; mark the last delta of each update"
        )
    return within


class RowBounds(NamedTuple):
    """Where the rows of a partition begin and end: ``ts_init`` in nanoseconds since the epoch."""

    firsts: list[int]
    """The first row of each series, in order."""
    last: int
    """The last row of all series; 0 for none."""


def row_bounds(data: Sequence[SeriesInputs], catalog: Path) -> RowBounds:
    """Return the bounds of the rows of all series of ``data``."""
    firsts: dict[Path, int] = {}
    last = 0
    for path, file in _files(data, catalog):
        if not file.metadata.num_rows:
            continue
        times = instants_of(file.read_row_group(0, ["ts_init"]))
        firsts[path.parent] = min(times[0], firsts.get(path.parent, times[0]))
        if (groups := file.metadata.num_row_groups) > 1:
            times = instants_of(file.read_row_group(groups - 1, ["ts_init"]))
        last = max(last, times[-1])
    return RowBounds(sorted(firsts.values()), last)


def last_rows(data: Sequence[SeriesInputs], catalog: Path, instants: Sequence[int]) -> list[int]:
    """Return for each of ``instants`` the time of the last row at or before it, 0 for none.

    Both are ``ts_init`` in nanoseconds since the epoch; ``instants`` are in order.
    """
    found = [0] * len(instants)
    for _, file in _files(data, catalog):
        for index in range(file.metadata.num_row_groups):
            times = instants_of(file.read_row_group(index, ["ts_init"]))
            if not times:
                continue
            first = bisect_left(instants, times[0])
            after = bisect_left(instants, times[-1])
            for number in range(first, after):
                last = times[bisect_right(times, instants[number]) - 1]
                found[number] = max(found[number], last)
            if after < len(instants):
                found[after] = max(found[after], times[-1])
    for number in range(1, len(found)):
        found[number] = max(found[number], found[number - 1])
    return found


def first_row_after(
    data: Sequence[SeriesInputs], catalog: Path, instrument_id: str, instant: int
) -> int | None:
    """Return the time of an instrument's first row after ``instant``, ``None`` without one."""
    mine = [item for item in market_series(data) if item.instrument_id == instrument_id]
    folders = {(series.type, folder_name(series.identifier)) for series in mine}
    found: list[int] = []
    for path, file in _files(mine, catalog):
        if (path.parent.parent.name, path.parent.name) not in folders:
            continue
        for index in range(file.metadata.num_row_groups):
            times = instants_of(file.read_row_group(index, ["ts_init"]))
            if times and times[-1] > instant:
                found.append(times[bisect_right(times, instant)])
                break
    return min(found, default=None)


def _files(data: Sequence[SeriesInputs], catalog: Path) -> Iterator[tuple[Path, Any]]:
    """Yield each file with rows of ``data``, opened by Arrow."""
    import pyarrow.parquet as pq

    for kind in sorted({series.type for series in data}):
        for path in sorted((catalog / "data" / kind).rglob("*.parquet")):
            with pq.ParquetFile(path) as file:
                yield path, file


CHUNK_ROWS = 50_000
"""Rows that the engine keeps at a time when it streams, and most rows decoded in advance."""
_RUN = "task"
READERS: dict[str, Callable[..., list[Any]]] = {
    "bars": ParquetDataCatalog.query_bars,
    "trades": ParquetDataCatalog.query_trade_ticks,
    "quotes": ParquetDataCatalog.query_quote_ticks,
}
"""How rows are decoded to objects that engines share; other types are streamed."""


def fed(inputs: TaskInputs) -> PartitionInputs:
    """Return the partition of a task with its series in feeding order."""
    partition, common = inputs.partition, inputs.common
    books = {name for name, item in common.all_venues.items() if item.book_type != "L1_MBP"}
    data = in_feeding_order(
        partition.data, bar_execution=common.venue.bar_execution, with_books=books
    )
    return replace(partition, data=data)


@dataclass(frozen=True)
class DecodedRows:
    """A partition's instruments and rows as the engine's own objects."""

    instruments: list[Any]
    """In the order and number in which a node gives them to the engine."""
    rows: list[Any]
    """In order of ``ts_init``; for equal values, in the order of the series."""
    bounds: RowBounds
    added: int = 0
    """How many of them are quotes of stand-in pairs (see ``rate_rows``)."""

    def instruments_with(self, closes: Sequence[InstrumentClose]) -> list[Any]:
        """Return the instruments, preceded by one more for each of ``closes``."""
        by_id = {item.id: item for item in self.instruments}
        return [*(by_id[close.instrument_id] for close in closes), *self.instruments]

    def rows_with(self, closes: Sequence[InstrumentClose]) -> list[Any]:
        """Return the rows and ``closes``, which come before the rows of their instant."""
        if not closes:
            return self.rows
        return sorted([*closes, *self.rows], key=attrgetter("ts_init"))


def decoded(inputs: TaskInputs, catalog: Path, rows: int) -> DecodedRows | None:
    """Decode all of a task's partition; ``None`` when it is too large or can only be streamed."""
    partition = fed(inputs)
    data = market_series(partition.data)
    if rows > CHUNK_ROWS or any(series.type not in READERS for series in data):
        return None
    reader = ParquetDataCatalog(str(catalog))
    # A node gives the engine one for each series, and the engine makes trade ids from their number.
    names = [series.instrument_id for series in data]
    names += [item.id for item in partition.instruments if item.id not in names]
    instruments = {str(item.id): item for item in reader.instruments()}
    found: list[Any] = []
    for series in data:
        found += READERS[series.type](reader, [series.identifier])
    with contextlib.closing(RateRows(inputs, catalog)) as rates:
        quotes = rates.decoded()
    known = [instruments[name] for name in names]
    if rates.come_first:
        found, known = [*quotes, *found], [*rates.pairs, *known]
    else:
        found, known = [*found, *quotes], [*known, *rates.pairs]
    found.sort(key=attrgetter("ts_init"))
    return DecodedRows(known, found, row_bounds(partition.data, catalog), len(quotes))


class FedEngine(Protocol):
    """An engine with its venue and instruments that has not run yet."""

    cache: Cache
    portfolio: Portfolio
    venues: Sequence[BacktestVenueConfig]

    def add_actor(self, actor: Any) -> None:
        """Add an actor."""

    def add_strategy(self, strategy: Any) -> None:
        """Add a strategy in Python."""

    def add_builtin_strategy(self, name: str, config: Any) -> None:
        """Add one of the engine's own strategies."""

    def run(self, failures: FailureRecord, was_stopped: Callable[[], bool]) -> int:
        """Run over all rows and return how many steps the engine made.

        Exceptions that escape from a strategy go to ``failures``; ``was_stopped`` says whether the
        run was shut down midway. Raises what the engine raises.
        """

    def dispose(self) -> None:
        """Release the engine; a process can have only one."""


class StreamingEngine:
    """An engine that decodes the rows of a catalog chunk by chunk."""

    def __init__(
        self,
        venues: Sequence[BacktestVenueConfig],
        config: BacktestEngineConfig,
        partition: PartitionInputs,
        rates: RateRows,
        closes: Sequence[InstrumentClose] = (),
    ) -> None:
        self.venues = venues
        catalog = rates.catalog
        self._closes = tempfile.TemporaryDirectory(dir=catalog) if closes else None
        configs = data_configs(partition, catalog)
        if self._closes is not None:
            folder = Path(self._closes.name)
            write_closes(folder, closes, partition.instruments)
            configs = [*_close_configs(folder, closes), *configs]
        added = _rate_configs(rates)
        configs = [*added, *configs] if rates.come_first else [*configs, *added]
        run = BacktestRunConfig(
            venues,
            configs,
            config,
            id=_RUN,
            chunk_size=CHUNK_ROWS,
            raise_exception=True,
            dispose_on_completion=False,
            start=partition.warmup_start,
            end=last_instant(partition, closes),
        )
        self._node = BacktestNode([run])
        with _disposing_of(self._node):
            self._node.build()
        self.cache = self._node.get_engine_cache(_RUN)
        self.portfolio = self._node.get_engine_portfolio(_RUN)

    def add_actor(self, actor: Any) -> None:
        """Add an actor."""
        self._node.add_actor(_RUN, actor)

    def add_strategy(self, strategy: Any) -> None:
        """Add a strategy in Python."""
        self._node.add_strategy(_RUN, strategy)

    def add_builtin_strategy(self, name: str, config: Any) -> None:
        """Add one of the engine's own strategies."""
        self._node.add_builtin_strategy(_RUN, name, config)

    def run(self, failures: FailureRecord, _was_stopped: Callable[[], bool]) -> int:
        """Run over all rows and return how many steps the engine made."""
        with watch_escapes(failures, sys._getframe()):  # noqa: SLF001 - it calls the engine
            return int(self._node.run()[0].iterations)

    def dispose(self) -> None:
        """Release the engine."""
        self._node.dispose()
        if self._closes is not None:
            self._closes.cleanup()


class SharingEngine:
    """An engine that gets already decoded rows."""

    def __init__(
        self,
        venues: Sequence[BacktestVenueConfig],
        config: BacktestEngineConfig,
        partition: PartitionInputs,
        decoded_rows: DecodedRows,
        closes: Sequence[InstrumentClose] = (),
    ) -> None:
        self.venues = venues
        self._engine = BacktestEngine(config)
        with _disposing_of(self._engine):
            for venue in venues:
                self._engine.add_venue(**_venue_arguments(venue))
            for instrument in decoded_rows.instruments_with(closes):
                self._engine.add_instrument(instrument)
        self._window = partition.warmup_start, last_instant(partition, closes)
        self._rows = decoded_rows.rows_with(closes)
        self.cache = self._engine.cache
        self.portfolio = self._engine.portfolio
        self.add_actor = self._engine.add_actor
        self.add_strategy = self._engine.add_strategy
        self.add_builtin_strategy = self._engine.add_builtin_strategy
        self.dispose = self._engine.dispose

    def run(self, failures: FailureRecord, was_stopped: Callable[[], bool]) -> int:
        """Run over all rows and return how many steps the engine made.

        These are the calls of a node that streams everything in one chunk.
        """
        engine = self._engine
        with watch_escapes(failures, sys._getframe()):  # noqa: SLF001 - it calls the engine
            if self._rows:
                engine.add_data(self._rows, validate=False)
                engine.run(*self._window, run_config_id=_RUN, streaming=True)
                engine.clear_data()
            if not was_stopped():
                engine.end()
            return int(engine.iteration)


ENGINE_CALLERS = frozenset({StreamingEngine.run.__code__, SharingEngine.run.__code__})
"""Code whose frames call the engine, and so everything the engine calls."""


@contextlib.contextmanager
def _disposing_of(engine: BacktestNode | BacktestEngine) -> Iterator[None]:
    """Release ``engine`` when it cannot be completed."""
    try:
        yield
    except BaseException:
        engine.dispose()
        raise


@functools.cache
def _venue_names() -> frozenset[str]:
    return frozenset(inspect.signature(BacktestEngine.add_venue).parameters)


def _venue_arguments(config: BacktestVenueConfig) -> dict[str, Any]:
    """Return the arguments of ``add_venue`` that a node makes from a venue's config."""
    arguments = {name: getattr(config, name) for name in dir(config) if name in _venue_names()}
    return arguments | {
        "venue": model.Venue(config.name),
        "starting_balances": [money(text) for text in config.starting_balances],
    }
