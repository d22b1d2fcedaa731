"""The columns of a task's artifacts: orders, fills, positions and equity."""

from __future__ import annotations

import pyarrow as pa

from trading_runtime.engine.raw_amounts import DECIMAL_PLACES

DECIMAL = pa.decimal128(38, DECIMAL_PLACES)
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
SCHEMAS = {"orders": ORDERS, "fills": FILLS, "positions": POSITIONS, "equity": EQUITY}
