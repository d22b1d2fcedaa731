"""Prices and sizes in catalogs of NautilusTrader 1.x: whole numbers in fixed-size bytes."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pyarrow as pa

_WIDE, _NARROW = 16, 8
"""Bytes of a number with 16 decimal places, and of one with 9."""
_MARKS = (b"price_precision", b"bar_type", b"instrument_id")


def with_decimals(batch: Any) -> Any:
    """Return the rows with the numbers of a 1.x catalog as decimals; other rows unchanged."""
    metadata = batch.schema.metadata or {}
    if not any(mark in metadata for mark in _MARKS):
        return batch
    return pa.record_batch(
        [_decimals(column) for column in batch.columns], names=batch.schema.names
    )


def _decimals(column: Any) -> Any:
    kind = column.type
    if not pa.types.is_fixed_size_binary(kind):
        return column
    if kind.byte_width == _WIDE:
        # An Arrow decimal has the same bytes.
        return pa.Array.from_buffers(
            pa.decimal128(38, 16), len(column), column.buffers(), offset=column.offset
        )
    if kind.byte_width == _NARROW:
        import pyarrow.compute as pc  # takes long to import

        whole = pa.Array.from_buffers(
            pa.int64(), len(column), column.buffers(), offset=column.offset
        )
        unit = pa.scalar(Decimal("1e-9"), pa.decimal128(18, 9))
        return pc.multiply(whole.cast(pa.decimal128(19, 0)), unit)
    return column
