"""The commands ``verify``, ``why``, ``replay`` and ``gc``: proving results, cleaning up."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trading_runtime.cli.options import (
    EXPERIMENT,
    JSON,
    MOST_WORKERS,
    find_run,
    open_results,
    results_option,
)
from trading_runtime.cli.run import Signals
from trading_runtime.cli.terminal import say
from trading_runtime.errors import DiffersError, Kind, StoppedError, StorageError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from trading_runtime.records.plan import Point
    from trading_runtime.results.garbage import Garbage
    from trading_runtime.results.store import Store
    from trading_runtime.verification.replay import Replay
    from trading_runtime.verification.verify import RunVerification, TaskFinding
    from trading_runtime.verification.why import RunComparison, TaskComparison


def compare_named(
    names: tuple[str, str], folders: tuple[str, str]
) -> TaskComparison | RunComparison:
    """Compare the two runs, or the two tasks, with these names in these folders.

    Raises ``UsageError`` when a name matches nothing, or when one is a run and one a task.
    """
    from trading_runtime.records.plan import read_plan
    from trading_runtime.verification.why import RunSide, compare_runs, compare_tasks

    stores = [open_results(folder) for folder in folders]
    are_runs = [name in store.run_ids() for name, store in zip(names, stores, strict=True)]
    if all(are_runs):
        first, second = (
            RunSide(store, read_plan(store.run(name).plan))
            for name, store in zip(names, stores, strict=True)
        )
        return compare_runs(first, second)
    if any(are_runs):
        run, other = names if are_runs[0] else names[::-1]
        where = stores[1 if are_runs[0] else 0].place
        raise UsageError(
            f"{run!r} is a run and {other[:80]!r} is none in {where}; give two runs or two tasks"
        )
    first_id, second_id = (_task(*pair) for pair in zip(names, stores, strict=True))
    return compare_tasks(stores[0], first_id, stores[1], second_id)


def _task(name: str, store: Store) -> str:
    from trading_runtime.results.stored_plan import is_task_prefix, pick, stored_ids

    if not is_task_prefix(name):
        known = ", ".join(store.run_ids()[-3:]) or "none"
        raise UsageError(
            f"{name[:80]!r} is neither a run in {store.place} (the latest are: {known}) nor the "
            "first 4 to 64 hexadecimal digits of a task id"
        )
    return pick(name, stored_ids(store, name), store.place)


_SHOWN = 12
_MOST_INPUTS = 20
_MOST_NAMED = 5
_MOST_SHOWN = 10


def print_verification(found: RunVerification) -> None:
    """Print the counts, and what is wrong with each task."""
    counted = ", ".join(f"{count:,} {verdict}" for verdict, count in found.counts.items() if count)
    say(f"run       {found.run_id}: {found.planned:,} planned, {found.stored:,} stored")
    say(f"verified  {len(found.findings):,} tasks in fresh processes: {counted}")
    wrong = [item for item in found.findings if item.kind is not Kind.OK]
    for item in wrong[:_MOST_SHOWN]:
        say(f"error: task {item.task_id[:_SHOWN]}: {item.message}", err=True)
    if len(wrong) > _MOST_SHOWN:
        say(f"error: and {len(wrong) - _MOST_SHOWN:,} more; --json has all", err=True)
    if found.damage:
        say(f"error: {found.damage}", err=True)


def print_tasks(comparison: TaskComparison) -> None:
    """Print what differs between two tasks."""
    first, second = comparison.first[:_SHOWN], comparison.second[:_SHOWN]
    if comparison.same:
        say(f"{first} and {second} are the same: inputs, orders, fills, statistics")
        return
    for line in _task_lines(comparison):
        say(line)


def print_runs(comparison: RunComparison, names: Sequence[str]) -> None:
    """Print what differs between two runs that are called ``names``."""
    if comparison.same:
        say(
            f"{names[0]} and {names[1]} are the same: {comparison.equal:,} tasks, "
            f"inputs and stored results"
        )
        return
    for line in _listed("inputs", comparison.inputs, _MOST_INPUTS):
        say(line)
    for number, name in enumerate(names):
        points = [_parameters(point) for point in comparison.points[number]]
        for what, items in (("point", points), ("window", comparison.windows[number])):
            if items:
                head = f"only in {name}: {len(items):,} {what}{'s' * (len(items) > 1)}"
                say(f"{head}: {_few(items)}")
    say(
        f"tasks      {comparison.shared:,} with the same id in both; with the same parameters and "
        f"window: {comparison.equal:,} same, {comparison.different:,} different"
    )
    for name, count in zip(names, comparison.missing, strict=True):
        if count:
            say(f"           {count:,} more have no stored result in {name}")
    if comparison.first_pair is not None:
        pair = comparison.first_pair
        ids = f"{pair.first[:_SHOWN]} and {pair.second[:_SHOWN]}"
        say(f"the first pair with different results: {ids}")
        for line in _task_lines(pair):
            say(f"  {line}")


def print_replay(replayed: Replay, *, comparable: bool) -> None:
    """Print how a task ended, and whether that is what is stored."""
    now, before = replayed.now, replayed.before
    task = f"task {replayed.task_id[:_SHOWN]}"
    if now.kind is not Kind.OK:
        say(f"{task} failed: {now.kind}: {now.message}")
        if now.traceback:
            say(now.traceback.rstrip("\n"), err=True)
    if before is None:
        say(f"{task}: nothing is stored to compare with")
    elif before.kind is Kind.DATA and not before.traceback and now.kind is Kind.OK:
        say(f"{task}: ok now; what is stored is no result: {before.message}")
    elif before.kind is not Kind.OK:
        is_same = (now.kind, now.message) == (before.kind, before.message)
        say(
            f"{task}: the stored outcome is the same failure"
            if is_same
            else f"{task}: {now.kind} now; the stored outcome is: {before.kind}: {before.message}"
        )
    elif now.kind is not Kind.OK:
        say(f"{task}: the stored outcome is a result: it was ok")
    elif replayed.difference is None:
        say(f"{task}: the same bytes as the stored result")
    else:
        why = "" if comparable else "; code or versions are not those of the run (see the notes)"
        say(f"{task}: other bytes: {replayed.difference.summary('stored', 'now')}{why}")


def print_garbage(found: Garbage, *, deleted: bool, older_than: str) -> None:
    """Print what can be removed, or was removed, and how much space it takes."""
    for what in dict.fromkeys(item.what for item in found.items):
        items = [item for item in found.items if item.what is what]
        size = sum(item.bytes for item in items)
        say(f"{what:<10} {len(items):>9,}  {size / 1e6:>12,.3f} MB")
        for item in items[:_MOST_NAMED]:
            say(f"  {item.place}")
        if len(items) > _MOST_NAMED:
            say(f"  and {len(items) - _MOST_NAMED:,} more")
    done = "removed" if deleted else "can go"
    say(
        f"{len(found.items):,} {done}, {found.bytes:,} bytes; {found.kept:,} results are of runs, "
        f"{found.young:,} other things are younger than {older_than}"
    )
    if found.items and not deleted:
        say("nothing was removed; --delete removes it", err=True)


def _task_lines(comparison: TaskComparison) -> Iterable[str]:
    yield from _listed("inputs", comparison.inputs, _MOST_INPUTS)
    if comparison.result is None:
        yield "results    the same orders, fills, positions, equity and statistics"
    else:
        summary = comparison.result.summary(comparison.first[:_SHOWN], comparison.second[:_SHOWN])
        yield f"results    {summary}"


def _listed(head: str, items: Sequence[Any], most: int) -> Iterable[str]:
    if not items:
        yield f"{head:<10} the same"
        return
    yield f"{head:<10} {len(items):,} different"
    yield from (f"  {item}" for item in items[:most])
    if len(items) > most:
        yield f"  and {len(items) - most:,} more; --json has all"


def _parameters(point: Point) -> str:
    values = point.parameters.items()
    return ", ".join(f"{name}={value}" for name, value in values) or "no parameters"


def _few(items: Sequence[str]) -> str:
    more = f"; and {len(items) - _MOST_NAMED:,} more" if len(items) > _MOST_NAMED else ""
    return "; ".join(items[:_MOST_NAMED]) + more


_SAMPLE = 10
_RESULTS = results_option("folder")
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
    "--search",
    "asked_again",
    is_flag=True,
    help="Ask for the points of the run's search again instead, and compare them.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, MOST_WORKERS),
    help="Worker processes; default: one per processor.",
)
@_RESULTS
@EXPERIMENT
@_DATASET
@JSON
def verify(  # noqa: PLR0913 - one argument for each option of the command
    run: str,
    folder: str,
    *,
    sample: int | None,
    everything: bool,
    asked_again: bool,
    workers: int | None,
    experiment: Path | None,
    dataset: str | None,
    as_json: bool,
) -> int:
    """Compute stored tasks of RUN (a run id, or 'latest') again, and compare every byte.

    The tasks run in fresh processes and leave the stored results alone. Exit code 6 when bytes
    differ, with the first file, row and column; 3 when stored results or data are damaged. Refused
    when code or versions are not those of the run. With --search no task is computed; exit code 11
    when the search asks for another point.
    """
    if asked_again:
        return _verify_search(run, folder, as_json=as_json)
    from trading_runtime.execution.progress import Progress
    from trading_runtime.verification.rerun import found_origin
    from trading_runtime.verification.verify import (
        TaskVerdict,
        record_verification,
        verification_document,
        verify_run,
    )

    if everything and sample is not None:
        raise UsageError("give --sample N or --all, not both")
    store, run_id = find_run(run, folder)
    files = store.run(run_id)
    wanted = None if everything else sample or _SAMPLE
    with found_origin(store, files, experiment, dataset) as origin, Signals() as stopping:
        tasks = len(origin.plan.tasks)
        progress = Progress(tasks if wanted is None else min(wanted, tasks), 0)

        def report(finding: TaskFinding) -> None:
            progress.task_ended(ok=finding.verdict is TaskVerdict.SAME)

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
            say(f"stopped: {str(error) or 'at once'}", err=True)
            return stopping.exit_code
    try:
        record_verification(verification, store, files)
    except StorageError as error:
        say(f"note: not written to the run's journal: {error}", err=True)
    if as_json:
        say(json.dumps(verification_document(verification), ensure_ascii=False))
    else:
        print_verification(verification)
    return verification.kind.exit_code


def _verify_search(run: str, folder: str, *, as_json: bool) -> int:
    from trading_runtime.search.checking import check_asked

    store, run_id = find_run(run, folder)
    checked = check_asked(store, run_id)
    if as_json:
        say(json.dumps(checked._asdict()))
    elif checked.differs is None:
        from trading_runtime.report.formatting import counted

        of = counted(checked.generations, "generation")
        say(f"asked for the same again: {counted(checked.points, 'point')} of {of}")
    if checked.differs is not None:
        raise DiffersError(
            f"run {run_id!r}: generation {checked.differs} is asked otherwise here: another "
            "processor or another version of the sampler; the stored points stay the truth"
        )
    return 0


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
    from trading_runtime.verification.why import TaskComparison, comparison_document

    comparison = compare_named((first, second), (folder, second_folder or folder))
    if as_json:
        say(json.dumps(comparison_document(comparison), ensure_ascii=False))
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
@EXPERIMENT
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

    TASK is the first digits of its task id. Stored results stay as they are. Exit code 0 when the
    bytes equal the stored ones, 6 when they do not, else that of the task's failure.
    """
    from trading_runtime.verification.replay import find_task
    from trading_runtime.verification.replay import replay as run_again
    from trading_runtime.verification.rerun import (
        STRATEGY_CODE,
        changed_inputs,
        found_origin,
        refuse_changed_inputs,
    )

    store, run_id = find_run(run, folder)
    files = store.run(run_id)
    with found_origin(store, files, experiment, dataset) as origin:
        index = find_task(origin.plan, task, point, partition)
        changed = changed_inputs(origin)
        # With other versions it may still be useful to see what happens; with other code it is
        # another strategy.
        refuse_changed_inputs([item for item in changed if item.path == STRATEGY_CODE], origin)
        for item in changed:
            say(f"note: {item.path}: then {item.first}, now {item.second}", err=True)
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
    """Show or remove what is in a results folder and no run's plan refers to.

    These are results of runs whose folder was removed, unfinished files of killed processes, and
    damaged results that were quarantined. Nothing is removed while a run's plan cannot be read.
    """
    from trading_runtime.results import garbage
    from trading_runtime.results.store import open_store
    from trading_runtime.storage.s3 import is_s3
    from trading_runtime.units import parse_duration

    try:
        age = parse_duration(older_than)
    except ValueError as error:
        raise UsageError(f"--older-than: {error}") from error
    store = open_store(folder)
    if not is_s3(folder) and not Path(folder).is_dir():
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
        say(json.dumps(content, ensure_ascii=False))
    else:
        print_garbage(found, deleted=delete, older_than=older_than)
