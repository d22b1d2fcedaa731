"""The commands ``verify``, ``why``, ``replay`` and ``gc``: proving results, clearing them up."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trading_runtime.cli.options import JSON, results_option
from trading_runtime.cli.proof_subjects import compare_named
from trading_runtime.cli.run import MOST_WORKERS
from trading_runtime.cli.run_names import find_run
from trading_runtime.errors import Kind, StoppedError, StorageError, UsageError

if TYPE_CHECKING:
    from trading_runtime.execution.verification import Finding

_SAMPLE = 10
_STRATEGY_CODE = "common.code.strategy"
_RESULTS = results_option("folder")
_EXPERIMENT = click.option(
    "--experiment",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Where the experiment file is now; default: where it was.",
)
_DATASET = click.option("--dataset", help="Where the dataset is now; default: where it was.")


@click.command()
@click.argument("run")
@click.option(
    "--sample",
    type=click.IntRange(1),
    help=f"How many tasks, spread evenly over the sorted task ids; {_SAMPLE} if not given.",
)
@click.option("--all", "everything", is_flag=True, help="All stored tasks of the run.")
@click.option(
    "--workers",
    type=click.IntRange(1, MOST_WORKERS),
    help="Worker processes; default: one per processor.",
)
@_RESULTS
@_EXPERIMENT
@_DATASET
@JSON
def verify(  # noqa: PLR0913 - one argument for each option of the command
    run: str,
    folder: str,
    *,
    sample: int | None,
    everything: bool,
    workers: int | None,
    experiment: Path | None,
    dataset: str | None,
    as_json: bool,
) -> int:
    """Compute stored tasks of RUN (a run id, or 'latest') again, and compare every byte.

    The tasks run in fresh processes and leave the stored results alone. Exit code 6 when bytes
    differ, with the first file, row and column; 3 when stored results or data are damaged. Refused
    when code or versions are not those of the run.
    """
    from trading_runtime.cli.proof_lines import print_verification
    from trading_runtime.cli.run import Signals
    from trading_runtime.execution.progress import Progress
    from trading_runtime.execution.rerun import find_origin
    from trading_runtime.execution.verification import (
        Verdict,
        as_document,
        note_verification,
        verify_run,
    )

    if everything and sample is not None:
        raise UsageError("give --sample N or --all, not both")
    store, run_id = find_run(run, folder)
    files = store.run(run_id)
    origin = find_origin(files, experiment, dataset)
    wanted = None if everything else sample or _SAMPLE
    tasks = len(origin.plan["tasks"])
    progress = Progress(tasks if wanted is None else min(wanted, tasks), 0)

    def report(finding: Finding) -> None:
        progress.task_ended(ok=finding.verdict is Verdict.SAME)

    with Signals() as stopping:
        try:
            verification = verify_run(
                origin,
                store,
                files,
                sample=wanted,
                workers=workers or os.cpu_count() or 1,
                should_stop=stopping,
                report=report,
            )
        except (StoppedError, KeyboardInterrupt) as error:
            click.echo(f"stopped: {str(error) or 'at once'}", err=True)
            return stopping.exit_code
    try:
        note_verification(verification, store, files)
    except StorageError as error:
        click.echo(f"note: not written to the run's journal: {error}", err=True)
    if as_json:
        click.echo(json.dumps(as_document(verification), ensure_ascii=False))
    else:
        print_verification(verification)
    return verification.kind.exit_code


@click.command()
@click.argument("first")
@click.argument("second")
@_RESULTS
@click.option(
    "--results-b",
    "second_folder",
    help="The folder of the results of SECOND; default: that of FIRST.",
)
@JSON
def why(first: str, second: str, folder: str, second_folder: str | None, *, as_json: bool) -> int:
    """Say why two tasks, or two runs, differ: inputs first, then orders, fills and statistics.

    FIRST and SECOND are run ids, or the first digits of task ids. Exit code 0 when nothing differs,
    11 otherwise.
    """
    from trading_runtime.cli.proof_lines import print_runs, print_tasks
    from trading_runtime.results.comparison import TaskComparison, as_document

    comparison = compare_named((first, second), (folder, second_folder or folder))
    if as_json:
        click.echo(json.dumps(as_document(comparison), ensure_ascii=False))
    elif isinstance(comparison, TaskComparison):
        print_tasks(comparison)
    else:
        names = (
            (first, second) if first != second else (f"the first {first}", f"the second {second}")
        )
        print_runs(comparison, names)
    return Kind.OK.exit_code if comparison.same else Kind.DIFFERS.exit_code


@click.command()
@click.argument("run")
@click.argument("task", required=False)
@click.option("--point", type=int, help="Instead of TASK: the point.")
@click.option("--partition", type=int, help="Instead of TASK: the partition.")
@click.option(
    "--log-level",
    type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"], case_sensitive=False),
    default="INFO",
    show_default=True,
    help="What the engine logs.",
)
@_RESULTS
@_EXPERIMENT
@_DATASET
def replay(  # noqa: PLR0913 - one argument for each option of the command
    run: str,
    task: str | None,
    folder: str,
    *,
    point: int | None,
    partition: int | None,
    log_level: str,
    experiment: Path | None,
    dataset: str | None,
) -> int:
    """Run one task of RUN again here, showing the engine's log and what the strategy prints.

    TASK is the first digits of its task id. What is stored stays as it is. Exit code 0 when the
    bytes are those that are stored, 6 when they are not, else that of the task's failure.
    """
    from trading_runtime.cli.proof_lines import print_replay
    from trading_runtime.execution.replay import find_task
    from trading_runtime.execution.replay import replay as run_again
    from trading_runtime.execution.rerun import changed_inputs, find_origin, refuse_changed_inputs

    store, run_id = find_run(run, folder)
    files = store.run(run_id)
    origin = find_origin(files, experiment, dataset)
    index = find_task(origin.plan, task, point, partition)
    changed = changed_inputs(origin)
    # With other versions it may still be of use to see what happens; with other code it is another
    # strategy.
    refuse_changed_inputs([item for item in changed if item.path == _STRATEGY_CODE], origin)
    for item in changed:
        click.echo(f"note: {item.path}: then {item.first}, now {item.second}", err=True)
    replayed = run_again(origin, index, store, files, log_level.upper())
    print_replay(replayed, comparable=not changed)
    if changed and replayed.difference is not None:
        return Kind.DIFFERS.exit_code
    return replayed.kind.exit_code


@click.command()
@_RESULTS
@click.option("--delete", is_flag=True, help="Remove it; otherwise nothing is removed.")
@click.option(
    "--older-than",
    default="1d",
    show_default=True,
    metavar="DURATION",
    help="Leave what is younger, such as '12h' or '7d'.",
)
@JSON
def gc(folder: str, *, delete: bool, older_than: str, as_json: bool) -> None:
    """Show, or remove, what is in a folder of results and no run's plan refers to.

    These are results of runs whose folder was removed, what killed processes left half done, and
    damaged results that were set aside. Nothing is removed while a run's plan cannot be read.
    """
    from trading_runtime.cli.proof_lines import print_garbage
    from trading_runtime.results import garbage, garbage_in_s3
    from trading_runtime.results.opening import open_store
    from trading_runtime.results.s3_store import S3Store
    from trading_runtime.time_units import parse_duration

    try:
        age = parse_duration(older_than)
    except ValueError as error:
        raise UsageError(f"--older-than: {error}") from error
    store = open_store(folder)
    if isinstance(store, S3Store):
        found = garbage_in_s3.find_garbage(store, time.time_ns(), age)
        if delete:
            garbage_in_s3.delete(store, found)
    else:
        if not Path(folder).is_dir():
            raise UsageError(f"{folder}: there is no such folder; --results names another")
        found = garbage.find_garbage(store, time.time_ns(), age)
        if delete:
            garbage.delete(store, found)
    if as_json:
        content = {
            "deleted": delete,
            "items": [
                {"what": item.what, "path": item.place, "bytes": item.bytes} for item in found.items
            ],
            "bytes": found.bytes,
            "kept": found.kept,
            "young": found.young,
        }
        click.echo(json.dumps(content, ensure_ascii=False))
    else:
        print_garbage(found, deleted=delete, older_than=older_than)
