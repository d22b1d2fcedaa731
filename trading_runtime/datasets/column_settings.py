"""The columns of raw files, by what their values are."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field

from trading_runtime.config.fields import Model
from trading_runtime.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping


def _check_pattern(text: str) -> str:
    try:
        if text.format(0) != text.format(1):
            return text
    except (IndexError, KeyError, ValueError):
        pass
    raise ValueError(f"{text!r} is not a pattern of columns; write {{}} for the level's number")


Column = Annotated[int, Field(ge=1)] | str
"""A column by its name in the header, or by its position, counted from 1."""

Columns = Column | Annotated[list[Column], Field(min_length=2, max_length=2)]
"""A column, or two whose texts are joined with a space: ``[date, time]``."""

_SIZES = "for files without sizes set 'size: 1000000' (--set size=1000000)"
WITHOUT_COLUMN = {
    "volume": "; for files without volumes set 'volume: 1000' (--set volume=1000)",
    "bid_size": f"; {_SIZES}",
    "ask_size": f"; {_SIZES}",
    "where": "; for files of one instrument leave 'where' out (--set where=null)",
}
"""What else to do about a column that a file lacks, by what its values are."""


class BarColumns(Model):
    """The columns of a bar's values."""

    timestamp: Columns = "timestamp"
    """The bar's time, or its date and its time: ``[date, time]``; see ``timestamp_marks``."""
    open: Column = "open"
    """The first price."""
    high: Column = "high"
    """The highest price."""
    low: Column = "low"
    """The lowest price."""
    close: Column = "close"
    """The last price."""
    volume: Column | None = None
    """The traded volume, by default the column named ``volume``; see also ``volume`` above."""


class TradeColumns(Model):
    """The columns of a trade's values."""

    timestamp: Columns = "timestamp"
    """The time of the trade, or its date and its time: ``[date, time]``."""
    received: Column | None = None
    """When the trade was received: strategies see it at this time, and rows are ordered by it."""
    price: Column = "price"
    """The price."""
    size: Column = "size"
    """The size, in units of the instrument."""
    trade_id: Column | None = None
    """The id of the trade; when absent, trades are numbered from 1."""
    aggressor: Column | None = None
    """The side that took liquidity: BUY or SELL, or what ``aggressor_values`` names."""
    buyer_maker: Column | None = None
    """Whether the buyer was the maker (true or false): true makes the aggressor SELL."""


class QuoteColumns(Model):
    """The columns of a quote's values."""

    timestamp: Columns = "timestamp"
    """The time of the quote, or its date and its time: ``[date, time]``."""
    received: Column | None = None
    """When the quote was received: strategies see it at this time, and rows are ordered by it."""
    bid: Column = "bid"
    """The best bid price."""
    ask: Column = "ask"
    """The best ask price."""
    bid_size: Column | None = None
    """The size at the bid; absent when ``size`` is given."""
    ask_size: Column | None = None
    """The size at the ask; absent when ``size`` is given."""


class FundingColumns(Model):
    """The columns of a funding rate's values."""

    timestamp: Columns = "timestamp"
    """The time of the rate; see ``timestamp_marks``."""
    received: Column | None = None
    """When the rate was received: strategies see it at this time, and rows are ordered by it."""
    rate: Column = "rate"
    """The rate per settlement, such as ``0.0001``."""
    next_funding: Column | None = None
    """When the rate is settled."""
    interval_hours: Column | None = None
    """Hours between settlements."""


class ValueColumns(Model):
    """The columns of a mark or index price's values."""

    timestamp: Columns = "timestamp"
    """The time of the price."""
    received: Column | None = None
    """When the price was received: strategies see it at this time, and rows are ordered by it."""
    value: Column = "value"
    """The price."""


class BookDeltaColumns(Model):
    """The columns of a change of an order book."""

    timestamp: Columns = "timestamp"
    """The time of the change; rows of one time are one update."""
    received: Column | None = None
    """When the change was received: strategies see it at this time, and rows are ordered by it."""
    side: Column = "side"
    """The side of the book: bid or ask, or what ``side_values`` names."""
    price: Column = "price"
    """The price of the level or order."""
    size: Column = "size"
    """The size that is there now; without ``action``, a size of zero removes the level."""
    action: Column | None = None
    """What happened: add, update, delete or clear, or what ``action_values`` names."""
    order_id: Column | None = None
    """The number of the order, for books of single orders (L3)."""
    sequence: Column | None = None
    """The venue's number of the change."""
    is_snapshot: Column | None = None
    """Whether the row is part of a whole book (true or false), which replaces the book before."""


class BookDepthColumns(Model):
    """The columns of an order book's best levels; ``{}`` is the level's number, counted from 0."""

    timestamp: Columns = "timestamp"
    """The time of the snapshot."""
    received: Column | None = None
    """When it was received: strategies see it at this time, and rows are ordered by it."""
    bid_price: Annotated[str, AfterValidator(_check_pattern)] = "bids[{}].price"
    """The bids' prices, best first; empty where there is no level."""
    bid_size: Annotated[str, AfterValidator(_check_pattern)] = "bids[{}].amount"
    """The bids' sizes."""
    ask_price: Annotated[str, AfterValidator(_check_pattern)] = "asks[{}].price"
    """The asks' prices, best first; empty where there is no level."""
    ask_size: Annotated[str, AfterValidator(_check_pattern)] = "asks[{}].amount"
    """The asks' sizes."""
    sequence: Column | None = None
    """The venue's number of the snapshot."""


class StatusColumns(Model):
    """The columns of a change of an instrument's trading status."""

    timestamp: Columns = "timestamp"
    """The time of the change."""
    received: Column | None = None
    """When it was received: strategies see it at this time, and rows are ordered by it."""
    action: Column = "action"
    """The status: TRADING, HALT, CLOSE ..., or what ``action_values`` names."""
    reason: Column | None = None
    """The reason, a text."""


class CloseColumns(Model):
    """The columns of an official closing price."""

    timestamp: Columns = "timestamp"
    """The time of the close."""
    received: Column | None = None
    """When it was received: strategies see it at this time, and rows are ordered by it."""
    price: Column = "price"
    """The price."""


class CustomColumns(Model):
    """The columns of the times of a custom row; ``fields`` names those of its values."""

    timestamp: Columns = "timestamp"
    """The time of the row."""
    received: Column | None = None
    """When it was received: strategies see it at this time, and rows are ordered by it."""


def refuse_moved(where: str, roles: Mapping[str, Columns], names: list[str]) -> None:
    """Raise ``DataError`` when the header has another order than positions in ``columns``."""
    plain = [re.sub(r"[^a-z0-9]", "", name.lower()) for name in names]
    places = {
        role: column - 1
        for role, column in roles.items()
        if isinstance(column, int) and column <= len(names)
    }
    for role, place in places.items():
        word = role.replace("_", "")
        if plain[place].endswith(word):
            continue
        for other, at in places.items():
            is_its_own = plain[at].endswith(other.replace("_", ""))
            if plain[at].endswith(word) and not is_its_own:
                raise DataError(
                    f"{where}: the header names column {at + 1} {names[at]!r}, but "
                    f"'{role}' is read from column {place + 1}, {names[place]!r}; give the "
                    "names of this file's columns in 'columns'"
                )
