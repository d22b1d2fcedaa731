"""Which columns of a series are prices and which are sizes, and what a file's numbers count."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from trading_runtime.datasets.data_file import BookDepthSeries

if TYPE_CHECKING:
    from trading_runtime.datasets.columns import Increment
    from trading_runtime.datasets.data_file import Series

NO_PRICE = "9223372036854775807"
"""What Databento has in place of a price."""
_PRICES: dict[str, tuple[str, ...]] = {
    "bars": ("open", "high", "low", "close"),
    "trades": ("price",),
    "quotes": ("bid", "ask"),
    "mark_prices": ("value",),
    "index_prices": ("value",),
    "order_book_deltas": ("price",),
    "instrument_closes": ("price",),
}
_SIZES: dict[str, tuple[str, ...]] = {
    "bars": ("volume",),
    "trades": ("size",),
    "quotes": ("bid_size", "ask_size"),
    "order_book_deltas": ("size",),
}


def price_columns(series: Series) -> tuple[str, ...]:
    """Return the columns of prices."""
    if isinstance(series, BookDepthSeries):
        return tuple(f"{side}_price_{at}" for side in ("bid", "ask") for at in range(series.levels))
    return _PRICES.get(series.type, ())


def size_columns(series: Series) -> tuple[str, ...]:
    """Return the columns of sizes."""
    if isinstance(series, BookDepthSeries):
        return tuple(f"{side}_size_{at}" for side in ("bid", "ask") for at in range(series.levels))
    return _SIZES.get(series.type, ())


def scale_of(series: Series, name: str) -> Decimal:
    """Return the factor that the numbers of a column are multiplied by."""
    if series.scale is None:
        return Decimal(1)
    return series.scale.prices if name in price_columns(series) else series.scale.sizes


def one_tick(series: Series, name: str, tick: Increment) -> str:
    """Return a tick as a raw file would have it."""
    return format(tick.value / scale_of(series, name), "f")
