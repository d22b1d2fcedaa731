"""Figures of a run: equity with drawdown, and a statistic over two parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from trading_runtime.charts.library import BLUE, RED, SCALE, graph_objects, styled, subplots
from trading_runtime.errors import UsageError
from trading_runtime.report.formatting import label, value_text
from trading_runtime.results.frames import (
    PARAMETER_PREFIX,
    check_metric,
    is_better_low,
    parameter_names,
    varied_parameters,
)

if TYPE_CHECKING:
    from trading_runtime.records.plan import PlannedObjective


def equity_figure(equity: pl.DataFrame) -> Any:
    """Return equity and drawdown over time; ``equity`` has ``ts``, ``equity`` and ``growth``."""
    times = equity["ts"].cast(pl.Datetime("us", "UTC")).to_list()
    growth = equity["growth"]
    fall = (growth / growth.cum_max() - 1).to_list()
    chart = graph_objects()
    figure = subplots(rows=2, shared_xaxes=True, vertical_spacing=0.05, row_heights=[0.7, 0.3])
    money = equity["equity"].cast(pl.Float64).to_list()
    line = {"color": BLUE, "width": 1.6}
    figure.add_trace(chart.Scatter(x=times, y=money, name="Equity", line=line), 1, 1)
    under = {"color": RED, "width": 1}
    figure.add_trace(
        chart.Scatter(x=times, y=fall, name="Drawdown", line=under, fill="tozeroy"), 2, 1
    )
    figure.update_yaxes(title_text="Equity", row=1)
    figure.update_yaxes(title_text="Drawdown", tickformat=".2%", row=2)
    return styled(figure, height=480, showlegend=False)


def heat_map_figure(
    points: pl.DataFrame,
    objective: PlannedObjective,
    axes: tuple[str | None, str | None],
    statistic: str | None,
) -> Any:
    """Return the best value of a statistic in each cell of two parameters.

    Raises ``UsageError`` when the run has no such parameters or statistic.
    """
    metric = check_metric(statistic or objective.metric)
    x, y = chosen_axes(points, axes)
    across, along, values = cells(points, (x, y), metric, lowest=is_better_low(metric, objective))
    chart = graph_objects()
    figure = chart.Figure(
        chart.Heatmap(
            x=across, y=along, z=values, colorscale=list(SCALE), zmid=_middle(values),
            colorbar={"title": {"text": label(metric)}},
        )
    )  # fmt: skip
    figure.update_xaxes(title_text=x, type="category")
    figure.update_yaxes(title_text=y, type="category")
    return styled(figure, title_text=label(metric), height=460)


def chosen_axes(points: pl.DataFrame, axes: tuple[str | None, str | None]) -> tuple[str, str]:
    """Return two different parameters, the first that vary where none is named."""
    names = parameter_names(points.columns)
    for name in axes:
        if name is not None and name not in names:
            accepted = ", ".join(names) or "none"
            raise UsageError(f"no parameter {name!r}; accepted are {accepted}")
    rest = [name for name in varied_parameters(points) if name not in axes]
    x, y = (name or (rest.pop(0) if rest else None) for name in axes)
    if x is None or y is None or x == y:
        raise UsageError("a heat map needs two parameters that have several values each")
    return x, y


def cells(
    points: pl.DataFrame, axes: tuple[str, str], metric: str, *, lowest: bool
) -> tuple[list[str], list[str], list[list[float | None]]]:
    """Return the values along two parameters, and the best value of each pair, by row."""
    x, y = (PARAMETER_PREFIX + name for name in axes)
    value = pl.col(metric).cast(pl.Float64)
    best = points.group_by(x, y).agg(value.min() if lowest else value.max())
    found = {(row[0], row[1]): row[2] for row in best.iter_rows()}
    across, along = (points[name].unique().sort().to_list() for name in (x, y))
    values = [[found.get((one, other)) for one in across] for other in along]
    return list(map(value_text, across)), list(map(value_text, along)), values


def _middle(values: list[list[float | None]]) -> float | None:
    known = [value for row in values for value in row if value is not None]
    return 0 if known and min(known) < 0 < max(known) else None
