"""The commands ``results list``, ``show`` and ``export``: what runs produced, from their files."""

from __future__ import annotations

import contextlib
import difflib
import functools
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trading_runtime.cli.options import JSON, find_run, open_results, results_option
from trading_runtime.cli.terminal import print_table, say
from trading_runtime.cli.validation import robustness, seams, walk_forward
from trading_runtime.errors import DataError, StorageError, UsageError
from trading_runtime.report.formatting import METRICS, instant, label, statistic, value_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import polars as pl

    from trading_runtime.argo.workflow_state import ListedWorkflows
    from trading_runtime.records.plan import PlannedObjective
    from trading_runtime.records.result import RunResult
    from trading_runtime.records.run_files import RunFiles
    from trading_runtime.results.store import Store


_POINT_COLUMNS = ("net_profit", "return", "sharpe", "sortino", "max_drawdown", "trades", "win_rate")
_TASK_COLUMNS = (*_POINT_COLUMNS, "fees", "exposure", "denied_orders", "open_positions")


@dataclass(frozen=True)
class ResultOverview:
    """How a run ended, and what came of it."""

    run_id: str
    experiment: str | None
    """``None``, like the times, when the metadata are absent or damaged."""
    status: str
    started: str | None
    ended: str | None
    result: RunResult | None
    """``None`` when there is none, or it is damaged."""

    def to_document(self) -> dict[str, Any]:
        """Return the overview as JSON content."""
        document = {} if self.result is None else self.result.to_document()
        return {
            "run_id": self.run_id,
            "experiment": self.experiment,
            "status": self.status,
            "started": self.started,
            "ended": self.ended,
            "run_digest": document.get("run_digest"),
            "counts": document.get("counts"),
            "failed_by_kind": document.get("failed_by_kind", {}),
            "objective": document.get("objective"),
            "best": document.get("best"),
        }


def print_runs(overviews: Iterable[ResultOverview]) -> None:
    """Print a line for each run."""
    rows = [[each.run_id, each.status, *_result_cells(each.result)] for each in overviews]
    _print_table(["run", "status", "tasks ok", "objective", "best", "point"], rows, "lllllr")


def print_overview(overview: ResultOverview) -> None:
    """Print how a run ended, what failed, and which point is the best."""
    for line in _overview_lines(overview):
        say(line)


def print_points(points: pl.DataFrame, emphasis: Sequence[str]) -> None:
    """Print a line for each point; statistics named in ``emphasis`` come first."""
    from trading_runtime.results.frames import parameter_names

    names = parameter_names(points.columns)
    shown = _columns(_POINT_COLUMNS, emphasis)
    rows = [
        [
            str(row["point"]),
            *(value_text(row[f"param.{name}"]) for name in names),
            *(statistic(name, row[name]) for name in shown),
            f"{row['ok']}/{row['tasks']}",
        ]
        for row in points.iter_rows(named=True)
    ]
    heads = ["point", *names, *shown, "tasks ok"]
    _print_table(heads, rows, "r" * len(heads))


def print_tasks(tasks: pl.DataFrame, emphasis: Sequence[str]) -> None:
    """Print a line for each partition of a point; statistics in ``emphasis`` come first."""
    import polars as pl

    shown = [name for name in _columns(_TASK_COLUMNS, emphasis) if name in tasks.columns]
    rows = [
        [
            str(row["partition"]),
            instant(row["start"]),
            instant(row["end"]),
            row["status"],
            *(statistic(name, row[name]) for name in shown),
        ]
        for row in tasks.with_columns(pl.col("start", "end").dt.epoch("ns")).iter_rows(named=True)
    ]
    heads = ["partition", "start", "end", "status", *shown]
    _print_table(heads, rows, "rlll" + "r" * len(shown))


def _overview_lines(overview: ResultOverview) -> Iterator[str]:
    line, result = f"{overview.run_id}: {overview.status}", overview.result
    if result is None:
        yield line
        return
    counts, objective, best = result.counts, result.objective, result.best
    line += f", {counts.ok} of {counts.planned} tasks ok"
    numbers = {"failed": counts.failed, "missing": counts.missing}
    yield line + "".join(f", {number} {name}" for name, number in numbers.items() if number)
    if result.failed_by_kind:
        kinds = (f"{kind} {count}" for kind, count in result.failed_by_kind.items())
        yield f"failed by kind: {', '.join(kinds)}"
    line = f"objective: {objective.direction} {objective.metric}; "
    if best is None:
        yield line + "no best point is named"
        return
    parameters = ", ".join(f"{name}={value}" for name, value in best.parameters.items())
    value = _typed(statistic(objective.metric, best.value))
    where = f" ({parameters})" if parameters else ""
    yield f"{line}best: point {best.point}{where}, {label(objective.metric)} {value}"


def _result_cells(result: RunResult | None) -> list[str]:
    if result is None:
        return ["", "", "", ""]
    tasks, metric = f"{result.counts.ok}/{result.counts.planned}", result.objective.metric
    if result.best is None:
        return [tasks, metric, "", ""]
    return [tasks, metric, statistic(metric, result.best.value), str(result.best.point)]


def _columns(usual: Sequence[str], emphasis: Sequence[str]) -> list[str]:
    return list(dict.fromkeys([name for name in emphasis if name in METRICS] + list(usual)))


def _print_table(heads: Sequence[str], rows: Iterable[Sequence[str]], align: str) -> None:
    print_table([heads, *([_typed(cell) for cell in row] for row in rows)], align)


def _typed(text: str) -> str:
    # Terminal output is often pasted into other programs, which read only the plain minus.
    return (
        text.replace("\N{MINUS SIGN}", "-")
        .replace("\N{EN DASH}", "-")
        .replace("\N{MULTIPLICATION SIGN}", "x")
    )


_RESULTS = results_option("folder")


@click.group()
def results() -> None:
    """List, show and export results."""


results.add_command(robustness)
results.add_command(seams)
results.add_command(walk_forward)


@results.command("list")
@_RESULTS
@JSON
def list_results(folder: str, *, as_json: bool) -> None:
    """List the results of the runs in a folder, oldest first."""
    from trading_runtime.runs.finding import runs_by_start

    store = open_results(folder)
    found = [_overview_of_any(store, run_id) for run_id in runs_by_start(store)]
    if as_json:
        say(json.dumps([each.to_document() for each in found], ensure_ascii=False))
        return
    if not found:
        say(f"no runs in {folder}", err=True)
        return
    print_runs(found)


@results.command("show")
@click.argument("run")
@_RESULTS
@click.option(
    "--sort", "key", help="Statistic or parameter to sort by; the objective if not given."
)
@click.option(
    "--ascending/--descending",
    default=None,
    help="With --sort: smallest or largest first; default: the better values of a statistic first.",
)
@click.option("--point", type=int, help="Show the partitions of this point.")
@click.option(
    "--limit", type=click.IntRange(min=0), default=50, show_default=True, help="Rows; 0 for all."
)
@JSON
def show_results(  # noqa: PLR0913 - one argument for each option of the command
    run: str,
    folder: str,
    *,
    key: str | None,
    ascending: bool | None,
    point: int | None,
    limit: int,
    as_json: bool,
) -> None:
    """Show the points of RUN (a run id, or 'latest'), the best first; or one point's partitions."""
    from trading_runtime.results.frames import plain_rows

    store, run_id = find_run(run, folder)
    files = store.run(run_id)
    result, stored = _read_table(files, "points" if point is None else "results")
    overview = _overview(store, files, result)
    if point is None:
        table = _sorted_points(stored, result.objective, key, ascending=ascending)
    else:
        tasks = _of_point(stored, point)
        table = (
            _sort(tasks, key, result.objective, ascending=ascending)
            if key
            else tasks.sort("start", "partition")
        )
    if as_json:
        name = "points" if point is None else "tasks"
        say(json.dumps({**overview.to_document(), name: plain_rows(table)}, ensure_ascii=False))
        return
    print_overview(overview)
    say("")
    shown = table.head(limit) if limit else table
    emphasis = [key or "", result.objective.metric]
    (print_points if point is None else print_tasks)(shown, emphasis)
    if shown.height < table.height:
        say(f"the first {shown.height} of {table.height}; --limit 0 shows all", err=True)
    if files.report_page.exists():
        say(f"report: {files.report_page}", err=True)


@results.command("export")
@click.argument("run")
@_RESULTS
@click.option("--to", "form", type=click.Choice(["csv", "parquet", "mlflow"]), required=True)
@click.option("--point", type=int, help="With --table returns: the point; default: the best.")
@click.option(
    "--table",
    type=click.Choice(["points", "results", "returns"]),
    default="points",
    show_default=True,
    help="One row per point, per task, or per day of one point, as QuantStats reads them.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write; otherwise CSV goes to standard output, Parquet to RUN-TABLE.parquet.",
)
@click.option(
    "--tracking-uri", help="With --to mlflow: the tracking server; default: MLFLOW_TRACKING_URI."
)
def export_results(  # noqa: PLR0913 - one argument for each option of the command
    run: str,
    folder: str,
    form: str,
    table: str,
    *,
    point: int | None,
    output: Path | None,
    tracking_uri: str | None,
) -> None:
    """Export a table of RUN (a run id, or 'latest'); amounts keep all their digits.

    With --to mlflow the points are nested runs of the run, in the MLflow experiment of the same
    name. That needs the extra 'mlflow'.
    """
    from trading_runtime.results.frames import csv_text, write_frame

    store, run_id = find_run(run, folder)
    files = store.run(run_id)
    if form == "mlflow":
        from trading_runtime.records.metadata import read_metadata
        from trading_runtime.results.tracking import track

        result, frame = _read_table(files, "points")
        metadata = read_metadata(files)
        if metadata is None:
            raise UsageError(f"run {run_id!r} has no {files.metadata.name}; run it again")
        say(track(tracking_uri, metadata, result, frame))
        say(f"{frame.height} points written to MLflow", err=True)
        return
    if table == "returns":
        from trading_runtime.api import open_run

        frame = open_run(run_id, folder).returns(point)
    else:
        _, frame = _read_table(files, table)
    if form == "csv" and output is None:
        say(csv_text(frame), nl=False)
        return
    target = output or Path(f"{run_id}-{table}.parquet")
    if form == "csv":
        text = csv_text(frame)
        _write(target, lambda: target.write_text(text, encoding="utf-8", newline=""))
    else:
        _write(target, lambda: write_frame(frame, target))
    say(f"{frame.height} rows written to {target}", err=True)


@results.command("chart")
@click.argument("run")
@_RESULTS
@click.option("--point", type=int, help="The point; default: the best.")
@click.option(
    "--partition", type=int, help="The partition; default: the first in which the point traded."
)
@click.option("--instrument", help="The instrument; default: the first of the partition.")
@click.option("--dataset", help="Where the dataset is now; default: where it was.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write; default: RUN-POINT-PARTITION.html in the current folder.",
)
def chart_results(  # noqa: PLR0913 - one argument for each option of the command
    run: str,
    folder: str,
    *,
    point: int | None,
    partition: int | None,
    instrument: str | None,
    dataset: str | None,
    output: Path | None,
) -> None:
    """Write a page with the trades of one task of RUN over its prices.

    It shows entries, exits, orders that rested, volume, position, equity and drawdown, can be
    zoomed, and is self-contained. It needs the extra 'charts'.
    """
    from trading_runtime.charts.pages import chart_page
    from trading_runtime.charts.trades import first_traded, read_trades
    from trading_runtime.records.plan import read_plan
    from trading_runtime.records.result import read_result
    from trading_runtime.verification.replay import find_task

    store, run_id = find_run(run, folder)
    files = store.run(run_id)
    if point is None:
        result = read_result(files)
        best = None if result is None else result.best
        if best is None:
            raise UsageError(f"run {run_id!r} names no best point; give --point")
        point = best.point
    if partition is None:
        partition = first_traded(files, point)
    index = find_task(read_plan(files.plan), None, point, partition)
    page = chart_page(read_trades(files, store, index, instrument, dataset))
    target = output or Path(f"{run_id}-{point}-{partition}.html")
    _write(target, lambda: target.write_text(page, encoding="utf-8"))
    say(str(target))


@results.command("explore")
@click.argument("run")
@_RESULTS
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write; default: RUN-points.html in the current folder.",
)
def explore_results(run: str, folder: str, *, output: Path | None) -> None:
    """Write a page with all points of RUN, to sort and filter, and heat maps of all pairs.

    The page is self-contained. It needs the extra 'charts'.
    """
    from trading_runtime.charts.pages import explore_page

    store, run_id = find_run(run, folder)
    result, points = _read_table(store.run(run_id), "points")
    page = explore_page(run_id, points, result)
    target = output or Path(f"{run_id}-points.html")
    _write(target, lambda: target.write_text(page, encoding="utf-8"))
    say(str(target))


def _write(target: Path, write: Callable[[], object]) -> None:
    """Write the file that ``--output`` names."""
    if not target.absolute().parent.is_dir():
        raise UsageError(f"--output {target}: there is no folder {target.parent}; make it first")
    try:
        write()
    except OSError as error:
        raise StorageError(
            f"--output {target}: cannot be written: {error.strerror or error}"
        ) from error


def _overview_of_any(store: Store, run_id: str) -> ResultOverview:
    """Return what can be said about a run, even a damaged one: the others are still listed."""
    from trading_runtime.records.result import read_result

    files = store.run(run_id)
    try:
        return _overview(store, files, read_result(files))
    except DataError:
        return replace(_overview(store, files, None), status="damaged")


@functools.cache
def _workflows() -> ListedWorkflows:
    from trading_runtime.argo.workflow_state import ListedWorkflows

    return ListedWorkflows()


def _overview(store: Store, files: RunFiles, result: RunResult | None) -> ResultOverview:
    from trading_runtime.records.metadata import read_metadata
    from trading_runtime.runs.overview import shown_status

    run_id, metadata = files.folder.name, None
    # Results do not depend on metadata that are damaged.
    with contextlib.suppress(DataError):
        metadata = read_metadata(files)
    return ResultOverview(
        run_id,
        None if metadata is None else metadata.experiment_name,
        shown_status(store, run_id, metadata, _workflows().state)[0],
        None if metadata is None else metadata.started,
        None if metadata is None else metadata.ended,
        result,
    )


def _read_table(files: RunFiles, name: str) -> tuple[RunResult, pl.DataFrame]:
    """Return the result of the run, and one of its tables."""
    from trading_runtime.records.result import read_result
    from trading_runtime.results.run_records import read_table

    path: Path = files.points if name == "points" else files.results
    result = read_result(files)
    if result is None or not path.exists():
        needed = files.result if path.exists() else path
        raise UsageError(
            f"run {files.folder.name!r} has no {needed.name}: it did not reach its summary; "
            "run the experiment again with this run id to finish it"
        )
    return result, read_table(path, result.tables)


def _sorted_points(
    points: pl.DataFrame,
    objective: PlannedObjective,
    key: str | None,
    *,
    ascending: bool | None,
) -> pl.DataFrame:
    from trading_runtime.results.frames import ranked

    if key is not None:
        return _sort(points, key, objective, ascending=ascending)
    return ranked(points, objective.metric, objective.direction)


def _sort(
    table: pl.DataFrame, key: str, objective: PlannedObjective, *, ascending: bool | None
) -> pl.DataFrame:
    """Return the table in the order asked for, else with the better values first."""
    from trading_runtime.results.frames import is_better_low

    column = next((name for name in (key, f"param.{key}") if name in table.columns), None)
    if column is None:
        accepted = [name.removeprefix("param.") for name in table.columns]
        near = difflib.get_close_matches(key, accepted, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise UsageError(f"--sort {key}: no such column; {hint}accepted: {', '.join(accepted)}")
    if ascending is None:
        ascending = is_better_low(key, objective)
    return table.sort(column, descending=not ascending, nulls_last=True, maintain_order=True)


def _of_point(tasks: pl.DataFrame, point: int) -> pl.DataFrame:
    import polars as pl

    found = tasks.filter(pl.col("point") == point)
    if found.height == 0:
        last = tasks["point"].n_unique() - 1
        raise UsageError(f"--point {point}: the run's points are 0 to {last}")
    return found
