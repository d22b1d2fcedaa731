"""The Arrow schemas of a task's tables.

They are separate from the values, since a session needs Arrow only when it stores something.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from trading_runtime.engine.accounting.valuation import DECIMAL_PLACES

if TYPE_CHECKING:
    from trading_runtime.engine.accounting.tables import Columns


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

_DECIMAL_BYTES = DECIMAL.byte_width
_SIGN = 0x80


def arrow_table(columns: Columns, schema: pa.Schema) -> pa.Table:
    """Return a table's columns as an Arrow table."""
    # A field's name and type are built again on every access.
    arrays = [
        _decimals(columns[name]) if kind == DECIMAL else pa.array(columns[name], kind)
        for name, kind in zip(schema.names, schema.types, strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def _decimals(unscaled: list[int | None]) -> pa.Array:
    """Return a column of decimals: in memory they are whole numbers of 16 bytes."""
    valid = None
    if None in unscaled:
        valid = pa.array([n is not None for n in unscaled], pa.bool_()).buffers()[1]
    known = [n or 0 for n in unscaled]
    try:
        content = b"".join([n.to_bytes(_DECIMAL_BYTES, "little") for n in known])
        is_signed = max(content[_DECIMAL_BYTES - 1 :: _DECIMAL_BYTES], default=0) >= _SIGN
    except OverflowError:  # some are below zero
        is_signed = True
    if is_signed:  # or too large, which it refuses; the keyword takes a third of the time
        content = b"".join([n.to_bytes(_DECIMAL_BYTES, "little", signed=True) for n in known])
    return pa.Array.from_buffers(DECIMAL, len(unscaled), [valid, pa.py_buffer(content)])
