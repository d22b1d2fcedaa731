"""The files of a result: the same bytes for the same content, and a manifest that covers them."""

from __future__ import annotations

import hashlib
import io
import json
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.plans import COMMON
from tests.results.observed import throughout
from trading_runtime.records.inputs import CommonInputs, PartitionInputs, TaskInputs
from trading_runtime.results.artifacts import result_files, task_summary
from trading_runtime.units import parse_instant

START, END = parse_instant("2024-01-01"), parse_instant("2024-01-02")
INPUTS = TaskInputs(
    CommonInputs.from_document(COMMON), {"fast": 5}, PartitionInputs([], START, END, START, [])
)
COUNTS = {
    "rows": 240,
    "warmup_rows": 10,
    "warmup_short": True,
    "warmup_denied_orders": 2,
    "engine_warnings": {"No price for …": 3},
}
FUNDING = {"funding": Decimal("-1.5"), "funding_settlements": 2}


def equity(*values: str) -> dict[str, list[int]]:
    """Return samples of equity, evenly over the window."""
    step = (END - START) // (len(values) - 1)
    return {
        "ts": [START + number * step for number in range(len(values))],
        "equity": [int(Decimal(value) * 10**16) for value in values],
    }


def summary() -> dict[str, Any]:
    """Return the summary of a task with two denied orders, a rejected one and no trade."""
    tables: dict[str, dict[str, list[Any]]] = {
        "orders": {
            "status": ["DENIED", "CANCELED", "DENIED", "REJECTED"],
            "reason": [
                "MARKET_PRICE_UNAVAILABLE: order_type=MARKET, instrument_id=A.SIM",
                None,
                "RISK max_order_quantity: 5 is more than 1",
                "Contract ESH4.SIM has expired, expiration 1704067560000000000",
            ],
            "quantity": [10, 10, 10, 10],
            "filled_quantity": [0, 4, 0, 0],
        },
        "fills": {"value": [], "fee": []},
        "positions": {"realized_pnl": [], "ts_opened": [], "ts_closed": []},
        "equity": equity("100", "110", "99"),
    }
    return task_summary(
        "t" * 64, INPUTS, tables, COUNTS | FUNDING | {"observed": throughout(START, END)}
    )


def files() -> dict[str, bytes]:
    table = pa.table({"x": pa.array([1, 2, 3], pa.int64())})
    return result_files("t" * 64, INPUTS.to_document({"fast": 5}), {"orders": table}, summary())


def test_the_summary_begins_with_what_it_is_about_and_counts_what_was_given() -> None:
    found = summary()

    assert list(found)[:10] == [
        "task_id",
        "start",
        "end",
        "first_row",
        "last_row",
        "observed_days",
        "rows",
        "warmup_rows",
        "warmup_short",
        "currency",
    ]
    assert list(found)[-2:] == ["open_positions", "ruined"]
    assert (found["start"], found["end"]) == ("2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z")
    assert (found["first_row"], found["last_row"]) == (found["start"], found["end"])
    assert found["observed_days"] == ["2024-01-01/2024-01-01"]
    assert (found["partly_filled_orders"], found["funding"]) == (1, "-1.5")
    assert {name: found[name] for name in COUNTS} == COUNTS
    assert (found["orders"], found["denied_orders"], found["fills"], found["trades"]) == (
        4,
        2,
        0,
        0,
    )


def test_denied_and_rejected_orders_are_counted_by_reason() -> None:
    found = summary()

    assert found["denied_by_reason"] == {
        "MARKET_PRICE_UNAVAILABLE": 1,
        "RISK max_order_quantity": 1,
    }
    assert found["rejected_orders"] == 1
    assert found["rejected_by_reason"] == {"Contract … has expired, expiration …": 1}


def test_money_is_text_and_what_is_undefined_is_null() -> None:
    found = summary()

    assert Decimal(found["net_profit"]) == Decimal(-1)
    assert isinstance(found["net_profit"], str)
    assert found["return"] == -0.01
    # From 110 down to 99 is a tenth.
    assert found["max_drawdown"] == 0.1
    # One day has one daily return, and a ratio needs two.
    assert found["sharpe"] is None
    assert found["win_rate"] is None


def test_the_manifest_is_the_last_file_and_holds_size_rows_and_sha256_of_the_others() -> None:
    found = files()
    manifest = json.loads(found["manifest.json"])

    assert list(found) == ["orders.parquet", "summary.json", "manifest.json"]
    assert manifest["inputs"] == INPUTS.to_document({"fast": 5})
    assert manifest["files"] == {
        name: {
            "bytes": len(found[name]),
            "rows": rows,
            "sha256": hashlib.sha256(found[name]).hexdigest(),
        }
        for name, rows in (("orders.parquet", 3), ("summary.json", None))
    }


def test_the_same_content_gives_the_same_bytes() -> None:
    assert files() == files()


def test_a_table_is_read_back() -> None:
    assert pq.read_table(io.BytesIO(files()["orders.parquet"])).to_pydict() == {"x": [1, 2, 3]}
