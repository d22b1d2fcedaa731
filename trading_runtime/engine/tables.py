"""What a task leaves behind in the engine's cache, as tables with stable rows and exact values."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from trading_runtime.engine.rates import EXACT

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nautilus_trader.common import Cache

    from trading_runtime.engine.equity import EquitySample
    from trading_runtime.engine.valuation import Valuation

_REFUSED = frozenset({"DENIED", "REJECTED"})
_SCALE = Decimal(1).scaleb(-16)
DECIMAL = pa.decimal128(38, 16)
TIME = pa.timestamp("ns", tz="UTC")


def _required(*fields: tuple[str, pa.DataType]) -> list[pa.Field]:
    return [pa.field(name, kind, nullable=False) for name, kind in fields]


ORDERS = pa.schema(
    [
        *_required(
            ("order_id", pa.string()),
            ("instrument_id", pa.string()),
            ("side", pa.string()),
            ("type", pa.string()),
            ("quantity", DECIMAL),
            ("filled_quantity", DECIMAL),
        ),
        pa.field("price", DECIMAL),
        pa.field("trigger_price", DECIMAL),
        *_required(
            ("time_in_force", pa.string()),
            ("reduce_only", pa.bool_()),
            ("status", pa.string()),
        ),
        pa.field("average_price", DECIMAL),
        *_required(("ts_init", TIME), ("ts_last", TIME)),
        pa.field("tags", pa.string()),
        pa.field("reason", pa.string()),
    ]
)
FILLS = pa.schema(
    [
        *_required(
            ("fill", pa.int64()),
            ("order_id", pa.string()),
            ("trade_id", pa.string()),
            ("instrument_id", pa.string()),
            ("side", pa.string()),
            ("quantity", DECIMAL),
            ("price", DECIMAL),
            ("liquidity", pa.string()),
            ("fee", DECIMAL),
            ("fee_currency", pa.string()),
            ("value", DECIMAL),
        ),
        pa.field("position", pa.int64()),
        *_required(("ts", TIME)),
    ]
)
POSITIONS = pa.schema(
    [
        *_required(
            ("position", pa.int64()),
            ("instrument_id", pa.string()),
            ("entry", pa.string()),
            ("peak_quantity", DECIMAL),
            ("open_quantity", DECIMAL),
            ("average_open", DECIMAL),
        ),
        pa.field("average_close", DECIMAL),
        *_required(("realized_pnl", DECIMAL), ("opening_order_id", pa.string())),
        pa.field("closing_order_id", pa.string()),
        *_required(("ts_opened", TIME)),
        pa.field("ts_closed", TIME),
    ]
)
EQUITY = pa.schema(_required(("ts", TIME), ("equity", DECIMAL), ("open_positions", pa.int32())))


@dataclass(frozen=True)
class TaskTables:
    """The rows of a task's artifacts, in the order in which they are stored."""

    orders: list[dict[str, Any]]
    fills: list[dict[str, Any]]
    positions: list[dict[str, Any]]
    equity: list[dict[str, Any]]

    def as_arrow(self) -> dict[str, pa.Table]:
        """Return each artifact's table by its name."""
        return {
            "orders": _table(self.orders, ORDERS),
            "fills": _table(self.fills, FILLS),
            "positions": _table(self.positions, POSITIONS),
            "equity": _table(self.equity, EQUITY),
        }


def collect(cache: Cache, equity: Sequence[EquitySample], valuation: Valuation) -> TaskTables:
    """Read orders, fills and positions from the engine's cache.

    Money is stated in the statistics currency. Ids that the engine draws at random are left out;
    positions are numbered by the time and the order that opened them, fills by time and order.
    Raises ``DataError`` when an exchange rate is missing.
    """
    keyed = sorted(_keyed(cache.orders(), "ts_init", "client_order_id"), key=_key)
    orders = [order for _, _, order in keyed]
    order_ids = [text for _, text, _ in keyed]
    keyed = sorted(
        _keyed([*cache.position_snapshots(), *cache.positions()], "ts_opened", "opening_order_id"),
        key=_key,
    )
    positions = [position for _, _, position in keyed]
    position_of_trade: dict[tuple[str, str], int] = {}
    for number, position in enumerate(positions):
        instrument_id = str(position.instrument_id)
        for trade_id in position.trade_ids():
            position_of_trade.setdefault((instrument_id, str(trade_id)), number)
    exactly = _Exactly()
    return TaskTables(
        orders=[
            _order(order, order_id, exactly)
            for order, order_id in zip(orders, order_ids, strict=True)
        ],
        fills=_fills(orders, position_of_trade, valuation, exactly),
        positions=[
            _position(number, position, valuation, exactly)
            for number, position in enumerate(positions)
        ],
        equity=[
            {"ts": item.ts, "equity": exact(item.equity), "open_positions": item.open_positions}
            for item in equity
        ],
    )


def exact(value: Decimal) -> Decimal:
    """Return ``value`` with the 16 decimal places that are stored, rounded half to even."""
    return value.quantize(_SCALE, context=EXACT)


class _Exactly:
    """Stored decimals of the engine's prices, quantities and floats: the same ones come often."""

    def __init__(self) -> None:
        self._of_raw: dict[tuple[int, int], Decimal] = {}
        self._of_float: dict[float, Decimal] = {}

    def fixed(self, value: Any) -> Decimal:
        """Return a price or a quantity."""
        key = (value.raw, value.precision)
        found = self._of_raw.get(key)
        if found is None:
            found = self._of_raw[key] = exact(value.as_decimal())
        return found

    def average(self, value: float) -> Decimal:
        """Return the shortest decimal that reads back as ``value``, as the engine averages."""
        found = self._of_float.get(value)
        if found is None:
            found = self._of_float[value] = exact(Decimal(repr(float(value))))
        return found


def _keyed(items: Iterable[Any], time: str, order: str) -> list[tuple[int, str, Any]]:
    return [(getattr(item, time), str(getattr(item, order)), item) for item in items]


def _key(keyed: tuple[int, str, Any]) -> tuple[int, int, str]:
    # Order ids end in a counter without leading zeros: shorter ones came first.
    ts, text, _ = keyed
    return ts, len(text), text


def _order(order: Any, order_id: str, exactly: _Exactly) -> dict[str, Any]:
    price = getattr(order, "price", None)
    trigger = getattr(order, "trigger_price", None)
    average = order.avg_px
    status = order.status.name
    tags = order.tags
    return {
        "order_id": order_id,
        "instrument_id": str(order.instrument_id),
        "side": order.side.name,
        "type": order.order_type.name,
        "quantity": exactly.fixed(order.quantity),
        "filled_quantity": exactly.fixed(order.filled_qty),
        "price": None if price is None else exactly.fixed(price),
        "trigger_price": None if trigger is None else exactly.fixed(trigger),
        "time_in_force": order.time_in_force.name,
        "reduce_only": order.is_reduce_only,
        "status": status,
        "average_price": None if average is None else exactly.average(average),
        "ts_init": order.ts_init,
        "ts_last": order.ts_last,
        "tags": ",".join(tags) if tags else None,
        "reason": _reason(order) if status in _REFUSED else None,
    }


def _reason(order: Any) -> str:
    """Return why the engine denied or the venue rejected the order."""
    return str(order.events()[-1].reason)


def _fills(
    orders: Iterable[Any],
    position_of_trade: dict[tuple[str, str], int],
    valuation: Valuation,
    exactly: _Exactly,
) -> list[dict[str, Any]]:
    events = [
        (event.ts_event, number, event)
        for number, order in enumerate(orders)
        for event in order.events()
        if type(event).__name__ == "OrderFilled"
    ]
    events.sort(key=lambda item: item[:2])
    rows = []
    for number, (ts, _, event) in enumerate(events):
        instrument_id, trade_id = str(event.instrument_id), str(event.trade_id)
        fee = event.commission
        rows.append(
            {
                "fill": number,
                "order_id": str(event.client_order_id),
                "trade_id": trade_id,
                "instrument_id": instrument_id,
                "side": event.order_side.name,
                "quantity": exactly.fixed(event.last_qty),
                "price": exactly.fixed(event.last_px),
                "liquidity": event.liquidity_side.name,
                "fee": exact(valuation.fee(event)),
                "fee_currency": valuation.currency if fee is None else fee.currency.code,
                "value": exact(valuation.value(event)),
                "position": position_of_trade.get((instrument_id, trade_id)),
                "ts": ts,
            }
        )
    return rows


def _position(
    number: int, position: Any, valuation: Valuation, exactly: _Exactly
) -> dict[str, Any]:
    closing, closed = position.closing_order_id, position.ts_closed
    sign = -1 if position.is_short else 1
    average_close = position.avg_px_close if closed is not None else None
    return {
        "position": number,
        "instrument_id": str(position.instrument_id),
        "entry": position.entry.name,
        "peak_quantity": exactly.fixed(position.peak_qty),
        "open_quantity": exact(sign * position.quantity.as_decimal()),
        "average_open": exactly.average(position.avg_px_open),
        "average_close": None if average_close is None else exactly.average(average_close),
        "realized_pnl": exact(valuation.realized_pnl(position)),
        "opening_order_id": str(position.opening_order_id),
        "closing_order_id": None if closing is None or closed is None else str(closing),
        "ts_opened": position.ts_opened,
        "ts_closed": closed,
    }


def _table(rows: Sequence[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    # A field's name and type are made anew whenever they are asked for.
    columns = [
        pa.array(list(map(itemgetter(name), rows)), kind)
        for name, kind in zip(schema.names, schema.types, strict=True)
    ]
    return pa.Table.from_arrays(columns, schema=schema)
