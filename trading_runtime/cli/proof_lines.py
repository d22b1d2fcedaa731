"""The lines that ``verify``, ``why``, ``replay`` and ``gc`` print."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from trading_runtime.errors import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from trading_runtime.execution.replay import Replay
    from trading_runtime.execution.verification import Verification
    from trading_runtime.results.comparison import RunComparison, TaskComparison
    from trading_runtime.results.garbage import Garbage

_SHOWN = 12
_MOST_INPUTS = 20
_MOST_NAMED = 5
_MOST_TOLD = 10


def print_verification(found: Verification) -> None:
    """Print the counts, and what is wrong with which task."""
    counted = ", ".join(f"{count:,} {verdict}" for verdict, count in found.counts.items() if count)
    click.echo(f"run       {found.run_id}: {found.planned:,} planned, {found.stored:,} stored")
    click.echo(f"verified  {len(found.findings):,} tasks in fresh processes: {counted}")
    wrong = [item for item in found.findings if item.kind is not Kind.OK]
    for item in wrong[:_MOST_TOLD]:
        click.echo(f"error: task {item.task_id[:_SHOWN]}: {item.message}", err=True)
    if len(wrong) > _MOST_TOLD:
        click.echo(f"error: and {len(wrong) - _MOST_TOLD:,} more; --json has all", err=True)
    if found.damage:
        click.echo(f"error: {found.damage}", err=True)


def print_tasks(comparison: TaskComparison) -> None:
    """Print what differs between two tasks."""
    first, second = comparison.first[:_SHOWN], comparison.second[:_SHOWN]
    if comparison.same:
        click.echo(f"{first} and {second} are the same: inputs, orders, fills, statistics")
        return
    for line in _task_lines(comparison):
        click.echo(line)


def print_runs(comparison: RunComparison, names: Sequence[str]) -> None:
    """Print what differs between two runs that are called ``names``."""
    if comparison.same:
        click.echo(
            f"{names[0]} and {names[1]} are the same: {comparison.equal:,} tasks, "
            f"inputs and stored results"
        )
        return
    for line in _listed("inputs", comparison.inputs, _MOST_INPUTS):
        click.echo(line)
    for number, name in enumerate(names):
        points = [_parameters(values) for values in comparison.points[number]]
        for what, items in (("point", points), ("window", comparison.windows[number])):
            if items:
                head = f"only in {name}: {len(items):,} {what}{'s' * (len(items) > 1)}"
                click.echo(f"{head}: {_few(items)}")
    click.echo(
        f"tasks      {comparison.shared:,} with the same id in both; with the same parameters and "
        f"window: {comparison.equal:,} same, {comparison.different:,} different"
    )
    for name, count in zip(names, comparison.missing, strict=True):
        if count:
            click.echo(f"           {count:,} more have no stored result in {name}")
    if comparison.first_pair is not None:
        pair = comparison.first_pair
        ids = f"{pair.first[:_SHOWN]} and {pair.second[:_SHOWN]}"
        click.echo(f"the first pair with different results: {ids}")
        for line in _task_lines(pair):
            click.echo(f"  {line}")


def print_replay(replayed: Replay, *, comparable: bool) -> None:
    """Print how a task ended, and whether that is what is stored."""
    now, before = replayed.now, replayed.before
    task = f"task {replayed.task_id[:_SHOWN]}"
    if now.kind is not Kind.OK:
        click.echo(f"{task} failed: {now.kind}: {now.message}")
        if now.traceback:
            click.echo(now.traceback.rstrip("\n"), err=True)
    if before is None:
        click.echo(f"{task}: nothing is stored to compare with")
    elif before.kind is Kind.DATA and not before.traceback and now.kind is Kind.OK:
        click.echo(f"{task}: ok now; what is stored is no result: {before.message}")
    elif before.kind is not Kind.OK:
        is_same = (now.kind, now.message) == (before.kind, before.message)
        click.echo(
            f"{task}: the stored outcome is the same failure"
            if is_same
            else f"{task}: {now.kind} now; the stored outcome is: {before.kind}: {before.message}"
        )
    elif now.kind is not Kind.OK:
        click.echo(f"{task}: the stored outcome is a result: it was ok")
    elif replayed.difference is None:
        click.echo(f"{task}: the same bytes as the stored result")
    else:
        why = "" if comparable else "; code or versions are not those of the run (see the notes)"
        click.echo(f"{task}: other bytes: {replayed.difference.told('stored', 'now')}{why}")


def print_garbage(found: Garbage, *, deleted: bool, older_than: str) -> None:
    """Print what can go, or is gone, and how much space it takes."""
    for what in dict.fromkeys(item.what for item in found.items):
        items = [item for item in found.items if item.what is what]
        size = sum(item.bytes for item in items)
        click.echo(f"{what:<10} {len(items):>9,}  {size / 1e6:>12,.3f} MB")
        for item in items[:_MOST_NAMED]:
            click.echo(f"  {item.place}")
        if len(items) > _MOST_NAMED:
            click.echo(f"  and {len(items) - _MOST_NAMED:,} more")
    done = "removed" if deleted else "can go"
    click.echo(
        f"{len(found.items):,} {done}, {found.bytes:,} bytes; {found.kept:,} results are of runs, "
        f"{found.young:,} other things are younger than {older_than}"
    )
    if found.items and not deleted:
        click.echo("nothing was removed; --delete removes it", err=True)


def _task_lines(comparison: TaskComparison) -> Iterable[str]:
    yield from _listed("inputs", comparison.inputs, _MOST_INPUTS)
    if comparison.result is None:
        yield "results    the same orders, fills, positions, equity and statistics"
    else:
        told = comparison.result.told(comparison.first[:_SHOWN], comparison.second[:_SHOWN])
        yield f"results    {told}"


def _listed(head: str, items: Sequence[Any], most: int) -> Iterable[str]:
    if not items:
        yield f"{head:<10} the same"
        return
    yield f"{head:<10} {len(items):,} different"
    yield from (f"  {item}" for item in items[:most])
    if len(items) > most:
        yield f"  and {len(items) - most:,} more; --json has all"


def _parameters(values: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items()) or "no parameters"


def _few(items: Sequence[str]) -> str:
    more = f"; and {len(items) - _MOST_NAMED:,} more" if len(items) > _MOST_NAMED else ""
    return "; ".join(items[:_MOST_NAMED]) + more
