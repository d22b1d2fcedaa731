"""What a task feeds to the engine, and how many steps the engine makes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nautilus_trader import model
from nautilus_trader.backtest import BacktestDataConfig

from trading_runtime.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

DELTAS = "order_book_deltas"
DEPTHS = "order_book_depths"
_DATA_TYPES = {
    "bars": model.NautilusDataType.Bar,
    "trades": model.NautilusDataType.TradeTick,
    "quotes": model.NautilusDataType.QuoteTick,
    DELTAS: model.NautilusDataType.OrderBookDelta,
    DEPTHS: model.NautilusDataType.OrderBookDepth,
    "mark_prices": model.NautilusDataType.MarkPriceUpdate,
    "index_prices": model.NautilusDataType.IndexPriceUpdate,
    "funding_rates": model.NautilusDataType.FundingRateUpdate,
}


def data_configs(partition: Mapping[str, Any], catalog: Path) -> list[BacktestDataConfig]:
    """Return the engine's configs of all series of a partition, whose rows are in ``catalog``.

    Instruments of the partition that have no rows are asked for all the same: the engine knows
    those alone whose data it was asked for, and a strategy may look them up.
    """
    configs = []
    for series in partition["data"]:
        is_bars = series["type"] == "bars"
        instrument_id = model.InstrumentId.from_str(series["instrument_id"])
        configs.append(
            BacktestDataConfig(
                _DATA_TYPES[series["type"]],
                str(catalog),
                instrument_id=None if is_bars else instrument_id,
                bar_types=[series["identifier"]] if is_bars else None,
            )
        )
    with_rows = {series["instrument_id"] for series in partition["data"]}
    configs += [
        BacktestDataConfig(
            model.NautilusDataType.TradeTick,
            str(catalog),
            instrument_id=model.InstrumentId.from_str(definition["id"]),
        )
        for definition in partition["instruments"]
        if definition["id"] not in with_rows
    ]
    return configs


def books_without_quotes(data: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the ids of instruments that have order book data, when there are no quotes at all.

    The engine's risk checks and its portfolio know prices from quotes, trades and bars only; from
    such books it has to make quotes, and does so for all books or for none.
    """
    if any(series["type"] == "quotes" for series in data):
        return []
    return sorted({item["instrument_id"] for item in data if item["type"] in {DELTAS, DEPTHS}})


def expected_steps(data: Sequence[Mapping[str, Any]], catalog: Path, rows: int) -> int:
    """Return how many steps the engine makes of ``rows`` rows: one a row, but one a book update.

    An update of an order book is all deltas up to the one with the flag ``F_LAST``.
    Raises ``DataError`` when the last delta of an instrument lacks it.
    """
    if not any(series["type"] == DELTAS for series in data):
        return rows
    folders = (catalog / "data" / DELTAS).iterdir()
    return rows - sum(_deltas_within_updates(folder) for folder in folders)


def _deltas_within_updates(folder: Path) -> int:
    """Return how many deltas of an instrument are not the last one of their update."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    within, complete = 0, True
    # File names begin with the time of their first row.
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
