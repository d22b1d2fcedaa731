"""The commands ``plan`` and ``run``: what an experiment will run, and what it produces."""

from __future__ import annotations

import json
import signal
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import click

from trading_runtime.cli.options import MOST_WORKERS, WORKERS
from trading_runtime.cli.terminal import say
from trading_runtime.errors import DataError, Kind, StoppedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import FrameType

    from trading_runtime.api import Run
    from trading_runtime.execution.preparation import PreparedRun
    from trading_runtime.records.plan import Plan, ReturnDays
    from trading_runtime.records.result import RunResult

_BESIDE_ENTRYPOINT = Path(__file__).resolve().parent.parent / "local"


@click.command()
@click.argument("file")
@click.option(
    "--workers", type=click.IntRange(1, MOST_WORKERS), help="Worker processes to plan for."
)
@click.option("--json", "as_json", is_flag=True, help="Print the whole plan as JSON.")
def plan(file: str, workers: int | None, *, as_json: bool) -> None:
    """Show the tasks, batches, cached results, data and time that FILE needs; start nothing."""
    from trading_runtime import api

    prepared = api.plan(_resolved(file), workers=workers)
    if as_json:
        from trading_runtime.execution.previews import next_trial, price_of

        costs = prepared.loaded.experiment.costs
        try:
            trial = next_trial(prepared)._asdict()
        except DataError as error:
            trial = {"problem": str(error)}
        content = prepared.plan.to_document() | {
            "plan_digest": prepared.plan.digest,
            "estimated_seconds": prepared.plan.seconds,
            "estimated_price": price_of(prepared.plan.seconds, costs),
            "workers": prepared.workers,
            "next_trial": trial,
        }
        say(json.dumps(content, ensure_ascii=False))
    else:
        say("\n".join(_plan_lines(prepared)))


@click.command()
@click.argument("file", required=False)
@click.option("--config", "config", help="The experiment file; the same as FILE.")
@click.option("--run-id", help="Name of the run; the same id and plan again resumes it.")
@WORKERS
@click.option(
    "--allow-incomplete", is_flag=True, help="Name a best point even though tasks failed."
)
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def run(  # noqa: PLR0913 - one argument per option
    file: str | None,
    config: str | None,
    run_id: str | None,
    workers: int | None,
    *,
    allow_incomplete: bool,
    as_json: bool,
    debug: bool,  # noqa: ARG001 - read by the caller, which also shows errors of the options
) -> int:
    """Run the experiment in FILE on this machine: plan, compute what is not stored, summarise."""
    if (file is None) == (config is None):
        raise click.UsageError("give the experiment file once, as FILE or as --config FILE")
    from trading_runtime.execution.workers.prestarted import PrestartedWorker

    # The worker imports the engine while this process reads the experiment and plans.
    with Signals() as stopping, PrestartedWorker() as prestarted:
        try:
            from trading_runtime import api

            ended = api.run(
                _resolved(config or file or ""),
                run_id=run_id,
                workers=workers,
                allow_incomplete=allow_incomplete,
                show_progress=True,
                should_stop=stopping,
                prestarted=prestarted,
            )
        except (StoppedError, KeyboardInterrupt) as error:
            return stopping.report(error)
    if as_json:
        say(json.dumps(_summary(ended), ensure_ascii=False))
    else:
        say("\n".join(_run_lines(ended)))
    return ended.kind.exit_code


class Signals:
    """Notes SIGINT and SIGTERM, so that the run can end between two events.

    Until something checks for them, nothing is computed that could be lost, so they take effect at
    once; so does a second signal.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._asked = False
        self._before = {
            number: signal.signal(number, self._receive)
            for number in (signal.SIGINT, signal.SIGTERM)
        }

    def __enter__(self) -> Self:
        """Restore the signal handlers when the block ends."""
        return self

    def __exit__(self, *_: object) -> None:
        """Restore the previous signal handlers."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def __call__(self) -> bool:
        """Return whether one of them came."""
        self._asked = True
        return self.received is not None

    @property
    def exit_code(self) -> int:
        """130 after SIGINT and after ``runs stop``, 143 after SIGTERM."""
        return 143 if self.received == signal.SIGTERM else Kind.STOPPED.exit_code

    def report(self, error: BaseException) -> int:
        """Print that ``error`` stopped the command, and return the exit code."""
        say(self.said_of(error), err=True)
        return self.exit_code

    def said_of(self, error: BaseException) -> str:
        """Return how a command ended that ``error`` stopped, in words."""
        if not isinstance(error, KeyboardInterrupt):
            return f"stopped: {error}"
        when = "at once" if self._asked else "before the first task was started"
        return (
            f"stopped: {when}; finished tasks are kept: the same command and run id resume the run"
        )

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        at_once = self.received is not None or not self._asked
        self.received = number
        if at_once:
            raise KeyboardInterrupt


def _resolved(name: str) -> Path:
    from trading_runtime.config.loading import find_experiment

    path, note = find_experiment(name, _BESIDE_ENTRYPOINT)
    if note:
        say(note, err=True)
    return path


def _plan_lines(prepared: PreparedRun) -> list[str]:
    from trading_runtime.execution.previews import changes_since_last_run, price_of
    from trading_runtime.report.formatting import counted

    plan = prepared.plan
    tasks, pending = plan.tasks, plan.uncached
    data = sum(partition.bytes for partition in plan.partitions)
    rows = sum(partition.rows_max for partition in plan.partitions)
    seconds = plan.seconds
    if not pending:
        time = "nothing to compute"
    elif seconds is None:
        time = "not known before a first run"
    else:
        time = f"{seconds / prepared.workers:,.1f} s with {counted(prepared.workers, 'worker')}"
        price = price_of(seconds, prepared.loaded.experiment.costs)
        time += "" if price is None else f", {price}"
    short = sum(partition.warmup_short for partition in plan.partitions)
    left_out = len(plan.empty_windows)
    empty = f" ({counted(left_out, 'window')} without rows left out)" if left_out else ""
    lines = [
        f"experiment  {plan.experiment_name}",
        f"dataset     {prepared.loaded.dataset_place} ({plan.dataset_digest[:12]})",
        f"points      {len(plan.points):,}{_of_search(prepared)}",
        f"partitions  {len(plan.partitions):,}{empty}",
        f"tasks       {len(tasks):,}, of which {len(tasks) - len(pending):,} are stored already",
        *([] if plan.days is None else [f"days        {_days_text(plan, plan.days)}"]),
        f"batches     {len(plan.batches):,}",
        f"data        {data / 1e6:,.1f} MB, up to {rows:,} rows in all partitions",
        f"estimate    {time}",
        *_trial_lines(prepared),
    ]
    if (changed := changes_since_last_run(prepared)) is not None:
        lines.append(f"new         since run {changed.run_id}: {', '.join(changed.changes)}")
    if short:
        where = counted(short, "partition")
        lines.append(f"warm-up     shorter than asked in {where}: the data begins later")
    return lines + [f"warning     {item}" for item in plan.warnings]


def _of_search(prepared: PreparedRun) -> str:
    """Return what a search adds to the points that are planned, or where they are tried."""
    search = prepared.loaded.experiment.search
    if search is None or not search.is_adaptive:
        return ""
    if search.method == "successive-halving":
        return ", fewer of them on more windows in each rung; the tasks are those of all windows"
    return f", the first generation of up to {search.points or 0:,} points ({search.method})"


def _trial_lines(prepared: PreparedRun) -> Iterator[str]:
    """Yield how many trials there will have been, and what one more costs."""
    from trading_runtime.execution.previews import next_trial

    try:
        found = next_trial(prepared)
    except DataError as error:
        yield f"trials      not known: {error}"
        return
    text = f"trials      {found.trials:,} on this data, these included"
    costs = [] if found.seconds is None else [f"{found.seconds:,.2f} s of a worker"]
    costs += [] if found.price is None else [found.price]
    if found.by_luck is None or found.by_luck_then is None:
        yield f"{text}; {found.days} days are too few to tell skill from luck"
    else:
        yield (
            f"{text}: the best of so many has a Sharpe ratio of {found.by_luck:.2f} by luck alone"
        )
        costs.append(f"raises the Sharpe ratio by luck to {found.by_luck_then:.3f}")
    if costs:
        yield f"one more    {', '.join(costs)}"


def _days_text(plan: Plan, days: ReturnDays) -> str:
    """Return how many daily returns a plan has, and by which calendar."""
    least, most = days
    number = f"{most:,}" if least == most else f"{least:,} to {most:,}"
    if plan.common.every_day:
        return f"{number} count as returns: every day from the first row to the last"
    return f"{number} count as returns: those with rows after a window's first"


def _run_lines(ended: Run) -> list[str]:
    from trading_runtime.records.forms import to_document
    from trading_runtime.records.trials import read_trials
    from trading_runtime.report.formatting import counted, statistic
    from trading_runtime.results.judgement import verdict

    result = ended.summary
    counts, by_kind = to_document(result.counts), result.failed_by_kind.items()
    lines = [
        f"run       {ended.run_id}: {'complete' if result.complete else 'INCOMPLETE'}",
        f"tasks     {', '.join(f'{count:,} {name}' for name, count in counts.items())}",
        *(f"          {count:,} of kind {kind}" for kind, count in by_kind),
        *([f"search    {ended.search}"] if ended.search else []),
        f"computed  {counted(ended.computed, 'task')}, in {ended.seconds:.1f} s",
    ]
    lines += _failure_lines(ended)
    known = ended.points.drop_nulls("days").head(1)
    lines += [
        f"days      {counted(row['days'], 'return')}, "
        f"{statistic('periods_per_year', row['periods_per_year'])} of them a year"
        for row in known.iter_rows(named=True)
    ]
    lines += list(_incident_lines(result.incidents))
    lines += [f"warning   {item}" for item in result.warnings]
    best = result.best
    if best is not None:
        values = ", ".join(f"{name} {value}" for name, value in best.parameters.items())
        metric = result.objective.metric
        lines.append(
            f"best      point {best.point} ({values or 'no parameters'}): "
            f"{metric} {statistic(metric, best.value)}"
        )
    else:
        lines.append(f"best      none: {_why_no_best(ended)}")
    lines += _front_lines(result)
    said = verdict(result.luck, read_trials(ended.files))
    lines += [f"{'' if n else 'luck':<9} {text}" for n, text in enumerate(said)]
    return [*lines, f"digest    {result.run_digest}", f"report    {ended.report}"]


_MOST_OF_FRONT = 10


def _front_lines(result: RunResult) -> Iterator[str]:
    """Yield the points that no other beats in all objectives."""
    from trading_runtime.report.formatting import counted

    if result.front is None:
        return
    points = result.front.points
    metrics = [each.metric for each in result.front.objectives]
    aims = ", ".join(f"{each.direction} {each.metric}" for each in result.front.objectives)
    yield f"front     {counted(len(points), 'point')} that no other beats in all of: {aims}"
    for point in points[:_MOST_OF_FRONT]:
        values = ", ".join(f"{name} {value}" for name, value in point.parameters.items())
        found = ", ".join(
            f"{metric} {value}" for metric, value in zip(metrics, point.values, strict=True)
        )
        yield f"          point {point.point} ({values or 'no parameters'}): {found}"
    if len(points) > _MOST_OF_FRONT:
        yield f"          and {len(points) - _MOST_OF_FRONT:,} more, in result.json"


def _failure_lines(ended: Run) -> Iterator[str]:
    """Yield the most frequent failure once, with its count, and whether it ended the run."""
    from trading_runtime.report.formatting import counted
    from trading_runtime.storage.files import read_json

    if not ended.failures:
        return
    counts = Counter((each["kind"], each["message"]) for each in ended.failures)
    (kind, message), count = max(counts.items(), key=lambda item: item[1])
    first = next(
        each["task_id"]
        for each in ended.failures
        if (each["kind"], each["message"]) == (kind, message)
    )
    same = f"{count:,} x, " if count > 1 else ""
    yield f"first     {same}{first[:12]}: {message.splitlines()[0]}"
    allowed = (read_json(ended.files.experiment) or {}).get("limits", {}).get("stop_after")
    missing = ended.summary.counts.missing
    if allowed is not None and count >= allowed and missing:
        yield (
            f"ended     after {counted(count, 'equal failure')} (limits.stop_after); "
            f"{counted(missing, 'task')} not started"
        )


def _incident_lines(incidents: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    """Yield a line for each kind of problem that did not fail a task."""
    heads = {
        "denied_by_reason": "denied",
        "rejected_by_reason": "rejected",
        "engine_warnings": "engine",
        "unfed_subscriptions": "not fed",
        "bars_without_volume": "no volume",
        "liquidations_by_instrument": "closed",
        "queued_requests": "queued",
        "files_read": "read",
    }
    for name, head in heads.items():
        for number, (kind, count) in enumerate(incidents.get(name, {}).items()):
            by = ", by the venue" if head == "closed" else ""
            yield f"{'' if number else head:<9} {count:,} x {kind}{by}"


def _why_no_best(ended: Run) -> str:
    if ended.summary.complete:
        return f"{ended.summary.objective.metric} is undefined for every point"
    return "tasks are missing or failed (--allow-incomplete names one anyway)"


def _summary(ended: Run) -> dict[str, Any]:
    return {
        "run_id": ended.run_id,
        "folder": str(ended.files.folder),
        "report": str(ended.report),
        "computed": ended.computed,
        "seconds": round(ended.seconds, 3),
        **({"search": ended.search} if ended.search else {}),
        **ended.result,
    }
