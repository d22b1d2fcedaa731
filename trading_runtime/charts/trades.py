"""The trades of one task over its prices: entries, exits, orders that rested, position, equity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from trading_runtime.charts.library import (
    BLUE,
    GOLD,
    GREEN,
    INK,
    QUIET,
    RED,
    graph_objects,
    styled,
)
from trading_runtime.charts.prices import candles, merged
from trading_runtime.errors import UsageError
from trading_runtime.records.metadata import read_metadata
from trading_runtime.records.plan import read_plan
from trading_runtime.records.result import read_result
from trading_runtime.results.frames import read_frame
from trading_runtime.results.run_records import read_table

if TYPE_CHECKING:
    from trading_runtime.records.run_files import RunFiles
    from trading_runtime.results.store import Store

MOST_CANDLES = 1_200
"""As many as a screen can show; a page draws finer ones when it is zoomed."""
_HEIGHTS = (0.46, 0.09, 0.1, 0.14, 0.09)
_GAP = 0.03
_EQUITY_ROW = 4
_TITLES = ("Price", "Volume", "Position", "Equity", "Drawdown")
_MOST_SHAPES = 2_000
"""Beyond that, marks are drawn with WebGL."""


@dataclass(frozen=True)
class TaskChart:
    """What the chart of one task shows; times are milliseconds since the epoch."""

    title: str
    instrument: str
    prices: pl.DataFrame
    orders: pl.DataFrame
    fills: pl.DataFrame
    positions: pl.DataFrame
    equity: pl.DataFrame


def read_trades(
    files: RunFiles,
    store: Store,
    index: int,
    instrument: str | None = None,
    dataset: str | None = None,
) -> TaskChart:
    """Read what the chart of task ``index`` of a plan shows.

    ``dataset`` is where the data is now, by default where it was. Raises ``UsageError`` when the
    task has no result, or no prices of the instrument; ``DataError`` when the dataset is gone or
    was changed.
    """
    plan = read_plan(files.plan)
    task = plan.tasks[index]
    if not store.has_task(task.task_id):
        raise UsageError(
            f"point {task.point} has no result for partition {task.partition}: its task failed or "
            "is missing"
        )
    metadata = read_metadata(files)
    place = dataset or ("" if metadata is None else metadata.dataset)
    named = instrument or plan.partitions[task.partition].instruments[0]
    prices = candles(plan, place, task.partition, named)

    def table(name: str) -> pl.DataFrame:
        found = read_frame(store.read_task_file(task.task_id, f"{name}.parquet")).with_columns(
            pl.col(pl.Datetime).to_physical().cast(pl.Float64) / 1e6,
            pl.col(pl.Decimal).cast(pl.Float64),
        )
        if "instrument_id" in found.columns:
            found = found.filter(pl.col("instrument_id") == named)
        return found

    values = plan.points[task.point].parameters.items()
    parameters = ", ".join(f"{name} {value}" for name, value in values)
    return TaskChart(
        f"{files.folder.name}: point {task.point}"
        + (f" ({parameters})" if parameters else "")
        + f", partition {task.partition}, {named}",
        *(named, prices),
        *(table(name) for name in ("orders", "fills", "positions", "equity")),
    )


def first_traded(files: RunFiles, point: int) -> int:
    """Return the first partition in which a point traded.

    It is the first of all when the point never did, or the run has not reached its summary.
    """
    result = read_result(files)
    if result is None:
        return 0
    tasks = read_table(files.results, result.tables)
    traded = tasks.filter((pl.col("point") == point) & (pl.col("fills") > 0))
    return min(traded["partition"], default=0)


def trades_figure(chart: TaskChart) -> Any:
    """Return the figure: five plots over one axis of time.

    Its first trace are the candles and its second the volume, of neighbours merged so that a screen
    can show them.
    """
    made = graph_objects()
    shown = merged(chart.prices, MOST_CANDLES)
    column = {name: shown[name].to_list() for name in shown.columns}
    up, down = {"line": {"color": GREEN, "width": 1}}, {"line": {"color": RED, "width": 1}}
    traces = [
        made.Candlestick(
            x=column["ts"], open=column["open"], high=column["high"], low=column["low"],
            close=column["close"], name="Price", increasing=up, decreasing=down, showlegend=False,
        ),
        made.Bar(
            x=column["ts"], y=column["volume"], name="Volume", yaxis="y2", showlegend=False,
            marker={"color": QUIET, "line": {"width": 0}},
        ),
        *_orders(chart.orders),
        *_trades(chart.positions),
    ]  # fmt: skip
    for row, (xs, ys, colour, shape) in enumerate(_curves(chart), start=3):
        traces.append(
            made.Scatter(
                x=xs, y=ys, yaxis=f"y{row}", name=_TITLES[row - 1], showlegend=False, mode="lines",
                line={"color": colour, "width": 1.3, "shape": shape},
                fill=None if row == _EQUITY_ROW else "tozeroy",
            )
        )  # fmt: skip
    # One axis of time for all plots: they move together.
    layout: dict[str, Any] = {
        "xaxis": {"type": "date", "anchor": "y5", "rangeslider": {"visible": False}}
    }
    top = 1.0
    for row, (title, height) in enumerate(zip(_TITLES, _HEIGHTS, strict=True), start=1):
        layout[f"yaxis{'' if row == 1 else row}"] = {
            "domain": [max(top - height, 0.0), top],
            "title": {"text": title},
            "fixedrange": row > 1,
        }
        top -= height + _GAP
    layout["yaxis5"]["tickformat"] = ".2%"
    return styled(
        made.Figure(traces, layout), title_text=chart.title, height=900, dragmode="pan", bargap=0,
        legend={"orientation": "h", "y": 1.03, "x": 1, "xanchor": "right"},
    )  # fmt: skip


def _orders(orders: pl.DataFrame) -> list[Any]:
    """Return a line for each order that rested: at its price, from its making to its end."""
    priced = orders.with_columns(at=pl.coalesce("price", "trigger_price")).filter(
        pl.col("at").is_not_null() & (pl.col("ts_last") > pl.col("ts_init"))
    )
    found = []
    filled = pl.col("filled_quantity") > 0
    for name, kept, colour in (
        ("Orders filled", filled, GOLD),
        ("Orders not filled", ~filled, QUIET),
    ):
        some = priced.filter(kept)
        pairs = list(some.select("ts_init", "ts_last", "at").iter_rows())
        found.append(
            _lines(
                [x for start, end, _ in pairs for x in (start, end, None)],
                [y for *_, at in pairs for y in (at, at, None)],
                name,
                {"color": colour, "width": 1.2},
                [f"{row['side']} {row['type']}, {row['status']}" for row in some.to_dicts()],
            )
        )
    return [trace for trace in found if trace.x]


def _lines(
    xs: list[float | None], ys: list[float | None], name: str, line: dict[str, Any], said: list[str]
) -> Any:
    made = graph_objects()
    kind = made.Scattergl if len(xs) > _MOST_SHAPES else made.Scatter
    texts = [text for each in said for text in (each, each, "")]
    return kind(x=xs, y=ys, name=name, mode="lines", line=line, text=texts, hoverinfo="text+y")


def _trades(positions: pl.DataFrame) -> list[Any]:
    """Return marks where positions were opened and closed, and a line between the two."""
    made = graph_objects()
    closed = positions.filter(pl.col("ts_closed").is_not_null())
    pairs = list(
        closed.select("ts_opened", "ts_closed", "average_open", "average_close").iter_rows()
    )
    path = _lines(
        [x for start, end, *_ in pairs for x in (start, end, None)],
        [y for *_, first, last in pairs for y in (first, last, None)],
        "Trades",
        {"color": INK, "width": 1, "dash": "dot"},
        [f"profit {row['realized_pnl']:,.2f}" for row in closed.to_dicts()],
    )
    found = [path] if pairs else []
    kind = made.Scattergl if positions.height > _MOST_SHAPES else made.Scatter
    long = pl.col("entry") == "BUY"
    for name, some, symbol, colour, side in (
        ("Entry long", positions.filter(long), "triangle-up", GREEN, "open"),
        ("Entry short", positions.filter(~long), "triangle-down", RED, "open"),
        ("Exit with profit", closed.filter(pl.col("realized_pnl") > 0), "x", GREEN, "close"),
        ("Exit with loss", closed.filter(pl.col("realized_pnl") <= 0), "x", RED, "close"),
    ):
        if some.height:
            time = "ts_opened" if side == "open" else "ts_closed"
            said = [
                f"{name}: {row['peak_quantity']:g} at {row[f'average_{side}']:g}, "
                f"profit {row['realized_pnl']:,.2f}"
                for row in some.to_dicts()
            ]
            found.append(
                kind(
                    x=some[time].to_list(), y=some[f"average_{side}"].to_list(), name=name,
                    mode="markers", text=said, hoverinfo="text",
                    marker={
                        "symbol": symbol, "color": colour, "size": 10 if side == "open" else 7,
                        "line": {"color": "white", "width": 1},
                    },
                )
            )  # fmt: skip
    return found


def _curves(chart: TaskChart) -> list[tuple[list[float], list[float], str, str]]:
    """Return position, equity and drawdown: times, values, colour, shape of the line."""
    fills, equity = chart.fills.sort("ts", maintain_order=True), chart.equity
    first, last = equity["ts"][0], equity["ts"][-1]
    signed = (
        pl.when(pl.col("side") == "BUY").then(pl.col("quantity")).otherwise(-pl.col("quantity"))
    )
    held = fills.select(signed.cum_sum())["quantity"].to_list()
    times = [first, *fills["ts"].to_list(), last]
    money = equity["equity"]
    fall = (money / money.cum_max() - 1).to_list()
    at = equity["ts"].to_list()
    return [
        (times, [0.0, *held, held[-1] if held else 0.0], BLUE, "hv"),
        (at, money.to_list(), BLUE, "linear"),
        (at, fall, RED, "linear"),
    ]
