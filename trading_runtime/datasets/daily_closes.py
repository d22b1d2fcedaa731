"""The price of each instrument at the end of each day of a window, from the rows of the window."""

from __future__ import annotations

from bisect import bisect_left
from decimal import Context, Decimal
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from trading_runtime.canonical import decimal_text
from trading_runtime.datasets.slices import instants_of
from trading_runtime.units import day_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pyarrow as pa

    from trading_runtime.records.plan import PlannedPartition

_PRICES = {
    "bars": ("close",),
    "trades": ("price",),
    "quotes": ("bid_price", "ask_price"),
}
"""By type of data, the best first: the columns whose mean is the price."""

_EXACT = Context(prec=60)

type DailyCloses = dict[str, list[list[Any]]]
"""By instrument: ``[day, price]`` of the first row, then of the last row of each day.

A day is a number since the epoch, a price a decimal as text.
"""


def daily_closes(partition: PlannedPartition, catalog: Path) -> DailyCloses:
    """Return the daily prices of each instrument of a window that was cut to ``catalog``.

    Of several series of an instrument the first is taken: bars before trades before quotes, then by
    identifier. The cost is one search per day, and one read of two columns.
    """
    found: DailyCloses = {}
    for kind, columns in _PRICES.items():
        series = [each for each in partition.data if each.type == kind]
        for each in sorted(series, key=attrgetter("identifier")):
            if each.instrument_id not in found:
                closes = list(_closes(catalog / each.folder, columns, partition.start))
                if closes:
                    found[each.instrument_id] = closes
    return dict(sorted(found.items()))


def _closes(folder: Path, columns: tuple[str, ...], start: int) -> Iterator[list[Any]]:
    """Yield day and price of the first row, and of each day's last row."""
    latest: list[Any] | None = None
    is_first = True
    for path in sorted(folder.glob("*.parquet")):
        with pq.ParquetFile(path) as file:
            table = file.read(columns=["ts_init", *columns], use_threads=False)
        times = instants_of(table)
        place = bisect_left(times, start)
        while place < len(times):
            day = day_of(times[place])
            if is_first:
                yield [day, _price(table, columns, place)]
                is_first = False
            if latest is not None and latest[0] != day:
                yield latest
            place = bisect_left(times, day + 1, place, key=day_of)
            latest = [day, _price(table, columns, place - 1)]
    if latest is not None:
        yield latest


def _price(table: pa.Table, columns: tuple[str, ...], place: int) -> str:
    values: list[Decimal] = [table[name][place].as_py() for name in columns]
    return decimal_text(_EXACT.divide(sum(values[1:], values[0]), Decimal(len(values))))
