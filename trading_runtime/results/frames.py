"""The tables of a run: a row per task, a row per point; as Parquet, plain values and CSV.

``results.parquet`` and ``points.parquet`` are the same bytes for the same content: rows in order of
(point, partition), one row group, money as ``Decimal(38,16)``, times as ``Datetime(ns, UTC)``.
"""

from __future__ import annotations

import csv
import difflib
import io
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl

from trading_runtime.canonical import canonical_json, decimal_text
from trading_runtime.config.statistic_names import (
    BETTER_LOW,
    POINT_STATISTICS,
)
from trading_runtime.errors import UsageError
from trading_runtime.records.result import BestPoint
from trading_runtime.results.calendar import Calendar
from trading_runtime.results.exact import money_text
from trading_runtime.results.points import (
    MISSING,
    chained_curve,
    point_days,
    point_returns,
)
from trading_runtime.results.task_reader import stored_outcomes
from trading_runtime.results.task_table import (
    DECIMAL_TEXT,
    MONEY,
    TASK_STATISTICS,
    column,
    where_charged,
)
from trading_runtime.storage.files import write_file
from trading_runtime.text import for_spreadsheet
from trading_runtime.units import format_instant

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from trading_runtime.records.plan import Plan, PlannedObjective
    from trading_runtime.results.points import CurvePoint
    from trading_runtime.results.store import Store
    from trading_runtime.results.validation import Walked


TIME = pl.Datetime("ns", "UTC")
PARAMETER_PREFIX = "param."

_COUNTED = {"warmup_short": pl.Int64(), "ruined": pl.Int64()}
_INT64 = range(-(2**63), 2**63)


def results_frame(
    plan: Plan,
    statuses: Mapping[str, str],
    statistics: pl.DataFrame,
) -> pl.DataFrame:
    """Return the table of a run's tasks, one row for each task of ``plan``, failed ones included.

    ``statuses`` gives ``ok`` or the kind of the failure by task id; a task that is not in it is
    ``missing``. ``statistics`` are those of the tasks that are ok (``TaskTable.statistics``).
    """
    tasks = sorted(plan.tasks, key=lambda task: (task.point, task.partition))
    points = {point.index: point.parameters for point in plan.points}
    partitions = {partition.index: partition for partition in plan.partitions}
    windows = [partitions[task.partition] for task in tasks]
    status = [statuses.get(task.task_id, MISSING) for task in tasks]
    of_plan = pl.DataFrame(
        [
            pl.Series("task_id", [task.task_id for task in tasks], pl.String),
            pl.Series("point", [task.point for task in tasks], pl.Int32),
            pl.Series("partition", [task.partition for task in tasks], pl.Int32),
            _times("start", [window.start for window in windows]),
            _times("end", [window.end for window in windows]),
            pl.Series("instruments", [",".join(each.instruments) for each in windows], pl.String),
            *parameter_columns([points[task.point] for task in tasks]),
            pl.Series("status", status, pl.String),
        ]
    )
    return of_plan.join(statistics, on="task_id", how="left", maintain_order="left").rechunk()


def points_frame(rows: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
    """Return the table of a run's points from the rows that ``aggregate_point`` makes."""
    rows = sorted(rows, key=lambda row: row["point"])
    return pl.DataFrame(
        [
            pl.Series("point", [row["point"] for row in rows], pl.Int32),
            *parameter_columns([row["parameters"] for row in rows]),
            *(
                pl.Series(name, [row[name] for row in rows], pl.Int32)
                for name in ("tasks", "ok", "failed", "missing")
            ),
            *(
                column(name, [row[name] for row in rows], _COUNTED.get(name, TASK_STATISTICS[name]))
                for name in POINT_STATISTICS
            ),
            *where_charged(rows),
        ]
    )


def write_frame(frame: pl.DataFrame, path: Path) -> None:
    """Write ``frame`` to ``path`` as Parquet, the same bytes whenever the content is the same."""
    content = io.BytesIO()
    frame.write_parquet(
        content,
        compression="zstd",
        compression_level=3,
        statistics=True,
        row_group_size=max(1, frame.height),
    )
    write_file(path, content.getvalue())


def read_frame(content: bytes) -> pl.DataFrame:
    """Return the table in the bytes of a Parquet file, of a run or of a task."""
    return pl.read_parquet(io.BytesIO(content))


def best(
    points: pl.DataFrame,
    metric: str,
    direction: str = "maximize",
    *,
    allow_incomplete: bool = False,
) -> BestPoint | None:
    """Return the best point by ``metric``, or ``None``.

    The result is ``None`` while a task is missing, unless ``allow_incomplete``. An undefined value
    never wins; among equal values the lower point index does. Money is a decimal string. Raises
    ``UsageError`` when the metric is not a statistic of a point.
    """
    check_metric(metric)
    if points.height == 0 or (not allow_incomplete and points["missing"].sum() > 0):
        return None
    known = points.filter(pl.col(metric).is_not_null())
    if known.height == 0:
        return None
    row = ranked(known, metric, direction).row(0, named=True)
    return BestPoint(
        point=row["point"], parameters=row_parameters(row), value=json_value(row[metric])
    )


def ranked(points: pl.DataFrame, metric: str, direction: str = "maximize") -> pl.DataFrame:
    """Return the points from best to worst by ``metric``; undefined last, ties by point index."""
    check_metric(metric)
    return points.sort(
        [metric, "point"], descending=[direction != "minimize", False], nulls_last=True
    )


def check_metric(name: str) -> str:
    """Return ``name`` if it is a statistic of a point; raise ``UsageError`` otherwise."""
    if name in POINT_STATISTICS:
        return name
    near = difflib.get_close_matches(name, POINT_STATISTICS, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise UsageError(
        f"{name!r} is not a statistic of a point; {hint}accepted: {', '.join(POINT_STATISTICS)}"
    )


def is_better_low(name: str, objective: PlannedObjective) -> bool:
    """Return whether a lower value is the better one: as the objective says, else by the name."""
    return objective.direction == "minimize" if name == objective.metric else name in BETTER_LOW


def parameter_names(columns: Iterable[str]) -> list[str]:
    """Return the names of the parameters among the columns of a table."""
    return [
        name.removeprefix(PARAMETER_PREFIX) for name in columns if name.startswith(PARAMETER_PREFIX)
    ]


def varied_parameters(points: pl.DataFrame) -> list[str]:
    """Return the names of the parameters that have several values."""
    names = parameter_names(points.columns)
    return [name for name in names if points[PARAMETER_PREFIX + name].n_unique() > 1]


def row_parameters(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of one row of a table; decimals are texts, as in a plan."""
    return {name: json_value(row[PARAMETER_PREFIX + name]) for name in parameter_names(row)}


def parameter_columns(points: Sequence[Mapping[str, Any]]) -> list[pl.Series]:
    """Return one column ``param.<name>`` for each parameter, in the order the points name them.

    The type is that of all values: Boolean, Int64, Decimal(38,16) (with whole numbers), Float64
    (with whole numbers), else String, where anything but a string is given as JSON. A decimal is
    treated the same whether it is one or a string that a plan read from its file.
    """
    names = list(dict.fromkeys(name for point in points for name in point))
    return [
        _parameter_column(PARAMETER_PREFIX + name, [point.get(name) for point in points])
        for name in names
    ]


def _parameter_column(name: str, given: list[Any]) -> pl.Series:
    values = [decimal_text(value) if isinstance(value, Decimal) else value for value in given]
    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return pl.Series(name, values, pl.Boolean)
    if kinds == {int} and all(value is None or value in _INT64 for value in values):
        return pl.Series(name, values, pl.Int64)
    if kinds in ({float}, {float, int}):
        return pl.Series(name, values, pl.Float64, strict=False)
    if kinds in ({str}, {str, int}) and all(
        value is None or DECIMAL_TEXT.fullmatch(str(value)) for value in values
    ):
        return column(name, values, MONEY)
    texts = [
        value if value is None or isinstance(value, str) else canonical_json(value).decode()
        for value in values
    ]
    return pl.Series(name, texts, pl.String)


def _times(name: str, instants: Sequence[int]) -> pl.Series:
    return pl.Series(name, instants, pl.Int64).cast(TIME)


def json_value(value: Any) -> Any:
    """Return a value of a table as JSON has it: decimals are texts."""
    return decimal_text(value) if isinstance(value, Decimal) else value


def plain_rows(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of ``frame`` as JSON has them: decimals and instants are texts."""
    times = [name for name, dtype in frame.schema.items() if isinstance(dtype, pl.Datetime)]
    counted = frame.with_columns(pl.col(times).dt.epoch("ns")) if times else frame
    return [
        {name: _plain_value(value, is_time=name in times) for name, value in row.items()}
        for row in counted.iter_rows(named=True)
    ]


def csv_text(frame: pl.DataFrame) -> str:
    """Return ``frame`` as CSV with a header; undefined is empty, a flag is true or false.

    No text in it is a formula for a spreadsheet (see ``text.for_spreadsheet``).
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(map(for_spreadsheet, frame.columns))
    writer.writerows(map(_cells, plain_rows(frame)))
    return buffer.getvalue()


def _cells(row: Mapping[str, Any]) -> list[Any]:
    return [_cell(value) for value in row.values()]


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    return for_spreadsheet(value) if isinstance(value, str) else value


def _plain_value(value: Any, *, is_time: bool) -> Any:
    if isinstance(value, Decimal):
        return decimal_text(value)
    return format_instant(value) if is_time and value is not None else value


def equity_frame(plan: Plan, store: Store, point: int) -> pl.DataFrame:
    """Return ``ts``, ``equity`` and ``growth`` of a point; raises as ``stored_outcomes`` does."""
    return curve_frame(chained_curve(stored_outcomes(plan, store, point)))


def curve_frame(curve: Sequence[CurvePoint]) -> pl.DataFrame:
    """Return ``ts``, ``equity`` and ``growth`` of a chained curve."""
    equity = [money_text(moment.equity) for moment in curve]
    return pl.DataFrame(
        [
            pl.Series("ts", [moment.ts for moment in curve], pl.Int64).cast(TIME),
            pl.Series("equity", equity, pl.String).cast(MONEY),
            pl.Series("growth", [float(moment.growth) for moment in curve], pl.Float64),
        ]
    )


def returns_frame(plan: Plan, store: Store, point: int) -> pl.DataFrame:
    """Return ``day`` and ``return`` of a point; raises as ``stored_outcomes`` does."""
    outcomes = stored_outcomes(plan, store, point)
    days = point_days(outcomes, Calendar.of_plan(plan))
    found = point_returns(chained_curve(outcomes), days)
    values = [None if value is None else float(value) for _, value in found]
    return pl.DataFrame(
        [
            pl.Series("day", [day for day, _ in found], pl.Int32).cast(pl.Date),
            pl.Series("return", values, pl.Float64),
        ]
    )


def splits_frame(walked: Walked) -> pl.DataFrame:
    """Return a row for each split: its times, the point and parameters chosen, trained, tested.

    ``left_out`` counts the points that failed on the training windows; ``failed`` is whether the
    chosen one failed on its test.

    Where the splits were searched, also the run of each search, and how many points it tried.
    """
    choices = walked.choices
    spans = {
        "train": [walked.span(choice.split.train) for choice in choices],
        "test": [walked.span(choice.split.test) for choice in choices],
    }
    times = {
        f"{name}_{end}": [span[place] for span in of_split]
        for name, of_split in spans.items()
        for place, end in enumerate(("start", "end"))
    }
    parameters = [
        {} if choice.point is None else walked.points[choice.point].parameters for choice in choices
    ]
    searches = walked.searches
    return pl.DataFrame(
        [
            pl.Series("split", range(len(choices)), pl.Int32),
            *(pl.Series(name, each, pl.Int64).cast(TIME) for name, each in times.items()),
            pl.Series("point", [choice.point for choice in choices], pl.Int32),
            *parameter_columns(parameters),
            pl.Series("trained", [choice.trained for choice in choices], pl.Float64),
            pl.Series("tested", [choice.tested for choice in choices], pl.Float64),
            pl.Series("left_out", [choice.left_out for choice in choices], pl.Int32),
            pl.Series("failed", [choice.failed for choice in choices], pl.Boolean),
            *([pl.Series("run", [each.run_id for each in searches])] if searches else []),
            *([pl.Series("tried", [each.tried for each in searches])] if searches else []),
        ]
    )
