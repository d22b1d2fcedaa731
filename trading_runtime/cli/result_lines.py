"""The lines that ``results list`` and ``results show`` print: aligned columns, plain characters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from trading_runtime.results.report.formatting import METRICS, instant, label, statistic, value_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import polars as pl

_POINT_COLUMNS = ("net_profit", "return", "sharpe", "sortino", "max_drawdown", "trades", "win_rate")
_TASK_COLUMNS = (*_POINT_COLUMNS, "fees", "exposure", "denied_orders", "open_positions")


def print_runs(overviews: Iterable[Mapping[str, Any]]) -> None:
    """Print a line for each run."""
    rows = [
        [
            each["run_id"],
            each["status"],
            "{ok}/{planned}".format_map(each["counts"]) if each["counts"] else "",
            *_best_cells(each),
        ]
        for each in overviews
    ]
    _print_table(["run", "status", "tasks ok", "objective", "best", "point"], rows, "lllllr")


def print_overview(overview: Mapping[str, Any]) -> None:
    """Print how a run ended, what failed, and which point is the best."""
    for line in _overview_lines(overview):
        click.echo(line)


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


def _overview_lines(overview: Mapping[str, Any]) -> Iterator[str]:
    counts, objective, best = overview["counts"], overview["objective"], overview["best"]
    line = f"{overview['run_id']}: {overview['status']}"
    if counts:
        line += f", {counts['ok']} of {counts['planned']} tasks ok"
        line += "".join(f", {counts[key]} {key}" for key in ("failed", "missing") if counts[key])
    yield line
    if overview["failed_by_kind"]:
        kinds = (f"{kind} {count}" for kind, count in overview["failed_by_kind"].items())
        yield f"failed by kind: {', '.join(kinds)}"
    if not objective:
        return
    line = f"objective: {objective['direction']} {objective['metric']}; "
    if not best:
        yield line + "no best point is named"
        return
    parameters = ", ".join(f"{name}={value}" for name, value in best["parameters"].items())
    value = _typed(statistic(objective["metric"], best["value"]))
    where = f" ({parameters})" if parameters else ""
    yield f"{line}best: point {best['point']}{where}, {label(objective['metric'])} {value}"


def _best_cells(overview: Mapping[str, Any]) -> list[str]:
    objective, best = overview["objective"], overview["best"]
    if not objective:
        return ["", "", ""]
    metric = objective["metric"]
    return (
        [metric, statistic(metric, best["value"]), str(best["point"])] if best else [metric, "", ""]
    )


def _columns(usual: Sequence[str], emphasis: Sequence[str]) -> list[str]:
    return list(dict.fromkeys([name for name in emphasis if name in METRICS] + list(usual)))


def _print_table(heads: Sequence[str], rows: Iterable[Sequence[str]], align: str) -> None:
    lines = [list(heads), *([_typed(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for cells in lines:
        line = (
            cell.rjust(width) if side == "r" else cell.ljust(width)
            for cell, width, side in zip(cells, widths, align, strict=True)
        )
        click.echo("  ".join(line).rstrip())


def _typed(text: str) -> str:
    # What a terminal shows is often pasted into other programs, which read only the plain minus.
    return (
        text.replace("\N{MINUS SIGN}", "-")
        .replace("\N{EN DASH}", "-")
        .replace("\N{MULTIPLICATION SIGN}", "x")
    )
