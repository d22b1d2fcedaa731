"""Order books: rows of changes become the engine's deltas; rows of levels become snapshots."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa

from trading_runtime.datasets.columns import decimals

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from trading_runtime.datasets.columns import Increment

SNAPSHOT = 32
"""The engine's flag ``F_SNAPSHOT``, on the delta with which a whole book begins."""
LAST = 128
"""The engine's flag ``F_LAST``: the delta is the last of its update."""
SIDES = {
    "bid": "BUY", "b": "BUY", "buy": "BUY", "ask": "SELL", "a": "SELL", "s": "SELL", "sell": "SELL",
    "offer": "SELL",
}  # fmt: skip
"""What a text of a side means, unless ``side_values`` says so."""
ACTIONS = {
    "add": "ADD", "a": "ADD", "new": "ADD", "insert": "ADD", "update": "UPDATE", "modify": "UPDATE",
    "change": "UPDATE", "m": "UPDATE", "delete": "DELETE", "cancel": "DELETE", "remove": "DELETE",
    "c": "DELETE", "clear": "CLEAR", "r": "CLEAR", "t": "NONE", "f": "NONE", "n": "NONE",
    "none": "NONE",
}  # fmt: skip
"""What a text of an action means, unless ``action_values`` says so."""
_NO_SIDE = "NO_ORDER_SIDE"
_UPDATE = ("ts", "ts_event")


def deltas(frames: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Yield rows of changes as deltas: ``action``, ``side``, ``flags`` and ``order_id`` complete.

    A snapshot begins with a delta that clears the book. The rows of one time are one update; its
    last row is flagged, so the last rows are held back until the next ones are known.
    """
    was_snapshot = False
    held: pl.DataFrame | None = None
    for frame in frames:
        if not frame.height:
            continue
        made, was_snapshot = _with_clears(_with_actions(frame), was_snapshot=was_snapshot)
        if held is not None:
            made = pl.concat([held, made], how="vertical_relaxed")
        end = pl.all_horizontal(pl.col(name) == pl.col(name).last() for name in _times(made))
        count = made.select(end.sum()).item()
        begin = made.height - int(count)
        # Rows of the same time that came before others are of an update of their own.
        tail = made.select(end)[:, 0]
        while begin < made.height and not tail[begin:].all():
            begin += 1
        held = made.slice(begin)
        if begin:
            yield _flagged(made.head(begin))
    if held is not None:
        yield _flagged(held)


def _times(frame: pl.DataFrame) -> list[str]:
    return [name for name in _UPDATE if name in frame.columns]


def _with_actions(frame: pl.DataFrame) -> pl.DataFrame:
    is_snapshot = pl.col("is_snapshot") if "is_snapshot" in frame.columns else pl.lit(value=False)
    if "action" not in frame.columns:
        action = (
            pl.when(is_snapshot).then(pl.lit("ADD"))
            .when(pl.col("size") == 0).then(pl.lit("DELETE")).otherwise(pl.lit("UPDATE"))
        )  # fmt: skip
        frame = frame.with_columns(action=action)
    numbers = {
        name: (pl.col(name) if name in frame.columns else pl.lit(0)).cast(pl.UInt64)
        for name in ("order_id", "sequence")
    }
    is_clear = pl.col("action") == "CLEAR"
    return frame.with_columns(
        is_snapshot=is_snapshot,
        side=pl.when(is_clear).then(pl.lit(_NO_SIDE)).otherwise("side"),
        price=pl.when(is_clear).then(0).otherwise("price"),
        size=pl.when(is_clear).then(0).otherwise("size"),
        **numbers,
    )


def _with_clears(frame: pl.DataFrame, *, was_snapshot: bool) -> tuple[pl.DataFrame, bool]:
    """Put a delta that clears the book before the first row of each snapshot."""
    snapshots = frame["is_snapshot"]
    begins = snapshots & ~snapshots.shift(1, fill_value=was_snapshot)
    # A snapshot whose file begins with a clearing row of its own needs no other.
    begins &= frame["action"] != "CLEAR"
    before = frame["action"].shift(1) == "CLEAR"
    begins &= ~before.fill_null(value=False)
    frame = frame.with_columns(at=pl.int_range(pl.len()) * 2 + 1)
    if begins.any():
        zero = pl.lit(0)
        clears = frame.filter(begins).with_columns(
            action=pl.lit("CLEAR"), side=pl.lit(_NO_SIDE), at=pl.col("at") - 1,
            price=zero.cast(frame["price"].dtype), size=zero.cast(frame["size"].dtype),
            order_id=zero.cast(pl.UInt64),
        )  # fmt: skip
        frame = pl.concat([frame, clears]).sort("at")
    return frame.drop("at"), bool(snapshots[-1])


def _flagged(frame: pl.DataFrame) -> pl.DataFrame:
    """Return whole updates with their flags."""
    same = pl.all_horizontal(
        pl.col(name) == pl.col(name).shift(-1) for name in _times(frame)
    ).fill_null(value=False)
    begins = (pl.col("action") == "CLEAR") & pl.col("is_snapshot")
    flags = begins.cast(pl.Int64) * SNAPSHOT + (~same).cast(pl.Int64) * LAST
    return frame.with_columns(flags=flags.cast(pl.UInt8))


_LEVEL = pa.struct(
    [
        pa.field("price", pa.decimal128(38, 16), nullable=False),
        pa.field("size", pa.decimal128(38, 16), nullable=False),
        pa.field("count", pa.uint32(), nullable=False),
        pa.field("order_id", pa.uint64(), nullable=False),
    ]
)
LEVELS = pa.list_(pa.field("item", _LEVEL, nullable=False))
"""How a catalog keeps one side of a snapshot."""


def levels(frame: pl.DataFrame, side: str, price: Increment, size: Increment) -> Any:
    """Return one side of the snapshots, ``bid`` or ``ask``: a list of levels for each row."""
    numbers = range(sum(name.startswith(f"{side}_price_") for name in frame.columns))
    parts = [
        frame.select(
            at=pl.int_range(pl.len()), level=pl.lit(number),
            price=f"{side}_price_{number}", size=f"{side}_size_{number}",
        )
        for number in numbers
    ]  # fmt: skip
    rows = pl.concat(parts, how="vertical_relaxed").drop_nulls().sort("at", "level")
    counts = rows.group_by("at").len().sort("at")
    per_row = frame.select(at=pl.int_range(pl.len())).join(counts, on="at", how="left")
    ends = per_row["len"].fill_null(0).cum_sum().cast(pl.Int32)
    values = pa.StructArray.from_arrays(
        [
            decimals(rows["price"], price),
            decimals(rows["size"], size),
            pa.array([1] * rows.height, pa.uint32()),
            pa.array([0] * rows.height, pa.uint64()),
        ],
        fields=list(_LEVEL),
    )
    offsets = pl.concat([pl.Series([0], dtype=pl.Int32), ends]).to_arrow()
    return pa.ListArray.from_arrays(offsets, values, type=LEVELS)
