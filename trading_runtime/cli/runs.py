"""The commands ``runs list`` and ``runs stop``: what ran, and how to end what is running."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from trading_runtime.errors import UsageError

if TYPE_CHECKING:
    from trading_runtime.results.store import Store

_RESULTS = click.option(
    "--results",
    default="results",
    show_default=True,
    help="The folder of the results, or its address in S3.",
)


@click.group()
def runs() -> None:
    """List runs; stop one."""


@runs.command("list")
@_RESULTS
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_runs(results: str, *, as_json: bool) -> None:
    """List the runs in a folder of results, oldest first, with their status."""
    from trading_runtime.results.opening import open_store

    store = open_store(results)
    found = sorted(
        (_facts(run_id, store) for run_id in store.run_ids()),
        key=lambda facts: (facts["started"] or "", facts["run_id"]),
    )
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
        return
    if not found:
        click.echo(f"no runs in {results}", err=True)
    width = max((len(facts["run_id"]) for facts in found), default=0)
    for facts in found:
        tasks = "" if facts["planned"] is None else f"{facts['ok']}/{facts['planned']} tasks"
        started = facts["started"] or ""
        click.echo(f"{facts['run_id']:<{width}}  {facts['status']:<10}  {started:<27}  {tasks}")


@runs.command("stop")
@click.argument("run_id")
@_RESULTS
def stop_run(run_id: str, results: str) -> None:
    """Ask the process that runs RUN_ID to end; finished tasks are kept."""
    from trading_runtime.results.opening import open_store
    from trading_runtime.runs.opening import is_running, request_stop
    from trading_runtime.runs.run_id import check_run_id

    store = open_store(results)
    if check_run_id(run_id) not in store.run_ids():
        known = ", ".join(store.run_ids()[-3:]) or "none"
        raise UsageError(f"no run {run_id!r} in {results}; the latest are: {known}")
    if not is_running(store, run_id):
        raise UsageError(f"run {run_id!r} is not running; see 'trading-runtime runs list'")
    request_stop(store, run_id)
    click.echo(f"run {run_id} was asked to stop; finished tasks are kept", err=True)


def _facts(run_id: str, store: Store) -> dict[str, Any]:
    from trading_runtime.errors import DataError
    from trading_runtime.results.store import read_json
    from trading_runtime.runs.metadata import Status
    from trading_runtime.runs.opening import is_running

    files = store.run(run_id)
    try:
        metadata = read_json(files.metadata) or {}
        counts = (read_json(files.result) or {}).get("counts", {})
    except DataError:
        metadata, counts = {}, {}
    status = metadata.get("status", "unknown")
    if status == Status.RUNNING and not is_running(store, run_id):
        status = "killed"
    return {
        "run_id": run_id,
        "status": status,
        "experiment": metadata.get("experiment_name"),
        "started": metadata.get("started"),
        "ended": metadata.get("ended"),
        "planned": counts.get("planned"),
        "ok": counts.get("ok"),
    }
