"""What the report says: headings, figures and tables as text, the same for page and Markdown."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import polars as pl

from trading_runtime.report.assumptions import Assumption, assumptions
from trading_runtime.report.formatting import (
    UNDEFINED,
    capitalised,
    counted,
    in_sentence,
    instant,
    label,
    number,
    sentence_list,
    statistic,
    value_text,
)
from trading_runtime.report.periods import Table, benchmark_facts, months_table
from trading_runtime.results.frames import PARAMETER_PREFIX, parameter_names, ranked
from trading_runtime.results.judgement import drawn_points, findings, verdict
from trading_runtime.results.points import OK
from trading_runtime.results.validation import SEEN_BY_THE_SEARCH
from trading_runtime.text import MOST_MESSAGE, MOST_TRACEBACK, abridged
from trading_runtime.units import parse_instant

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from decimal import Decimal

    from trading_runtime.records.failures import TaskFailure
    from trading_runtime.records.metadata import RunMetadata
    from trading_runtime.records.plan import Plan
    from trading_runtime.records.result import BestPoint, Front, RunResult
    from trading_runtime.records.trials import TrialCount
    from trading_runtime.results.benchmark import Benchmark
    from trading_runtime.results.points import CurvePoint
    from trading_runtime.results.validation import Walked


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ReportInputs:
    """What the report of one run is made from."""

    run_id: str
    experiment: Mapping[str, Any]
    """Content of ``experiment.json``: the experiment with every default made explicit."""
    plan: Plan
    result: RunResult
    results: pl.DataFrame
    """Content of ``results.parquet``."""
    trials: TrialCount | None = None
    points: pl.DataFrame
    """Content of ``points.parquet``."""
    curve: Sequence[CurvePoint] = ()
    """``chained_curve`` of the best point; empty when there is none."""
    returns: Sequence[tuple[int, Decimal | None]] = ()
    """Each day of the best point, since the epoch, with its return."""
    benchmark: Benchmark | None = None
    """Holding the instruments over the same windows."""
    explored: bool = False
    """Whether the page with all points is beside the report."""
    walked: Walked | None = None
    """The walk-forward that the experiment asks for."""
    no_walk: str = ""
    """Why there is none although it does."""
    failures: Sequence[TaskFailure] = ()
    """Content of the files under ``failures/``."""
    data_types: Sequence[str] = ()
    """Types of data that were fed, such as ``bars``; empty when unknown."""
    identities: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """What was used, by a readable name: digests, versions; shown in this order."""
    packages: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Installed version of each package whose version can change a result."""
    metadata: RunMetadata | None = None
    """Shown are when the run started and ended."""
    timeline: Sequence[tuple[str, str]] = ()
    """Times and events, the earliest first."""


MOST_POINTS = 50
MOST_PARTITIONS = 60
_POINT_COLUMNS = (
    "net_profit", "return", "sharpe", "sortino", "max_drawdown", "trades", "win_rate",
    "profit_factor", "fees",
)  # fmt: skip
_PARTITION_COLUMNS = (
    "net_profit", "return", "max_drawdown", "exposure", "trades", "win_rate", "fees",
    "open_positions",
)  # fmt: skip


def points_table(
    points: pl.DataFrame, metric: str, direction: str, best: BestPoint | None
) -> Table:
    """Return the top points by the objective."""
    order = ranked(points, metric, direction)
    names = parameter_names(points.columns)
    shown = list(_POINT_COLUMNS) if metric in _POINT_COLUMNS else [metric, *_POINT_COLUMNS]
    incomplete = points.filter(pl.col("ok") < pl.col("tasks")).height > 0
    rows = []
    for row in order.head(MOST_POINTS).iter_rows(named=True):
        cells = [str(row["point"])]
        cells += [value_text(row[PARAMETER_PREFIX + name]) for name in names]
        cells += [statistic(name, row[name]) for name in shown]
        rows.append([*cells, _tasks_text(row)] if incomplete else cells)
    marked = None
    if best is not None and order.height and order["point"][0] == best.point:
        marked = 0
    left = order.height - len(rows)
    return Table(
        columns=["Point", *names, *map(label, shown), *(["Tasks"] if incomplete else [])],
        rows=rows,
        numeric=[True, *(_is_number(points, name) for name in names), *[True] * len(shown), False],
        note=f"The first {MOST_POINTS} of {order.height:,} points; all are in points.parquet."
        if left
        else "",
        sorted_by=label(metric),
        marked=marked,
    )


def front_table(points: pl.DataFrame, front: Front | None) -> Table | None:
    """Return the points that no other beats in all objectives; ``None`` with one objective."""
    if front is None:
        return None
    names = parameter_names(points.columns)
    metrics = [each.metric for each in front.objectives]
    rows = {row["point"]: row for row in points.iter_rows(named=True)}
    left = len(front.points) - MOST_POINTS
    return Table(
        columns=["Point", *names, *map(label, metrics)],
        rows=[
            [
                str(each.point),
                *(value_text(rows[each.point][PARAMETER_PREFIX + name]) for name in names),
                *(statistic(metric, rows[each.point][metric]) for metric in metrics),
            ]
            for each in front.points[:MOST_POINTS]
        ],
        numeric=[True, *(_is_number(points, name) for name in names), *[True] * len(metrics)],
        note=f"{left:,} more are in result.json." if left > 0 else "",
    )


def splits_table(walked: Walked, metric: str, *, seen_by_search: bool) -> Table:
    """Return the point chosen in each split, and its objective in training and in the test."""
    names = list(dict.fromkeys(name for point in walked.points for name in point.parameters))
    rows = []
    for choice in walked.choices:
        start, end = walked.span(choice.split.test)
        values = {} if choice.point is None else walked.points[choice.point].parameters
        rows.append(
            [
                instant(start),
                instant(end),
                UNDEFINED if choice.point is None else str(choice.point),
                *(value_text(values[name]) if name in values else UNDEFINED for name in names),
                statistic(metric, choice.trained),
                statistic(metric, choice.tested),
            ]
        )
    of_metric = label(metric)
    notes = []
    if len(rows) > MOST_PARTITIONS:
        notes.append(
            f"The first {MOST_PARTITIONS} of {counted(len(rows), 'split')}; 'results walk-forward' "
            "shows all."
        )
    if walked.searches:
        tried = sum(each.tried for each in walked.searches)
        notes.append(
            f"The search was run anew in each split, on its training windows alone: "
            f"{counted(tried, 'point')} in {counted(len(walked.searches), 'split')}. Points are "
            "numbered in the order in which splits chose them."
        )
    elif left_out := max(choice.left_out for choice in walked.choices):
        notes.append(
            f"Up to {left_out:,} of {counted(len(walked.points), 'point')} failed on windows that "
            "a split trains on, and could not be chosen there."
        )
    if any(choice.failed for choice in walked.choices):
        notes.append("Where a chosen point failed on its test, nothing is known of it.")
    if seen_by_search and not walked.searches:
        notes.append(f"{capitalised(SEEN_BY_THE_SEARCH)}.")
    return Table(
        columns=["Test from", "to", "Point", *names, f"{of_metric}, trained", f"{of_metric}, test"],
        rows=rows[:MOST_PARTITIONS],
        numeric=[False, False, True, *[False] * len(names), True, True],
        note=" ".join(notes),
    )


def partitions_table(results: pl.DataFrame, best: BestPoint | None, metric: str) -> Table | None:
    """Return the best point's partitions; ``None`` without a best point or a second partition."""
    if best is None:
        return None
    rows = results.filter(pl.col("point") == best.point).sort("start", "partition")
    if rows.height <= 1:
        return None
    many = rows["instruments"].n_unique() > 1
    extra = [metric] if metric in rows.columns and metric not in _PARTITION_COLUMNS else []
    shown = [*extra, *_PARTITION_COLUMNS]
    cells = [
        [
            instant(row["start"]),
            instant(row["end"]),
            *([row["instruments"].replace(",", ", ")] if many else []),
            *(statistic(name, row[name]) for name in shown),
        ]
        for row in rows.head(MOST_PARTITIONS)
        .with_columns(pl.col("start", "end").dt.epoch("ns"))
        .iter_rows(named=True)
    ]
    return Table(
        columns=["Start", "End", *(["Instruments"] if many else []), *map(label, shown)],
        rows=cells,
        numeric=[False, False, *([False] if many else []), *[True] * len(shown)],
        note=f"The first {MOST_PARTITIONS} of {counted(rows.height, 'partition')}; all are in "
        "results.parquet."
        if rows.height > MOST_PARTITIONS
        else "",
    )


def _is_number(points: pl.DataFrame, name: str) -> bool:
    return points[PARAMETER_PREFIX + name].dtype.is_numeric()


def _tasks_text(row: Mapping[str, Any]) -> str:
    parts = [f"{row[key]} {key}" for key in (OK, "failed", "missing") if row[key]]
    return sentence_list(parts)


MOST_FAILURES = 20
_SHOWN_INSTRUMENTS = 6
_SECOND = 1_000_000_000
_TILES = (
    "net_profit", "return", "sharpe", "sortino", "max_drawdown", "volatility", "trades", "win_rate",
    "profit_factor", "expectancy", "exposure", "fees",
)  # fmt: skip
_COSTS = ("funding", "swap", "dividends", "liquidations", "liquidation_fees")


@dataclasses.dataclass(frozen=True, slots=True)
class Failures:
    """Failed tasks of one kind and message."""

    kind: str
    message: str
    count: int
    tasks: Sequence[str]
    traceback: str


@dataclasses.dataclass(frozen=True, slots=True)
class Content:
    """Everything that the templates show."""

    name: str
    run_id: str
    complete: bool
    status: str
    computed: str
    facts: Sequence[tuple[str, str]]
    best_heading: str
    best_note: str
    best_parameters: Sequence[tuple[str, str]]
    tiles: Sequence[tuple[str, str, bool]]
    luck: Sequence[str]
    luck_details: Sequence[str]
    benchmark: Sequence[tuple[str, str]]
    months: Table | None
    points: Table
    explored: bool
    front: Table | None
    splits: Table | None
    no_walk: str
    partitions: Table | None
    failures: Sequence[Failures]
    failures_left_out: int
    assumptions: Sequence[Assumption]
    identities: Sequence[tuple[str, str]]
    packages: Sequence[tuple[str, str]]
    timeline: Sequence[tuple[str, str]]


def content(inputs: ReportInputs) -> Content:
    """Return what the report of ``inputs`` says."""
    metric, direction = inputs.result.objective.metric, inputs.result.objective.direction
    best = inputs.result.best
    heading, note = _best_words(inputs, best, metric, direction)
    row = _best_row(inputs, best)
    failures = _failures(inputs.failures)
    return Content(
        name=str(inputs.plan.experiment_name or inputs.experiment.get("name", "")),
        run_id=inputs.run_id,
        complete=inputs.result.complete,
        status=_status(inputs.result),
        computed=_computed(inputs.metadata),
        facts=_facts(inputs, metric, direction),
        best_heading=heading,
        best_note=note,
        best_parameters=[
            (name, value_text(row[PARAMETER_PREFIX + name])) for name in parameter_names(row)
        ],
        tiles=[
            (label(name), statistic(name, row[name]), name == metric)
            for name in _tiles(metric, row)
        ]
        if row
        else [],
        luck=list(verdict(inputs.result.luck, inputs.trials)),
        luck_details=list(findings(inputs.result.luck, inputs.trials)),
        benchmark=benchmark_facts(inputs, row),
        months=months_table(inputs.returns),
        points=points_table(inputs.points, metric, direction, best),
        explored=inputs.explored,
        front=front_table(inputs.points, inputs.result.front),
        splits=None
        if inputs.walked is None
        else splits_table(
            inputs.walked,
            metric,
            seen_by_search=drawn_points(inputs.experiment) is not None,
        ),
        no_walk=inputs.no_walk,
        partitions=partitions_table(inputs.results, best, metric),
        failures=failures[:MOST_FAILURES],
        failures_left_out=sum(each.count for each in failures[MOST_FAILURES:]),
        assumptions=assumptions(inputs),
        identities=[(capitalised(name), value) for name, value in inputs.identities.items()],
        packages=sorted(inputs.packages.items()),
        timeline=inputs.timeline,
    )


def currency_of_run(inputs: ReportInputs) -> str:
    """Return the statistics currency of the run; empty when no task is ok."""
    known = inputs.results["currency"].drop_nulls()
    return str(known[0]) if len(known) else ""


def _status(result: RunResult) -> str:
    planned, ok = result.counts.planned, result.counts.ok
    if result.complete:
        return (
            "Complete: the only task is ok"
            if planned == 1
            else f"Complete: all {planned:,} tasks are ok"
        )
    parts = [f"{number(ok, 0)} of {counted(planned, 'task')} ok"]
    others = {"failed": result.counts.failed, "missing": result.counts.missing}
    parts += [f"{number(count, 0)} {key}" for key, count in others.items() if count]
    return f"Incomplete: {', '.join(parts)}"


def _facts(inputs: ReportInputs, metric: str, direction: str) -> list[tuple[str, str]]:
    plan = inputs.plan
    partitions = plan.partitions
    facts = [("Strategy", plan.common.strategy_path)]
    names = sorted({name for partition in partitions for name in partition.instruments})
    if names:
        shown = ", ".join(names[:_SHOWN_INSTRUMENTS])
        more = len(names) - _SHOWN_INSTRUMENTS
        facts.append(("Instruments", f"{shown} and {more} more" if more > 0 else shown))
        start = min(partition.start for partition in partitions)
        end = max(partition.end for partition in partitions)
        if inputs.curve:
            # Clipped to the data: windows may start before it or end after it.
            start, end = inputs.curve[0].ts, inputs.curve[-1].ts
        facts.append(("Period", f"{instant(start)} to {instant(end)} (UTC)"))
    known = inputs.points["days"].drop_nulls()
    if len(known):
        facts.append(("Daily returns", number(known[0], 0)))
    points = counted(len(plan.points), "point")
    facts.append(
        ("Size", f"{points} \N{MULTIPLICATION SIGN} {counted(len(partitions), 'partition')}")
    )
    facts.append(("Objective", f"{direction} {metric}"))
    if currency_of_run(inputs):
        facts.append(("Currency", currency_of_run(inputs)))
    venues = plan.common.all_venues
    for name, venue in venues.items():
        title = "Initial balance" if len(venues) == 1 else f"Initial balance ({name})"
        facts.append((title, ", ".join(_grouped(each) for each in venue.balances)))
    return facts


def _computed(metadata: RunMetadata | None) -> str:
    """Return when the run was computed; nothing when that is unknown."""
    if metadata is None:
        return ""
    times = [_moment(each) for each in (metadata.started, metadata.ended) if each is not None]
    return f"{' to '.join(times)} UTC"


def _moment(text: str) -> str:
    return instant(parse_instant(text) // _SECOND * _SECOND)


def _grouped(balance: str) -> str:
    amount, _, code = balance.partition(" ")
    whole, dot, rest = amount.partition(".")
    return f"{int(whole):,}{dot}{rest} {code}"


def _best_words(
    inputs: ReportInputs, best: BestPoint | None, metric: str, direction: str
) -> tuple[str, str]:
    usable = inputs.points[metric].count() if metric in inputs.points.columns else 0
    counts = inputs.result.counts
    undone = [
        counted(count, f"task {word}", f"tasks {words}")
        for count, word, words in (
            (counts.failed, "failed", "failed"),
            (counts.missing, "is missing", "are missing"),
        )
        if count
    ]
    if best is not None:
        extreme = "highest" if direction == "maximize" else "lowest"
        note = f"{extreme} {in_sentence(metric)} of {counted(usable, 'point')}"
        note = note if usable > 1 else "the only point that has a result"
        if undone:
            note += f"; {sentence_list(undone)}, so another may be better"
        return f"Best: point {best.point}", capitalised(note) + "."
    if undone and usable:
        why = f"{sentence_list(undone)}, so no best point is named"
    elif undone:
        why = f"{sentence_list(undone)}, and no point has all its results"
    else:
        why = f"no point has a {in_sentence(metric)} that is defined"
    return "No best point", capitalised(why) + "."


def _best_row(inputs: ReportInputs, best: BestPoint | None) -> dict[str, Any]:
    if best is None:
        return {}
    return inputs.points.row(by_predicate=pl.col("point") == best.point, named=True)


def _tiles(metric: str, row: Mapping[str, Any]) -> list[str]:
    """Return the statistics shown large; of costs other than fees, only those that occurred."""
    costs = [name for name in _COSTS if row.get(name) and name != metric]
    return [metric, *(name for name in _TILES if name != metric)][: len(_TILES)] + costs


def _failures(failures: Sequence[TaskFailure]) -> list[Failures]:
    """Return failures grouped by kind and message, the most frequent first."""
    alike: dict[tuple[str, str], list[TaskFailure]] = defaultdict(list)
    for each in sorted(failures, key=lambda each: each.task_id):
        alike[each.kind.value, each.message].append(each)
    return [
        Failures(
            kind=kind,
            message=abridged(message, MOST_MESSAGE),
            count=len(each),
            tasks=[one.task_id for one in each],
            traceback=abridged(each[0].traceback, MOST_TRACEBACK),
        )
        for (kind, message), each in sorted(
            alike.items(), key=lambda item: (-len(item[1]), item[0])
        )
    ]
