"""Exchange rates that the engine lacks: quotes of stand-in pairs, from the data's own prices.

An account of a single currency converts with quotes, or bars of bid and ask, of the venue's own
instruments. What has only trades or bars of the last price gets a pair beside it that is not
traded: its quotes are these prices, so that the engine's own conversion finds them. They move no
market.
"""

from __future__ import annotations

import tempfile
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from nautilus_trader import model
from nautilus_trader.persistence import ParquetDataCatalog
from nautilus_trader.serialization import get_arrow_schema_bytes

from trading_runtime.datasets.slices import folder_name
from trading_runtime.engine.instruments.definitions import build_instruments
from trading_runtime.engine.simulation.feeding_order import length_and_side
from trading_runtime.engine.simulation.venue import has_latency

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trading_runtime.records.inputs import SeriesInputs, TaskInputs

_PREFIX = "RATE-"
_COLUMNS = {"trades": ("price", "price"), "quotes": ("bid_price", "ask_price")}
_OF_BARS = ("close", "close")
_QUOTED = frozenset({"quotes", "order_book_deltas", "order_book_depths"})


class RateSource(NamedTuple):
    """A series whose prices are an exchange rate at a venue that has no other."""

    pair: Any
    """The stand-in, an instrument of the venue."""
    series: SeriesInputs


def rate_sources(inputs: TaskInputs) -> list[RateSource]:
    """Return what gives a task's accounts of a single currency the rates that they need.

    The venue's own instruments come first, then those of other venues.
    """
    partition = inputs.partition
    series_of: dict[str, list[SeriesInputs]] = {}
    for series in partition.data:
        series_of.setdefault(series.instrument_id, []).append(series)
    found: list[RateSource] = []
    venues = inputs.common.all_venues.items()
    bases = {name: venue.base_currency for name, venue in venues if venue.base_currency}
    instruments = build_instruments(partition.instruments) if bases else []
    for name, base in bases.items():
        wanted = {_settled_in(item) for item in instruments if item.id.venue.value == name}
        if wanted <= {base}:
            continue
        wanted.add(base)
        has_rate = {
            _pair(item)
            for item in instruments
            if item.id.venue.value == name and _is_quoted(series_of.get(str(item.id), ()))
        }
        own_first = sorted(
            instruments, key=lambda item: (item.id.venue.value != name, str(item.id))
        )
        for item in own_first:
            pair = _pair(item)
            best = _best(series_of.get(str(item.id), ()), is_own=item.id.venue.value == name)
            if best is not None and pair not in has_rate and pair & wanted:
                has_rate.add(pair)
                found.append(RateSource(_stand_in(item, name), best))
    return found


def _settled_in(instrument: Any) -> str:
    settlement = getattr(instrument, "settlement_currency", None) or instrument.quote_currency
    return str(settlement.code)


def _pair(instrument: Any) -> frozenset[str]:
    """Return the currencies that an instrument trades for each other, none for a stock."""
    base = getattr(instrument, "base_currency", None)
    return frozenset() if base is None else frozenset({base.code, instrument.quote_currency.code})


def _is_quoted(of_instrument: Sequence[SeriesInputs]) -> bool:
    """Return whether the engine converts with these series itself."""
    kinds = {series.type for series in of_instrument}
    sides = {_side(series) for series in of_instrument if series.type == "bars"}
    return not kinds.isdisjoint(_QUOTED) or {1, 2} <= sides


def _best(of_instrument: Sequence[SeriesInputs], *, is_own: bool) -> SeriesInputs | None:
    """Return the series whose prices are the latest: quotes, trades, or the shortest bars."""

    def key(series: SeriesInputs) -> tuple[float, str]:
        name = series.identifier
        order = {"quotes": -2.0, "trades": -1.0}
        return order.get(series.type) or length_and_side(name)[0], name

    usable = [
        series
        for series in of_instrument
        if series.type == "trades"
        or (series.type == "quotes" and not is_own)
        or (series.type == "bars" and not _side(series))
    ]
    return min(usable, key=key, default=None)


def _side(series: SeriesInputs) -> int:
    return length_and_side(series.identifier)[1]


def _stand_in(instrument: Any, venue: str) -> Any:
    make: Any = model.CurrencyPair
    symbol = f"{_PREFIX}{instrument.id.symbol.value}"
    return make(
        model.InstrumentId.from_str(f"{symbol}.{venue}"),
        model.Symbol(symbol),
        instrument.base_currency,
        instrument.quote_currency,
        instrument.price_precision,
        0,
        instrument.price_increment,
        model.Quantity.from_int(1),
        0,
        0,
    )


class RateRows:
    """Quotes of stand-in pairs, in a catalog of their own."""

    def __init__(self, inputs: TaskInputs, catalog: Path) -> None:
        """Make the quotes that a task needs from its rows in ``catalog``."""
        self.come_first = not has_latency(inputs.common)
        """Whether they come before the other rows of their instant.

        Then a fill is converted at the price that it fills at. An order on its way because of a
        latency would arrive with the first row of an instant, so then they come last.
        """
        self.catalog = catalog
        self.pairs: list[Any] = []
        self.added = 0
        """How many quotes there are."""
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        if sources := rate_sources(inputs):
            self.pairs = [source.pair for source in sources]
            self._folder = tempfile.TemporaryDirectory(dir=catalog)
            ParquetDataCatalog(self.path).write_instruments(self.pairs)
            self.added = sum(_write(Path(self.path), source, catalog) for source in sources)

    @property
    def path(self) -> str:
        """Folder of the catalog; empty when nothing is needed."""
        return "" if self._folder is None else self._folder.name

    def decoded(self) -> list[Any]:
        """Return the quotes, pair after pair."""
        if not self.pairs:
            return []
        reader = ParquetDataCatalog(self.path)
        return [quote for pair in self.pairs for quote in reader.query_quote_ticks([str(pair.id)])]

    def close(self) -> None:
        """Remove the quotes."""
        if self._folder is not None:
            self._folder.cleanup()


def _write(folder: Path, source: RateSource, catalog: Path) -> int:
    """Write each row of a series as a quote, and return how many there are."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pair, series = source
    bid, ask = _COLUMNS.get(series.type, _OF_BARS)
    schema = pa.ipc.open_stream(get_arrow_schema_bytes(model.QuoteTick)).schema
    schema = schema.with_metadata(
        {
            "type_name": "QuoteTick",
            "instrument_id": str(pair.id),
            "price_precision": str(pair.price_precision),
            "size_precision": "0",
        }
    )
    one = pa.scalar(Decimal(1), schema.field("bid_size").type)
    into = folder / "data" / "quotes" / folder_name(str(pair.id))
    into.mkdir(parents=True)
    rows = 0
    for path in sorted((catalog / "data" / series.type / folder_name(series.identifier)).glob("*")):
        with pq.ParquetFile(path) as file, pq.ParquetWriter(into / path.name, schema) as writer:
            for index in range(file.metadata.num_row_groups):
                table = file.read_row_group(index, sorted({bid, ask, "ts_init"}))
                count, times = table.num_rows, table["ts_init"]
                size = pa.repeat(one, count)
                columns = {
                    "bid_price": table[bid],
                    "ask_price": table[ask],
                    "bid_size": size,
                    "ask_size": size,
                    "ts_event": times,
                    "ts_init": times,
                    "identifier": pa.repeat(pa.scalar(str(pair.id)), count),
                }
                writer.write_table(pa.table([columns[name] for name in schema.names], schema))
                rows += count
    return rows
