"""What a task's positions paid and received for funding."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from nautilus_trader.model import PositionAdjustmentType

from trading_runtime.datasets.slices import instants_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from nautilus_trader.common import Cache

    from trading_runtime.engine.accounting.valuation import RateHistory


class Funding(NamedTuple):
    """Settlements of funding rates on open positions."""

    amount: Decimal = Decimal(0)
    """Received minus paid, in the statistics currency."""
    settlements: int = 0
    """How often a position was charged or paid."""


NO_FUNDING = Funding()


LOST_AT_THE_START = (
    "A funding rate was sent at the window's start, the very instant at which it settles: it is "
    "charged to nobody, since the window starts flat"
)


def lost_at_the_start(data: Sequence[Mapping[str, Any]], catalog: Path, start: int) -> int:
    """Return how many rates are sent at ``start`` and settle there, when no position is open yet.

    The previous window ends there and does not include them.
    """
    if not any(series["type"] == "funding_rates" for series in data):
        return 0
    import pyarrow as pa
    import pyarrow.parquet as pq

    lost = 0
    for path in sorted((catalog / "data" / "funding_rates").rglob("*.parquet")):
        with pq.ParquetFile(path) as file:
            table = file.read(columns=["ts_init", "next_funding_ns"])
        times = instants_of(table)
        first, last = bisect_left(times, start), bisect_right(times, start)
        due = table["next_funding_ns"].slice(first, last - first).cast(pa.int64())
        lost += due.to_pylist().count(start)
    return lost


def settled_funding(cache: Cache, history: RateHistory) -> Funding:
    """Return what was settled, each amount at the exchange rate of its instant.

    Raises ``DataError`` when an exchange rate is missing.
    """
    settled = [
        change.pnl_change.as_decimal()
        * history.rate(change.pnl_change.currency.code, change.ts_event)
        for position in (*cache.position_snapshots(), *cache.positions())
        for change in position.adjustments()
        if change.adjustment_type == PositionAdjustmentType.FUNDING
        and change.pnl_change is not None
    ]
    return Funding(sum(settled, Decimal(0)), len(settled))
