"""The books of one task: its orders, fills, positions and balances by what identifies each."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trading_runtime.results.store import Store

Row = dict[str, Any]
Table = dict[str, Row]
"""Rows by their key."""


@dataclass(frozen=True)
class TableKind:
    """What a table's rows are known by, and what of them can be compared."""

    key: tuple[str, ...]
    numbers: frozenset[str]
    texts: frozenset[str]

    @property
    def fields(self) -> frozenset[str]:
        """All that can be compared."""
        return self.numbers | self.texts

    def key_of(self, row: Mapping[str, Any]) -> str:
        """Return what identifies a row, as one text."""
        return " ".join(str(row[name]) for name in self.key)


TABLES = {
    "orders": TableKind(
        ("order_id",),
        frozenset({"quantity", "filled_quantity", "price", "trigger_price", "average_price"}),
        frozenset({"instrument_id", "side", "type", "status", "time_in_force"}),
    ),
    "fills": TableKind(
        ("instrument_id", "trade_id"),
        frozenset({"quantity", "price", "fee"}),
        frozenset({"order_id", "side", "fee_currency", "liquidity"}),
    ),
    "positions": TableKind(("instrument_id",), frozenset({"quantity"}), frozenset()),
    "balances": TableKind(("currency",), frozenset({"total"}), frozenset()),
}


def books_of(store: Store, task_id: str) -> dict[str, Table]:
    """Return the books of a stored task, its bytes verified; every table is there.

    Orders that were denied never reached a venue and are left out, and so are positions of nothing.
    A balance is known when the account trades and holds one currency; otherwise there is no row.
    Raises ``DataError`` when the result is missing or damaged.
    """
    files = store.read_task(task_id)
    orders, fills, positions = (
        _rows(files[f"{name}.parquet"]) for name in ("orders", "fills", "positions")
    )
    inputs = json.loads(files["manifest.json"])["inputs"]
    open_quantities: dict[str, Decimal] = {}
    for row in positions:
        name = row["instrument_id"]
        open_quantities[name] = open_quantities.get(name, Decimal(0)) + row["open_quantity"]
    sent = [row for row in orders if row["status"] != "DENIED"]
    return {
        "orders": {TABLES["orders"].key_of(row): row for row in sent},
        "fills": {TABLES["fills"].key_of(row): row for row in fills},
        "positions": {
            name: {"instrument_id": name, "quantity": quantity}
            for name, quantity in open_quantities.items()
            if quantity
        },
        "balances": _balances(inputs, positions),
    }


def _balances(inputs: Mapping[str, Any], positions: list[Row]) -> Table:
    common = inputs["common"]
    amounts = [text.split() for text in common["venue"]["balances"]]
    currency = common["currency"]
    settled = {_settlement(instrument) for instrument in inputs["partition"]["instruments"]}
    if (
        common["venue"]["account_type"] != "margin"
        or [code for _, code in amounts] != [currency]
        or settled != {currency}
    ):
        return {}
    # What each position made so far, fees included, is all that moves such an account.
    made = sum((row["realized_pnl"] for row in positions), Decimal(0))
    return {currency: {"currency": currency, "total": Decimal(amounts[0][0]) + made}}


def _settlement(instrument: Mapping[str, Any]) -> str | None:
    return instrument.get("settlement_currency") or instrument.get("quote_currency")


def _rows(content: bytes) -> list[Row]:
    import pyarrow.parquet as pq

    rows: list[Row] = pq.read_table(io.BytesIO(content)).to_pylist()
    return rows
