"""The command ``reconcile``: do a run's books agree with a venue's?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trading_runtime.cli.options import JSON, RESULTS
from trading_runtime.errors import DataError, UsageError

if TYPE_CHECKING:
    from trading_runtime.operations.reconciliation import Reconciliation
    from trading_runtime.results.store import Store

_SHOWN = 20


@click.command()
@click.argument("run_id")
@click.option(
    "--against",
    "snapshot",
    required=True,
    type=click.Path(path_type=Path),
    help="The venue's snapshot: a JSON file, a CSV or Parquet table, or a folder of tables.",
)
@click.option("--task", help="Beginning of the task's id, where the run has several tasks.")
@click.option(
    "--tolerance",
    "tolerances",
    multiple=True,
    metavar="FIELD=AMOUNT",
    help="How far a number may differ, such as price=0.01; may be given several times.",
)
@RESULTS
@JSON
def reconcile(  # noqa: PLR0913 - one argument for each option
    run_id: str,
    snapshot: Path,
    task: str | None,
    tolerances: tuple[str, ...],
    results: str,
    *,
    as_json: bool,
) -> int:
    """Compare orders, fills, positions and balances of RUN_ID with a venue's snapshot.

    The exit code is 0 when all that the snapshot holds matches, and 11 when anything differs or
    only one of the two has it. A table that the snapshot leaves out is not compared.
    """
    from trading_runtime.operations import reconciliation
    from trading_runtime.operations.books import books_of
    from trading_runtime.operations.records import leave_state
    from trading_runtime.operations.snapshot import read_snapshot
    from trading_runtime.results.opening import open_store
    from trading_runtime.runs.noting import note
    from trading_runtime.runs.operation_events import ReconciliationCompleted
    from trading_runtime.runs.run_id import check_run_id

    store = open_store(results)
    if check_run_id(run_id) not in store.run_ids():
        known = ", ".join(store.run_ids()[-3:]) or "none"
        raise UsageError(f"no run {run_id!r} in {results}; the latest are: {known}")
    accepted = reconciliation.parse_tolerances(tolerances)
    theirs = read_snapshot(snapshot)
    task_id = _task(store, run_id, task)
    found = reconciliation.reconcile(task_id, books_of(store, task_id), theirs, accepted)
    content = {"run_id": run_id, **found.content()}
    leave_state(store, f"runs/{run_id}/reconciliation.json", content)
    counts = found.counts
    event = ReconciliationCompleted(
        snapshot=found.snapshot,
        matched=counts["matched"],
        mismatched=counts["mismatched"],
        unknown=counts["unknown"],
        outcome=found.kind,
    )
    note(store, run_id, "reconcile", event)
    click.echo(json.dumps(content, ensure_ascii=False) if as_json else "\n".join(_lines(found)))
    return found.kind.exit_code


def _task(store: Store, run_id: str, beginning: str | None) -> str:
    from trading_runtime.results.files import read_json

    plan = read_json(store.run(run_id).plan)
    if plan is None:
        raise DataError(f"run {run_id!r} has no plan.json")
    ids = [item["task_id"] for item in plan["tasks"]]
    found = [item for item in ids if item.startswith(beginning or "")]
    if len(found) == 1:
        return str(found[0])
    if not found:
        raise UsageError(f"--task {beginning}: run {run_id!r} has no such task")
    raise UsageError(
        f"run {run_id!r} has {len(found)} tasks{' that begin so' if beginning else ''}, each with "
        "books of its own; name one with --task (see 'trading-runtime results export')"
    )


def _lines(found: Reconciliation) -> list[str]:
    lines = [
        f"{name:<10} " + ", ".join(f"{count:,} {state}" for state, count in counts.items())
        for name, counts in found.tables.items()
    ]
    for row in found.rows[:_SHOWN]:
        if row.field is None:
            where = "the run" if row.theirs is None else "the snapshot"
            lines.append(f"unknown    {row.table} {row.key}: only {where} has it")
        else:
            by = "" if row.difference is None else f" ({row.difference})"
            lines.append(
                f"mismatch   {row.table} {row.key}: {row.field}: run {row.ours}, "
                f"snapshot {row.theirs}{by}"
            )
    if len(found.rows) > _SHOWN:
        lines.append(f"           and {len(found.rows) - _SHOWN:,} more in reconciliation.json")
    if found.ignored:
        lines.append(f"ignored    {', '.join(found.ignored)}")
    return [*lines, "matched" if not found.rows else "DIFFERS"]
