"""What a task leaves in the engine's cache, as tables with stable rows and exact values."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from decimal import Decimal
from operator import itemgetter
from typing import TYPE_CHECKING, Any

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
    positions = sorted(
        positions,
        key=lambda position: _position_key(position, named.name(position.opening_order_id)),
    )
    position_of_trade: dict[tuple[str, str], int] = {}
    for number, position in enumerate(positions):
        instrument_id = str(position.instrument_id)
        for trade_id in position.trade_ids():
            position_of_trade.setdefault((instrument_id, str(trade_id)), number)
    ordered = _orders(named.orders, named.names)
    return TaskTables(
        {
            "orders": ordered,
            "fills": _fills(named, ordered, position_of_trade, valuation),
            "positions": _positions(positions, named, valuation),
            "equity": _equity(equity),
        }
    )


@functools.lru_cache(_AVERAGES_KEPT)
def _average(value: float) -> int:
    """Return the shortest decimal that reads back as ``value``, as the engine averages.

    Kept, since an order and the position that it opens or closes mostly have the same average.
    """
    text = repr(float(value))
    whole, _, places = text.partition(".")
    if len(places) <= DECIMAL_PLACES and "e" not in text and "n" not in text:
        # The text already contains the stored digits, as for most averages.
        return int(whole + places.ljust(DECIMAL_PLACES, "0"))
    return to_raw(Decimal(text))


def _position_key(position: Any, opening: str) -> tuple[Any, ...]:
    # Order ids end in a counter without leading zeros: shorter ones came first.
    closed = position.ts_closed
    return (
        position.ts_opened,
        len(opening),
        opening,
        str(position.instrument_id),
        closed is None,
        closed or 0,
    )


def _raw_prices(orders: Iterable[Any], name: str) -> list[int | None]:
    """Return a price of each order; some order types have none."""
    # A missing attribute costs several times as much as an existing one.
    priced = {kind for kind in set(map(type, orders)) if hasattr(kind, name)}
    return [
        None if type(order) not in priced or (price := getattr(order, name)) is None else price.raw
        for order in orders
    ]


def _averages(values: Iterable[float | None]) -> list[int | None]:
    return [None if value is None else _average(value) for value in values]


def _orders(orders: Sequence[Any], order_ids: list[str]) -> Columns:
    statuses = [order.status.name for order in orders]
    return {
        "order_id": order_ids,
        "instrument_id": [str(order.instrument_id) for order in orders],
        "side": [order.side.name for order in orders],
        "type": [order.order_type.name for order in orders],
        "quantity": [order.quantity.raw for order in orders],
        "filled_quantity": [order.filled_qty.raw for order in orders],
        "price": _raw_prices(orders, "price"),
        "trigger_price": _raw_prices(orders, "trigger_price"),
        "time_in_force": [order.time_in_force.name for order in orders],
        "reduce_only": [order.is_reduce_only for order in orders],
        "status": statuses,
        "average_price": _averages(order.avg_px for order in orders),
        "ts_init": [order.ts_init for order in orders],
        "ts_last": [order.ts_last for order in orders],
        "tags": [",".join(tags) if (tags := order.tags) else None for order in orders],
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
    keyed: list[tuple[int, int, Any, str, str]] = []
    for number, order in enumerate(named.orders):
        events = fills_of(order)
        own = [str(event.trade_id) for event in events]
        names = named.trade_ids(number, len(events)) or own
        for event, trade_id, name in zip(events, own, names, strict=True):
            keyed.append((event.ts_event, number, event, trade_id, name))
    keyed.sort(key=itemgetter(0, 1))
    fills = [event for _, _, event, _, _ in keyed]
    # What a fill shares with its order was read from the order.
    numbers = [number for _, number, _, _, _ in keyed]
    instrument_ids = [ordered["instrument_id"][number] for number in numbers]
    fees = [fill.commission for fill in fills]
    currencies = [valuation.currency if fee is None else fee.currency.code for fee in fees]
    return {
        "fill": list(range(len(fills))),
        "order_id": [ordered["order_id"][number] for number in numbers],
        "trade_id": [name for _, _, _, _, name in keyed],
        "instrument_id": instrument_ids,
        "side": [ordered["side"][number] for number in numbers],
        "quantity": [fill.last_qty.raw for fill in fills],
        "price": [fill.last_px.raw for fill in fills],
        "liquidity": [fill.liquidity_side.name for fill in fills],
        "fee": list(map(valuation.fee, fills, fees, currencies)),
        "fee_currency": currencies,
        "value": [
            valuation.value(fill, name) for fill, name in zip(fills, instrument_ids, strict=True)
        ],
        "position": [
            position_of_trade.get((instrument_id, trade_id))
            for instrument_id, (_, _, _, trade_id, _) in zip(instrument_ids, keyed, strict=True)
        ],
        "ts": [ts for ts, _, _, _, _ in keyed],
    }


def _positions(positions: Sequence[Any], named: NamedOrders, valuation: Valuation) -> Columns:
    closed = [position.ts_closed for position in positions]
    both = list(zip(positions, closed, strict=True))
    return {
        "position": list(range(len(positions))),
        "instrument_id": [str(position.instrument_id) for position in positions],
        "entry": [position.entry.name for position in positions],
        "peak_quantity": [position.peak_qty.raw for position in positions],
        "open_quantity": [
            (-1 if position.is_short else 1) * position.quantity.raw for position in positions
        ],
        "average_open": [_average(position.avg_px_open) for position in positions],
        "average_close": _averages(
            None if ts is None else position.avg_px_close for position, ts in both
        ),
        "realized_pnl": list(map(valuation.realized_pnl, positions)),
        "opening_order_id": [named.name(position.opening_order_id) for position in positions],
        "closing_order_id": [
            None
            if ts is None or (closing := position.closing_order_id) is None
            else named.name(closing)
            for position, ts in both
        ],
        "ts_opened": [position.ts_opened for position in positions],
        "ts_closed": closed,
    }


def _equity(samples: Iterable[EquitySample]) -> Columns:
    samples = list(samples)
    return {
        "ts": [sample.ts for sample in samples],
        "equity": [sample.raw for sample in samples],
        "open_positions": [sample.open_positions for sample in samples],
    }
