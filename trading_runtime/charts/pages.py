"""Self-contained pages: the chart of a task, and all points of a run to sort and filter."""

from __future__ import annotations

import base64
import json
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2

from trading_runtime.charts.figures import cells
from trading_runtime.charts.library import SCALE, script
from trading_runtime.charts.prices import CANDLE
from trading_runtime.charts.trades import MOST_CANDLES, trades_figure
from trading_runtime.config.statistic_names import POINT_STATISTICS
from trading_runtime.report.formatting import label, statistic, value_text
from trading_runtime.results.frames import (
    PARAMETER_PREFIX,
    is_better_low,
    parameter_names,
    varied_parameters,
)

if TYPE_CHECKING:
    import polars as pl

    from trading_runtime.charts.trades import TaskChart
    from trading_runtime.records.plan import PlannedObjective
    from trading_runtime.records.result import RunResult

_TEMPLATES = Path(__file__).parent / "templates"
_MOST_HEAT_CELLS = 40_000


def chart_page(chart: TaskChart) -> str:
    """Return the page of a task's chart; finer candles appear as one zooms in."""
    figure = json.loads(trades_figure(chart).to_json())
    columns = {name: _packed(chart.prices[name]) for name in CANDLE}
    return _page("chart.html", title=chart.title, data={
        "figure": figure, "prices": columns, "most": MOST_CANDLES,
    })  # fmt: skip


def explore_page(run_id: str, points: pl.DataFrame, result: RunResult) -> str:
    """Return the page with all points: a table to sort and filter, and heat maps of all pairs.

    Of the statistics, the objective comes first.
    """
    objective, best = result.objective, result.best
    names = parameter_names(points.columns)
    known = [name for name in POINT_STATISTICS if points[name].null_count() < points.height]
    shown = sorted(known, key=lambda name: name != objective.metric)
    heads = [
        {"name": "Point", "is_number": True},
        *({"name": name, "is_number": _is_number(points, name)} for name in names),
        *({"name": label(name), "is_number": True} for name in shown),
    ]
    rows = [
        [
            [row["point"], str(row["point"])],
            *([_plain(row[PARAMETER_PREFIX + name]), value_text(row[PARAMETER_PREFIX + name])]
              for name in names),
            *([_plain(row[name]), statistic(name, row[name])] for name in shown),
        ]
        for row in points.iter_rows(named=True)
    ]  # fmt: skip
    return _page("explore.html", title=f"{run_id}: all points", data={
        "heads": heads,
        "rows": rows,
        "best": None if best is None else best.point,
        "sorted": label(objective.metric),
        "descending": objective.direction == "maximize",
        "maps": _maps(points, objective, shown),
        "scale": [[place / (len(SCALE) - 1), colour] for place, colour in enumerate(SCALE)],
    })  # fmt: skip


def _maps(points: pl.DataFrame, objective: PlannedObjective, shown: list[str]) -> dict[str, Any]:
    """Return the cells of each pair of parameters, by statistic."""
    varied = varied_parameters(points)
    found: dict[str, Any] = {}
    for metric in shown:
        lowest = is_better_low(metric, objective)
        pairs = []
        for pair in combinations(varied, 2):
            across, along, values = cells(points, pair, metric, lowest=lowest)
            if len(across) * len(along) <= _MOST_HEAT_CELLS:
                pairs.append({"x": pair[0], "y": pair[1], "across": across, "along": along,
                              "values": values})  # fmt: skip
        found[label(metric)] = pairs
    return found


def _is_number(points: pl.DataFrame, name: str) -> bool:
    return points[PARAMETER_PREFIX + name].dtype.is_numeric()


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, (int, str)) else float(value)


def _packed(values: pl.Series) -> str:
    """Return a column of floats as a page reads it: their bytes, little-endian, in base64."""
    return base64.b64encode(values.to_numpy().astype("<f8").tobytes()).decode()


def _page(template: str, *, title: str, data: Any) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=jinja2.select_autoescape(["html"]),
        undefined=jinja2.StrictUndefined,
    )
    # A text in the data cannot end the script that it is in.
    content = json.dumps(data, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")
    return environment.get_template(template).render(title=title, script=script(), data=content)
