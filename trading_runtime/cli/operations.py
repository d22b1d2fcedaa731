"""The commands ``drill``, ``probe``, ``readiness`` and ``reconcile``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trading_runtime.cli.options import JSON, RESULTS, results_option
from trading_runtime.cli.terminal import say
from trading_runtime.errors import DataError, UsageError
from trading_runtime.records.events import DRILLS

if TYPE_CHECKING:
    from trading_runtime.operations.reconciliation import Reconciliation
    from trading_runtime.results.store import Store


@click.command()
@click.argument("name", type=click.Choice(DRILLS))
@click.option("--sabotage", is_flag=True, help="Switch the safeguard off: the drill must fail.")
@results_option(text="Where the verdict is left: the folder of the results, or its address in S3.")
@JSON
def drill(name: str, results: str, *, sabotage: bool, as_json: bool) -> int:
    """Cause the fault NAME for real, on a small run in a scratch folder that is removed afterwards.

    The exit code is 0 when every step passes, and 11 when one does not.
    """
    from trading_runtime.errors import Kind
    from trading_runtime.operations.drills.running import run_drill
    from trading_runtime.records.events import DrillVerdict
    from trading_runtime.results.store import open_store

    drilled = run_drill(name, open_store(results), sabotage=sabotage)
    if as_json:
        say(json.dumps(drilled.content(), ensure_ascii=False))
    else:
        for step in drilled.steps.taken:
            say(f"{'holds' if step.ok else 'BROKEN':<7} {step.name}: {step.message}")
        say(f"{name}: {drilled.verdict}, {drilled.seconds:.1f} s")
    return (Kind.OK if drilled.verdict is DrillVerdict.PASSED else Kind.DIFFERS).exit_code


_MOST_SECONDS = 60
_MOST_BYTES = 100_000_000


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--url", required=True, help="The address, such as http://localhost:8080/healthz.")
@click.option(
    "--seconds",
    type=click.FloatRange(0, _MOST_SECONDS, min_open=True),
    default=5.0,
    help="The longest that the whole answer may take; 5 if not given.",
)
@click.option(
    "--max-bytes",
    type=click.IntRange(1, _MOST_BYTES),
    default=1_000_000,
    help="The largest body; 1,000,000 if not given.",
)
@JSON
def probe(file: Path, url: str, seconds: float, max_bytes: int, *, as_json: bool) -> int:
    """Send one GET to an address of this machine, or of a host that the experiment in FILE allows.

    The allowed hosts are those of operations.probe_hosts. Redirects are not followed, proxy
    variables are not read, and the body is not kept.
    """
    from trading_runtime.config.loading import load_experiment
    from trading_runtime.errors import Kind
    from trading_runtime.operations import records
    from trading_runtime.operations.probe import STATE_FILE, ProbeState
    from trading_runtime.operations.probe import probe as ask
    from trading_runtime.records.events import ProbeCompleted
    from trading_runtime.results.store import open_store

    loaded = load_experiment(file)
    allowed = loaded.experiment.operations.probe_hosts
    found = ask(url, allowed, seconds=seconds, most_bytes=max_bytes)
    store = open_store(loaded.results_place)
    records.write_state(store, STATE_FILE, found.content())
    event = ProbeCompleted(
        address=found.address,
        state=found.state,
        seconds=found.seconds,
        status=found.status,
        bytes=found.bytes,
        message=found.message,
    )
    records.journal(store, "probe", event)
    if as_json:
        say(json.dumps(found.content(), ensure_ascii=False))
    else:
        say(f"{found.state}: {found.address}, {found.message}, {found.seconds:.3f} s")
    return (Kind.OK if found.state is ProbeState.UP else Kind.TRANSIENT).exit_code


_FILE = click.Path(path_type=Path)


@click.group()
def readiness() -> None:
    """Check whether an experiment can run here and now."""


@readiness.command()
@click.argument("file", type=_FILE)
@click.option("--to", "target", type=_FILE, help="Also write the findings to this file.")
@JSON
def check(file: Path, target: Path | None, *, as_json: bool) -> int:
    """Check everything that FILE, an experiment or a deployment, needs; exit code 0 if it is ready.

    Variables (never their values), data, engine, plan, disk, memory, storage, clock, kill switch.
    """
    from trading_runtime.config.deployment import is_deployment, load_deployment
    from trading_runtime.config.loading import load_experiment
    from trading_runtime.errors import TradingRuntimeError
    from trading_runtime.operations import records
    from trading_runtime.operations.readiness import STATE_FILE, check_readiness
    from trading_runtime.records.events import ReadinessChecked
    from trading_runtime.results.store import open_store
    from trading_runtime.storage.files import write_file

    deployed = load_deployment(file) if is_deployment(file) else None
    loaded = load_experiment(file) if deployed is None else deployed.loaded
    found = check_readiness(loaded, None if deployed is None else deployed.deployment)
    content = found.content()
    if target is not None:
        write_file(target, records.content_of(content))
    try:
        store = open_store(loaded.results_place)
        records.write_state(store, STATE_FILE, content)
        states = {item.name: str(item.state) for item in found.checks}
        event = ReadinessChecked(ready=found.is_ready, checks=states)
        records.journal(store, "readiness", event)
    except TradingRuntimeError as error:
        if found.is_ready:
            raise
        say(f"the findings could not be left with the results: {error}", err=True)
    if as_json:
        say(json.dumps(content, ensure_ascii=False))
    else:
        for item in found.checks:
            say(f"{item.state:<8} {item.name:<13} {item.message}")
        say("ready" if found.is_ready else f"NOT READY ({found.kind})")
    return found.kind.exit_code


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

    The exit code is 0 when everything in the snapshot matches, and 11 when anything differs or is
    missing on one side. A table that the snapshot leaves out is not compared.
    """
    from trading_runtime.operations import reconciliation
    from trading_runtime.operations.reconciliation import books_of, read_snapshot
    from trading_runtime.operations.records import write_state
    from trading_runtime.records.events import ReconciliationCompleted
    from trading_runtime.results.store import open_store
    from trading_runtime.runs.opening import append_events, check_run_id

    store = open_store(results)
    if check_run_id(run_id) not in store.run_ids():
        known = ", ".join(store.run_ids()[-3:]) or "none"
        raise UsageError(f"no run {run_id!r} in {results}; the latest are: {known}")
    accepted = reconciliation.parse_tolerances(tolerances)
    theirs = read_snapshot(snapshot)
    task_id = _task(store, run_id, task)
    found = reconciliation.reconcile(task_id, books_of(store, task_id), theirs, accepted)
    content = {"run_id": run_id, **found.content()}
    name = f"runs/{run_id}/reconciliation.json"
    write_state(store, name, content)
    counts = found.counts
    event = ReconciliationCompleted(
        snapshot=found.snapshot,
        matched=counts["matched"],
        mismatched=counts["mismatched"],
        unknown=counts["unknown"],
        outcome=found.kind,
    )
    append_events(store, run_id, "reconcile", event, changed=[store.root / name])
    say(json.dumps(content, ensure_ascii=False) if as_json else "\n".join(_lines(found)))
    return found.kind.exit_code


def _task(store: Store, run_id: str, beginning: str | None) -> str:
    from trading_runtime.records.plan import read_plan

    files = store.run(run_id)
    if not files.plan.exists():
        raise DataError(f"run {run_id!r} has no plan.json")
    ids = read_plan(files.plan).task_ids
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
