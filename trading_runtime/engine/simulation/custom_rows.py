"""Rows of the user's own, published to the strategy as the engine's clock reaches them.

The engine streams no such rows from a catalog. So a timer publishes them at their instant: after
the market's rows of it, as the engine would with rows that move no market, and before the
strategy's own timers.
"""

from __future__ import annotations

import collections
import heapq
import json
from typing import TYPE_CHECKING, Any, Self

from nautilus_trader.common import DataActor
from nautilus_trader.model import CustomData, DataType

from trading_runtime.datasets.slices import CUSTOM, folder_name, instants_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from trading_runtime.records.inputs import SeriesInputs

_BEFORE_TIMERS = "\2"
"""The name of the timer: the engine fires those of one instant in order of their names."""


def custom_series(data: Sequence[SeriesInputs]) -> list[SeriesInputs]:
    """Return the series of a partition that have rows of the user's own."""
    return [series for series in data if series.type == CUSTOM]


def market_series(data: Sequence[SeriesInputs]) -> list[SeriesInputs]:
    """Return the series of a partition that the engine itself takes from a catalog."""
    return [series for series in data if series.type != CUSTOM]


class CustomRows(DataActor):
    """Publishes the custom rows of a partition."""

    def __new__(cls, *_arguments: Any) -> Self:
        """Accept the arguments of ``__init__``, which the native base class would refuse."""
        return super().__new__(cls)

    def __init__(self, series: Sequence[SeriesInputs], catalog: Path) -> None:
        super().__init__()
        self.series = series
        self.published = 0
        """How many rows were published."""
        streams = [
            _rows(catalog / "data" / CUSTOM / folder_name(each.identifier)) for each in series
        ]
        self._rows = heapq.merge(*streams, key=lambda row: row.ts_init)
        self._next: CustomData | None = None

    def on_start(self) -> None:
        """Set the first alert."""
        self._next = next(self._rows, None)
        self._set_alert()

    def _set_alert(self) -> None:
        if self._next is not None:
            self.clock.set_time_alert_ns(_BEFORE_TIMERS, self._next.ts_init, self._publish)

    def _publish(self, _event: Any) -> None:
        now = self.clock.timestamp_ns()
        while self._next is not None and self._next.ts_init <= now:
            row, self._next = self._next, next(self._rows, None)
            self.published += 1
            self.publish_data(row.data_type, row)
        self._set_alert()


def _rows(folder: Path) -> Iterator[CustomData]:
    """Yield the rows of a series in order, decoded by row group."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for path in sorted(folder.glob("*.parquet")):
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            facts = {key.decode(): text.decode() for key, text in schema.metadata.items()}
            names = json.loads(facts["fields"])
            make: Any = _row_class(facts["type_name"], names)
            kind = DataType(facts["type_name"], identifier=facts["instrument_id"])
            for index in range(file.metadata.num_row_groups):
                table = file.read_row_group(index)
                columns = [table[name].to_pylist() for name in names]
                events = table["ts_event"].cast(pa.int64()).to_pylist()
                for values in zip(*columns, events, instants_of(table), strict=True):
                    yield CustomData(kind, make(*values))


def _row_class(name: str, fields: Sequence[str]) -> type:
    """Return the class of a series' rows: a named tuple, which a strategy cannot change."""
    return collections.namedtuple(name, [*fields, "ts_event", "ts_init"])  # noqa: PYI024
