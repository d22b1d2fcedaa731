"""What a task leaves in the engine's cache, as tables with stable rows and exact values."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from decimal import Decimal
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from trading_runtime.engine.accounting.drawn_ids import NamedOrders, fills_of
from trading_runtime.engine.accounting.valuation import DECIMAL_PLACES, from_raw, to_raw

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pyarrow as pa

    from trading_runtime.engine.accounting.equity import EquitySample
    from trading_runtime.engine.accounting.valuation import Valuation


_REFUSED = frozenset({"DENIED", "REJECTED"})
_AVERAGES_KEPT = 1 << 14

Columns = dict[str, list[Any]]
"""A table's values by column, decimals in whole numbers of 1e-16: the engine's own raw form."""


@dataclass(frozen=True)
class TaskTables:
    """A task's artifacts, in the order in which their rows are stored."""

    columns: Mapping[str, Columns]
    """By the artifact's name: ``orders``, ``fills``, ``positions``, ``equity``."""

    @classmethod
    def of_equity(cls, samples: Iterable[EquitySample]) -> TaskTables:
        """Return the tables of a task without orders."""
        from trading_runtime.engine.accounting.schemas import SCHEMAS

        empty: dict[str, Columns] = {
            name: {column: [] for column in schema.names} for name, schema in SCHEMAS.items()
        }
        return cls(empty | {"equity": _equity(samples)})

    @property
    def orders(self) -> list[dict[str, Any]]:
        """The orders row by row, with values as decimals."""
        return self._rows("orders")

    @property
    def fills(self) -> list[dict[str, Any]]:
        """The fills row by row."""
        return self._rows("fills")

    @property
    def positions(self) -> list[dict[str, Any]]:
        """The positions row by row."""
        return self._rows("positions")

    @property
    def equity(self) -> list[dict[str, Any]]:
        """The samples of equity row by row."""
        return self._rows("equity")

    def as_arrow(self) -> dict[str, pa.Table]:
        """Return each artifact's table by its name."""
        from trading_runtime.engine.accounting.schemas import SCHEMAS, arrow_table

        return {name: arrow_table(columns, SCHEMAS[name]) for name, columns in self.columns.items()}

    def _rows(self, name: str) -> list[dict[str, Any]]:
        from trading_runtime.engine.accounting.schemas import DECIMAL, SCHEMAS

        columns = {
            field.name: [None if n is None else from_raw(n) for n in self.columns[name][field.name]]
            if field.type == DECIMAL
            else self.columns[name][field.name]
            for field in SCHEMAS[name]
        }
        return [
            dict(zip(columns, values, strict=True))
            for values in zip(*columns.values(), strict=True)
        ]


def collect(
    orders: Iterable[Any],
    positions: Iterable[Any],
    equity: Sequence[EquitySample],
    valuation: Valuation,
) -> TaskTables:
    """Return the tables of all orders and positions that the engine and its guard had.

    Money is stated in the statistics currency. Random ids of the engine are left out or replaced by
    numbers (see ``drawn_ids``); positions are numbered by the time and the order that opened them,
    fills by time and order. Raises ``DataError`` when an exchange rate is missing.
    """
    named = NamedOrders.of(orders)
    opened = _Opened.of(positions, named)
    position_of_trade: dict[tuple[str, str], int] = {}
    for number, (position, instrument_id) in enumerate(
        zip(opened.positions, opened.instrument_ids, strict=True)
    ):
        for trade_id in position.trade_ids():
            position_of_trade.setdefault((instrument_id, str(trade_id)), number)
    ordered = _orders(named.orders, named.names)
    return TaskTables(
        {
            "orders": ordered,
            "fills": _fills(named, ordered, position_of_trade, valuation),
            "positions": _positions(opened, named, valuation),
            "equity": _equity(equity),
        }
    )


class _Opened(NamedTuple):
    """Positions in the order in which they were opened, and what that order follows from."""

    positions: list[Any]
    instrument_ids: list[str]
    opening_order_ids: list[str]
    times: list[int]
    closing_times: list[int | None]

    @classmethod
    def of(cls, found: Iterable[Any], named: NamedOrders) -> Self:
        """Sort by the time and the order that opened them, then by instrument and closing."""
        positions = list(found)
        times = _values("ts_opened", positions)
        opening = named.names_of(_values("opening_order_id", positions))
        instrument_ids = _texts("instrument_id", positions)
        closing_times = _values("ts_closed", positions)
        # Order ids end in a counter without leading zeros: shorter ones came first.
        keys = [
            (ts, len(order_id), order_id, instrument_id, closed is None, closed or 0, number)
            for number, (ts, order_id, instrument_id, closed) in enumerate(
                zip(times, opening, instrument_ids, closing_times, strict=True)
            )
        ]
        places = [key[-1] for key in sorted(keys)]
        return cls(
            [positions[place] for place in places],
            [instrument_ids[place] for place in places],
            [opening[place] for place in places],
            [times[place] for place in places],
            [closing_times[place] for place in places],
        )


def _values(name: str, items: Iterable[Any]) -> list[Any]:
    """Return an attribute of each item; ``name`` may have dots.

    Every access crosses into the engine, and a loop in Python would cost as much again.
    """
    return list(map(attrgetter(name), items))


def _texts(name: str, items: Iterable[Any]) -> list[str]:
    return list(map(str, map(attrgetter(name), items)))


@functools.lru_cache(_AVERAGES_KEPT)
def _average(value: float) -> int:
    """Return the shortest decimal that reads back as ``value``, as the engine averages.

    Kept, since an order and the position that it opens or closes mostly have the same average.
    """
    text = repr(value)
    whole, _, places = text.partition(".")
    if len(places) <= DECIMAL_PLACES and "e" not in text and "n" not in text:
        # The text already contains the stored digits, as for most averages.
        return int(whole + places.ljust(DECIMAL_PLACES, "0"))
    return to_raw(Decimal(text))


def _raw_prices(orders: Sequence[Any], name: str) -> list[int | None]:
    """Return a price of each order; some order types have none."""
    # A missing attribute costs several times as much as an existing one.
    priced = {kind for kind in set(map(type, orders)) if hasattr(kind, name)}
    if not priced:
        return [None] * len(orders)
    return [
        None if type(order) not in priced or (price := getattr(order, name)) is None else price.raw
        for order in orders
    ]


def _averages(values: Iterable[Any]) -> list[int | None]:
    # Numbers of orders are decimals, whose hash costs more than the text of a float.
    return [None if value is None else _average(float(value)) for value in values]


def _orders(orders: Sequence[Any], order_ids: list[str]) -> Columns:
    statuses = _values("status.name", orders)
    return {
        "order_id": order_ids,
        "instrument_id": _texts("instrument_id", orders),
        "side": _values("side.name", orders),
        "type": _values("order_type.name", orders),
        "quantity": _values("quantity.raw", orders),
        "filled_quantity": _values("filled_qty.raw", orders),
        "price": _raw_prices(orders, "price"),
        "trigger_price": _raw_prices(orders, "trigger_price"),
        "time_in_force": _values("time_in_force.name", orders),
        "reduce_only": _values("is_reduce_only", orders),
        "status": statuses,
        "average_price": _averages(map(attrgetter("avg_px"), orders)),
        "ts_init": _values("ts_init", orders),
        "ts_last": _values("ts_last", orders),
        "tags": [",".join(tags) if tags else None for tags in map(attrgetter("tags"), orders)],
        "reason": [
            _reason(order) if status in _REFUSED else None
            for order, status in zip(orders, statuses, strict=True)
        ],
    }


def _reason(order: Any) -> str:
    """Return why the engine denied or the venue rejected the order."""
    return str(order.events()[-1].reason)


def _fills(
    named: NamedOrders,
    ordered: Columns,
    position_of_trade: Mapping[tuple[str, str], int],
    valuation: Valuation,
) -> Columns:
    """Return the fills of the orders, whose own columns are ``ordered``."""
    keyed: list[tuple[int, int, Any, str]] = []
    drawn_names: dict[tuple[int, str], str] = {}
    for number, (order, filled) in enumerate(
        zip(named.orders, ordered["filled_quantity"], strict=True)
    ):
        if not filled:
            continue
        events = fills_of(order, filled)
        own = [str(event.trade_id) for event in events]
        keyed += [
            (event.ts_event, number, event, trade_id)
            for event, trade_id in zip(events, own, strict=True)
        ]
        if named.drawn and (names := named.trade_ids(number, len(events))) is not None:
            drawn_names |= zip(((number, each) for each in own), names, strict=True)
    keyed.sort(key=itemgetter(0, 1))
    times, numbers, fills, trade_ids = map(list, zip(*keyed, strict=True)) if keyed else [[]] * 4
    # What a fill shares with its order was read from the order.
    instrument_ids, order_ids, sides = (
        list(map(ordered[name].__getitem__, numbers))
        for name in ("instrument_id", "order_id", "side")
    )
    quantities, prices = _values("last_qty", fills), _values("last_px", fills)
    fees = _values("commission", fills)
    currencies = [valuation.currency if fee is None else fee.currency.code for fee in fees]
    return {
        "fill": list(range(len(fills))),
        "order_id": order_ids,
        "trade_id": trade_ids
        if not drawn_names
        else [drawn_names.get(each, each[1]) for each in zip(numbers, trade_ids, strict=True)],
        "instrument_id": instrument_ids,
        "side": sides,
        "quantity": _values("raw", quantities),
        "price": _values("raw", prices),
        "liquidity": _values("liquidity_side.name", fills),
        "fee": valuation.fees(fills, fees, currencies),
        "fee_currency": currencies,
        "value": valuation.values(fills, quantities, prices, instrument_ids),
        "position": list(map(position_of_trade.get, zip(instrument_ids, trade_ids, strict=True))),
        "ts": times,
    }


def _positions(opened: _Opened, named: NamedOrders, valuation: Valuation) -> Columns:
    positions, closed = opened.positions, opened.closing_times
    quantities = _values("quantity.raw", positions)
    closing = [
        None if ts is None else position.closing_order_id
        for position, ts in zip(positions, closed, strict=True)
    ]
    return {
        "position": list(range(len(positions))),
        "instrument_id": opened.instrument_ids,
        "entry": _values("entry.name", positions),
        "peak_quantity": _values("peak_qty.raw", positions),
        "open_quantity": [
            -quantity if quantity and position.is_short else quantity
            for position, quantity in zip(positions, quantities, strict=True)
        ],
        "average_open": _averages(map(attrgetter("avg_px_open"), positions)),
        "average_close": _averages(
            None if ts is None else position.avg_px_close
            for position, ts in zip(positions, closed, strict=True)
        ),
        "realized_pnl": list(map(valuation.realized_pnl, positions)),
        "opening_order_id": opened.opening_order_ids,
        "closing_order_id": [None if each is None else named.name(each) for each in closing],
        "ts_opened": opened.times,
        "ts_closed": closed,
    }


def _equity(samples: Iterable[EquitySample]) -> Columns:
    samples = list(samples)
    return {
        "ts": _values("ts", samples),
        "equity": _values("raw", samples),
        "open_positions": _values("open_positions", samples),
    }
