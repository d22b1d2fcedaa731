"""What differs between two results is named by key, or by file, row and column."""

from __future__ import annotations

import datetime as dt
import io
import json
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trading_runtime.verification.why import (
    FileDifference,
    InputDifference,
    first_difference,
    input_differences,
)

MONEY = pa.decimal128(38, 16)
FILLS = pa.schema(
    [
        ("fill", pa.int64()),
        ("order_id", pa.string()),
        ("price", MONEY),
        ("fee", MONEY),
        ("position", pa.int64()),
        ("ts", pa.timestamp("ns", tz="UTC")),
    ]
)
NOON = 1_704_110_400 * 1_000_000_000
"""2024-01-01T12:00:00Z."""


def fill(number: int, **changes: Any) -> dict[str, Any]:
    """One row of fills, a minute after the one before."""
    row = {
        "fill": number,
        "order_id": f"O-{number}",
        "price": Decimal("100.5"),
        "fee": Decimal("0.05"),
        "position": 0,
        "ts": NOON + number * 60_000_000_000,
    }
    return row | changes


def parquet(rows: list[dict[str, Any]], schema: pa.Schema = FILLS, **options: Any) -> bytes:
    """The bytes of a table of these rows."""
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), sink, **options)
    return sink.getvalue()


def between(first: bytes, second: bytes, name: str = "fills.parquet") -> FileDifference | None:
    return first_difference({name: first}, {name: second})


def summary(**values: Any) -> bytes:
    return json.dumps(values).encode()


def test_equal_results_have_no_difference() -> None:
    files = {"fills.parquet": parquet([fill(0)]), "summary.json": summary(fills=1)}

    assert first_difference(files, dict(files)) is None


def test_the_first_differing_row_and_its_first_column_are_named() -> None:
    first = [fill(0), fill(1), fill(2), fill(3)]
    second = [
        fill(0),
        fill(1),
        fill(2, fee=Decimal("0.04"), position=1),
        fill(3, price=Decimal(99)),
    ]

    found = between(parquet(first), parquet(second))

    # The price differs in a column further to the left, but a row further down.
    assert found == FileDifference(
        "fills.parquet",
        "0.05",
        "0.04",
        row=2,
        column="fee",
        about="order_id O-2, position 0, ts 2024-01-01T12:02:00Z",
    )
    assert found.summary("stored", "now") == (
        "fills.parquet, row 2, column fee: stored 0.05, now 0.04 "
        "(order_id O-2, position 0, ts 2024-01-01T12:02:00Z)"
    )


def test_a_value_that_only_one_has_differs() -> None:
    found = between(parquet([fill(0, position=None)]), parquet([fill(0)]))

    assert found is not None
    assert (found.column, found.first, found.second) == ("position", "null", "0")


def test_two_nulls_do_not_differ() -> None:
    rows = [fill(0, position=None), fill(1)]
    changed = [fill(0, position=None), fill(1, order_id="other")]

    found = between(parquet(rows), parquet(changed))

    assert found is not None
    assert (found.row, found.column) == (1, "order_id")


def test_a_nanosecond_is_seen() -> None:
    found = between(parquet([fill(0)]), parquet([fill(0, ts=NOON + 1)]))

    assert found is not None
    assert found.column == "ts"
    assert (found.first, found.second) == ("2024-01-01T12:00:00Z", "2024-01-01T12:00:00.000000001Z")


def test_rows_that_only_one_has_differ_at_the_first_of_them() -> None:
    found = between(parquet([fill(0), fill(1)]), parquet([fill(0)]))

    assert found == FileDifference(
        "fills.parquet",
        "2 rows",
        "1 rows",
        row=1,
        about="order_id O-1, position 0, ts 2024-01-01T12:01:00Z",
    )


def test_columns_that_are_not_the_same_are_named() -> None:
    narrow = pa.schema([field for field in FILLS if field.name != "fee"])

    found = between(parquet([fill(0)]), parquet([fill(0)], narrow))

    assert found == FileDifference("fills.parquet", "decimal128(38, 16)", "absent", column="fee")


def test_earlier_files_lead_to_later_ones() -> None:
    first = {"summary.json": summary(fees="1"), "fills.parquet": parquet([fill(0)])}
    second = {"summary.json": summary(fees="2"), "fills.parquet": parquet([fill(0, position=7)])}

    found = first_difference(first, second)

    assert found is not None
    assert found.file == "fills.parquet"


def test_other_bytes_of_the_same_rows_come_last() -> None:
    plain, packed = parquet([fill(0)]), parquet([fill(0)], compression="zstd")
    first = {"fills.parquet": plain, "summary.json": summary(fees="1")}

    with_other_fees = first_difference(
        first, {"fills.parquet": packed, "summary.json": summary(fees="2")}
    )
    alone = between(plain, packed)

    assert with_other_fees == FileDifference("summary.json", "1", "2", column="fees")
    assert alone is not None
    assert alone.about == "the same rows, written otherwise"
    assert alone.first == f"{len(plain)} bytes"


def test_a_file_that_only_one_has_differs() -> None:
    found = first_difference({"summary.json": b"{}"}, {})

    assert found == FileDifference("summary.json", "2 bytes", "absent")


def test_what_is_no_table_is_said_to_be_none() -> None:
    found = between(parquet([fill(0)]), b"something else")

    assert found == FileDifference("fills.parquet", "Parquet", "no Parquet")


def test_ignored_keys_of_a_summary_do_not_count() -> None:
    first, second = summary(task_id="a", fees="1"), summary(task_id="b", fees="1")

    assert first_difference({"summary.json": first}, {"summary.json": second}) == FileDifference(
        "summary.json", "a", "b", column="task_id"
    )
    assert (
        first_difference({"summary.json": first}, {"summary.json": second}, ignored={"task_id"})
        is None
    )


def test_the_first_key_in_the_order_of_the_file_is_named() -> None:
    first, second = summary(sharpe=1.5, fees="1"), summary(sharpe=None, fees="2")

    assert first_difference({"summary.json": first}, {"summary.json": second}) == FileDifference(
        "summary.json", "1.5", "null", column="sharpe"
    )


@pytest.mark.parametrize(
    ("first", "second", "line"),
    [
        (
            {"common": {"venue": {"fees": {"taker": "0.0005"}}}},
            {"common": {"venue": {"fees": {"taker": "0.0004"}}}},
            "common.venue.fees.taker: 0.0005 vs 0.0004",
        ),
        (
            {"config": {"size": {"$decimal": "0.1"}}},
            {"config": {"size": {"$decimal": "0.10000001"}}},
            "config.size: 0.1 vs 0.10000001",
        ),
        ({"config": {"size": {"$decimal": "1"}}}, {"config": {"size": "1"}}, "config.size: 1 vs 1"),
        ({"config": {"fast": 10}}, {"config": {}}, "config.fast: 10 vs absent"),
        ({"config": {"fast": 1}}, {"config": {"fast": True}}, "config.fast: 1 vs true"),
        (
            {"partition": {"data": [{"row_groups": ["a", "b"]}]}},
            {"partition": {"data": [{"row_groups": ["a", "c"]}]}},
            "partition.data[0].row_groups[1]: b vs c",
        ),
        (
            {"partition": {"data": [{"row_groups": ["a"]}]}},
            {"partition": {"data": [{"row_groups": ["a", "c"]}]}},
            "partition.data[0].row_groups[1]: absent vs c",
        ),
        (
            {"partition": {"start": NOON}},
            {"partition": {"start": NOON + 1_000_000_000}},
            "partition.start: 2024-01-01T12:00:00Z vs 2024-01-01T12:00:01Z",
        ),
        ({"base": None}, {"base": "USDT"}, "base: null vs USDT"),
    ],
)
def test_a_key_of_the_inputs_is_named_by_its_path(first: Any, second: Any, line: str) -> None:
    assert [str(item) for item in input_differences(first, second)] == [line]


def test_all_keys_are_named_in_order() -> None:
    first = {"b": 1, "a": {"y": 1, "x": 1}, "c": 1}
    second = {"b": 2, "a": {"y": 2, "x": 2}, "c": 1}

    assert [item.path for item in input_differences(first, second)] == ["a.x", "a.y", "b"]


def test_equal_inputs_have_no_difference() -> None:
    document = {"a": [1, {"b": None}], "when": str(dt.date(2024, 1, 1))}

    assert input_differences(document, json.loads(json.dumps(document))) == []


def test_a_long_value_is_shortened() -> None:
    [found] = input_differences({"info": {}}, {})

    assert found == InputDifference("info", "{}", "absent")
    [found] = input_differences({"info": "x" * 500}, {})
    assert len(found.first) == 100
