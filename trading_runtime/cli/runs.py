"""The commands ``runs``: how runs stand, whether their records are whole, how to end one."""

from __future__ import annotations

import json

import click

from trading_runtime.cli.finding_lines import print_findings
from trading_runtime.cli.options import JSON, RESULTS
from trading_runtime.cli.result_folders import open_results
from trading_runtime.cli.run_names import find_run
from trading_runtime.errors import Kind, UsageError


@click.group()
def runs() -> None:
    """List, show, watch, check and summarise runs; stop one."""


@runs.command("list")
@RESULTS
@JSON
def list_runs(results: str, *, as_json: bool) -> None:
    """List the runs in a folder of results, oldest first: status, tasks, age."""
    from trading_runtime.cli.run_lines import print_list
    from trading_runtime.runs.overview import overview

    store = open_results(results)
    found = sorted(
        (overview(store, run_id) for run_id in store.run_ids()),
        key=lambda facts: (facts["started"] or "", facts["run_id"]),
    )
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
    elif found:
        print_list(found)
    else:
        click.echo(f"no runs in {results}", err=True)


@runs.command("show")
@click.argument("run")
@RESULTS
@JSON
def show_run(run: str, results: str, *, as_json: bool) -> None:
    """Show RUN (a run id, or 'latest'): what ran, when, on what, why it ended so, what to do."""
    from trading_runtime.cli.run_lines import print_details
    from trading_runtime.runs.overview import details

    store, run_id = find_run(run, results)
    content = details(store, run_id)
    if as_json:
        click.echo(json.dumps(content, ensure_ascii=False))
    else:
        print_details(content)


@runs.command("watch")
@click.argument("run")
@RESULTS
@click.option(
    "--every",
    type=click.FloatRange(min=0.1),
    help="Seconds between two looks; 1 for a folder, 5 for S3 if not given.",
)
def watch_run(run: str, results: str, every: float | None) -> int:
    """Follow RUN (a run id, or 'latest') until it ends: progress, failures, rate, time left.

    The exit code is that of the run.
    """
    from trading_runtime.cli.watching import watch
    from trading_runtime.object_storage import is_s3

    store, run_id = find_run(run, results)
    return watch(store, run_id, every or (5.0 if is_s3(results) else 1.0))


@runs.command("check")
@click.argument("run")
@RESULTS
@JSON
def check_run(run: str, results: str, *, as_json: bool) -> int:
    """Check that journal and files of RUN (a run id, or 'latest') are whole and belong together.

    A line that is missing, altered, added or cut off is named, with exit code 3.
    """
    from trading_runtime.runs.opening import is_running
    from trading_runtime.runs.run_check import check_run as check

    store, run_id = find_run(run, results)
    found = check(store.run(run_id), running=is_running(store, run_id))
    if as_json:
        content = {
            "run_id": run_id,
            "sound": not found.findings,
            "writers": found.writers,
            "lines": found.lines,
            "findings": [vars(item) for item in found.findings],
            "notes": [vars(item) for item in found.notes],
        }
        click.echo(json.dumps(content, ensure_ascii=False))
    else:
        verdict = print_findings(found.findings, found.notes)
        click.echo(f"{run_id}: {verdict}; {found.lines:,} lines of {found.writers} writers")
    return (Kind.DATA if found.findings else Kind.OK).exit_code


@runs.command("summarise")
@click.argument("run")
@RESULTS
@click.option(
    "--allow-incomplete", is_flag=True, help="Name a best point even though tasks failed."
)
def summarise_run(run: str, results: str, *, allow_incomplete: bool) -> None:
    """Write tables and report of RUN (a run id, or 'latest') from what is stored of it now.

    For a run that died or was stopped, and is not to be gone on with. Exit code 5 when tasks are
    missing or failed.
    """
    from trading_runtime.argo.summary_step import run_summary_step
    from trading_runtime.runs.opening import open_run

    store, run_id = find_run(run, results)
    # Nobody goes on with the run meanwhile.
    with open_run(store, run_id):
        summary = run_summary_step(results, run_id, allow_incomplete=allow_incomplete)
    counts = ", ".join(f"{summary.counts[key]:,} {key}" for key in ("ok", "failed", "missing"))
    click.echo(f"{run_id}: {summary.counts['planned']:,} tasks planned: {counts}")
    click.echo(f"report {summary.files.report_page}")
    summary.check_complete()


@runs.command("stop")
@click.argument("run_id")
@RESULTS
def stop_run(run_id: str, results: str) -> None:
    """Ask the process or the pods that run RUN_ID to end; finished tasks are kept."""
    from trading_runtime.runs.opening import request_stop
    from trading_runtime.runs.state import may_be_running

    store, run_id = find_run(run_id, results)
    if not may_be_running(store, run_id):
        raise UsageError(f"run {run_id!r} is not running; see 'trading-runtime runs list'")
    request_stop(store, run_id)
    click.echo(f"run {run_id} was asked to stop; finished tasks are kept", err=True)
