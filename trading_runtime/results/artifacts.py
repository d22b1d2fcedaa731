"""The files of one result: tables, summary and manifest as bytes, the same for the same task."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from trading_runtime.config.statistic_names import (
    COUNTS_WHERE_CHARGED,
    MONEY_WHERE_CHARGED,
    STATISTICS,
)
from trading_runtime.message_kinds import kinds_of
from trading_runtime.records.task_manifest import MANIFEST, ResultFile, TaskManifest
from trading_runtime.results.calendar import Calendar, observed_facts
from trading_runtime.results.exact import amounts, money_text
from trading_runtime.results.statistics import Fills, Trade, task_statistics
from trading_runtime.units import format_instant

if TYPE_CHECKING:
    from trading_runtime.records.inputs import TaskInputs

_ORDER = (
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
    "initial_equity",
    "final_equity",
    *STATISTICS,
    "denied_orders",
    "denied_by_reason",
    "rejected_orders",
    "rejected_by_reason",
    "warmup_denied_orders",
    "engine_warnings",
    "funding_settlements",
    "open_positions",
    "ruined",
)
_text = json.JSONEncoder(indent=1, ensure_ascii=False).encode
"""As ``json.dumps``, but out of a strategy's reach: it may replace that function."""
_WHERE_KNOWN = (
    *MONEY_WHERE_CHARGED,
    *COUNTS_WHERE_CHARGED,
    "liquidations_by_instrument",
    "risk_refusals",
    "queued_requests",
    "unfed_subscriptions",
    "bars_without_volume",
    "files_read",
    "daily_closes",
)

Tables = Mapping[str, Mapping[str, list[Any]]]
"""``orders``, ``fills``, ``positions``, ``equity`` by column, money in whole numbers of 1e-16."""


def task_summary(
    task_id: str, inputs: TaskInputs, tables: Tables, counts: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the content of ``summary.json``, in its fixed order.

    ``counts`` gives ``rows``, ``observed`` (the times of the rows), ``warmup_rows``,
    ``warmup_short``, ``warmup_denied_orders``, ``funding`` and ``funding_settlements``, and
    ``engine_warnings`` by kind, which the tables do not contain. With a risk profile it gives
    ``risk_refusals``: how many orders and order changes each rule refused; with a queue
    ``queued_requests``: how many waited, and of these expired or were dropped. It also gives
    ``unfed_subscriptions``, if any: what the strategy subscribed to and was not fed;
    ``bars_without_volume``, if any: how many there are by series;
    ``files_read``, if any: files beside the strategy that are no part of its code;
    ``daily_closes``, the prices that holding the instruments is valued by; and what venues charge
    for, such as ``swap``.
    """
    orders, fills, positions, equity = (
        tables[name] for name in ("orders", "fills", "positions", "equity")
    )
    statistics = task_statistics(
        list(zip(equity["ts"], amounts(equity["equity"]), strict=True)),
        counts["observed"],
        Fills(len(fills["value"]), *amounts(map(sum, (fills["value"], fills["fee"])))),
        list(
            map(
                Trade,
                amounts(positions["realized_pnl"]),
                positions["ts_opened"],
                positions["ts_closed"],
            )
        ),
        Calendar.of(inputs.common, inputs.partition.instruments),
    )
    values = {
        "task_id": task_id,
        "start": format_instant(inputs.partition.start),
        "end": format_instant(inputs.partition.end),
        "currency": inputs.common.currency,
        "orders": len(orders["status"]),
        "denied_orders": orders["status"].count("DENIED"),
        "partly_filled_orders": sum(
            0 < filled < quantity
            for filled, quantity in zip(orders["filled_quantity"], orders["quantity"], strict=True)
        ),
        "denied_by_reason": _reasons(orders, "DENIED"),
        "rejected_orders": orders["status"].count("REJECTED"),
        "rejected_by_reason": _reasons(orders, "REJECTED"),
        **counts,
        "funding": money_text(counts["funding"]),
        **{name: money_text(counts[name]) for name in MONEY_WHERE_CHARGED if name in counts},
        **observed_facts(counts["observed"]),
        **statistics,
    }
    # Without such entries, summaries keep their bytes.
    further = {name: values[name] for name in _WHERE_KNOWN if name in counts}
    return {name: values[name] for name in _ORDER} | further


def _reasons(orders: Mapping[str, list[Any]], status: str) -> dict[str, int]:
    return kinds_of(
        reason
        for found, reason in zip(orders["status"], orders["reason"], strict=True)
        if found == status
    )


def result_files(
    task_id: str,
    inputs: Mapping[str, Any],
    tables: Mapping[str, pa.Table],
    summary: Mapping[str, Any],
) -> dict[str, bytes]:
    """Return the content of every file of a result, by name; ``manifest.json`` is the last."""
    files = {f"{name}.parquet": table_bytes(table) for name, table in tables.items()}
    files["summary.json"] = (_text(summary) + "\n").encode()
    rows = {f"{name}.parquet": table.num_rows for name, table in tables.items()}
    manifest = TaskManifest(
        task_id,
        inputs,
        {
            name: ResultFile(len(content), rows.get(name), hashlib.sha256(content).hexdigest())
            for name, content in files.items()
        },
    )
    return files | {MANIFEST: manifest.to_bytes()}


def table_bytes(table: pa.Table) -> bytes:
    """Return a table as a file, the same bytes for the same table."""
    sink = pa.BufferOutputStream()
    schema = table.schema
    pq.write_table(
        table,
        sink,
        compression="zstd",
        compression_level=1,
        version="2.6",
        # Amounts and times hardly repeat: without dictionaries they are smaller and faster to
        # write.
        use_dictionary=[field.name for field in schema if field.type == pa.string()],
        column_encoding={
            field.name: "DELTA_BINARY_PACKED"
            for field in schema
            if pa.types.is_timestamp(field.type)
        },
        row_group_size=max(1, table.num_rows),
        write_statistics=False,
        store_schema=True,
    )
    return bytes(sink.getvalue())
