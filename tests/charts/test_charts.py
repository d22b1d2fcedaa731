"""Charts and pages that one can zoom, opened in a real browser."""

from __future__ import annotations

import dataclasses
import itertools
import shutil
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from tests.results.sample_run import sample_run
from tests.small_experiment import BARS_A_DAY, SmallExperiment
from trading_runtime import api
from trading_runtime.charts.figures import cells, heat_map_figure
from trading_runtime.charts.pages import chart_page, explore_page
from trading_runtime.charts.prices import CANDLE, merged
from trading_runtime.charts.trades import MOST_CANDLES, TaskChart, read_trades, trades_figure
from trading_runtime.cli.main import invoke, root
from trading_runtime.errors import DataError, UsageError
from trading_runtime.report.formatting import label

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytest.importorskip("plotly")
sync_api = pytest.importorskip("playwright.sync_api")

ROWS = 100_000
HOUR = 3_600_000


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, small_dataset: Path) -> api.Run:
    experiment = SmallExperiment(tmp_path_factory.mktemp("charted"), small_dataset)
    experiment.write(parameters={"every": [20, 50]})
    return api.run(experiment.path, run_id="charted", workers=2)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("there is no chromium")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[Any]:
    """Return what opens a page from its text; nothing may go wrong in it or leave the machine."""
    page = browser.new_page(viewport={"width": 1300, "height": 1000})
    wrong: list[str] = []
    asked: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda line: wrong.append(line.text))
    page.on("request", lambda request: asked.append(request.url))

    def open_page(text: str) -> Any:
        (tmp_path / "page.html").write_text(text, encoding="utf-8")
        page.goto((tmp_path / "page.html").as_uri())
        page.wait_for_selector("[data-ready=true]", state="attached")
        return page

    yield open_page
    page.close()
    assert wrong == []
    assert [url for url in asked if not url.startswith(("file:", "blob:", "data:"))] == []


def chart_of(run: api.Run, point: int = 0, partition: int = 0) -> TaskChart:
    return read_trades(run.files, run._stored, run.task(point, partition).index)


def test_the_candles_are_the_bars_of_the_window(run: api.Run) -> None:
    chart = chart_of(run, partition=1)

    prices = chart.prices
    assert prices.height == BARS_A_DAY
    assert prices.columns == list(CANDLE)
    # The second day's first bar opened at midnight and is stamped with its close.
    assert prices["ts"][0] == 1_704_153_660_000
    assert set(prices["volume"]) == {5.0}
    at_fill = chart.fills.join(prices, on="ts")
    assert at_fill.height == chart.fills.height > 0
    assert at_fill["price"].is_between(at_fill["low"], at_fill["high"]).all()


def test_merged_candles_keep_extremes_ends_and_volume() -> None:
    rows = pl.DataFrame(
        {
            "ts": [1.0, 2.0, 3.0, 4.0, 5.0],
            "open": [10.0, 12.0, 11.0, 9.0, 14.0],
            "high": [13.0, 12.5, 15.0, 9.5, 14.5],
            "low": [9.0, 11.0, 8.0, 7.0, 13.0],
            "close": [12.0, 11.0, 9.0, 8.0, 14.0],
            "volume": [1.0, 2.0, 3.0, 4.0, 5.0],
        }
    )

    assert merged(rows, 3).rows() == [
        (1.0, 10.0, 13.0, 9.0, 11.0, 3.0),
        (3.0, 11.0, 15.0, 7.0, 8.0, 7.0),
        (5.0, 14.0, 14.5, 13.0, 14.0, 5.0),
    ]
    assert merged(rows, 5).equals(rows)


def test_the_figure_marks_each_position_where_it_was_opened_and_closed(run: api.Run) -> None:
    chart = chart_of(run)
    figure = trades_figure(chart)

    marks = [trace for trace in figure.data[2:] if trace.mode == "markers"]
    entries = sorted(itertools.chain.from_iterable(m.x for m in marks if m.name.startswith("Ent")))
    exits = sorted(itertools.chain.from_iterable(m.x for m in marks if m.name.startswith("Exit")))
    assert entries == sorted(chart.positions["ts_opened"].to_list())
    assert exits == sorted(chart.positions["ts_closed"].drop_nulls().to_list())
    (position,) = [trace for trace in figure.data if trace.name == "Position"]
    left = chart.positions["open_quantity"].sum()
    assert position.y[-1] == pytest.approx(left)


def test_a_hundred_thousand_bars_are_zoomed_to_single_rows(opened: Any, run: api.Run) -> None:
    small = chart_of(run)
    first = small.prices["ts"][0]
    close = [40_000 + (n * 37) % 500 for n in range(ROWS)]
    prices = pl.DataFrame(
        {
            "ts": [first + 60_000.0 * n for n in range(ROWS)],
            **{name: [float(value) for value in close] for name in ("open", "close")},
            "high": [value + 5.0 for value in close],
            "low": [value - 5.0 for value in close],
            "volume": [1.0] * ROWS,
        }
    )
    page = opened(chart_page(dataclasses.replace(small, prices=prices)))
    chart = page.locator("#chart")

    assert int(chart.get_attribute("data-rows-per-candle")) == -(-ROWS // MOST_CANDLES)
    # Half a candle of room at each end: the outermost ones are whole.
    ends = page.evaluate("chart._fullLayout.xaxis.range.map(chart._fullLayout.xaxis.r2l)")
    room, last = (ROWS - 1) * 60_000 / MOST_CANDLES / 2, first + (ROWS - 1) * 60_000
    assert ends == pytest.approx([first - room, last + room], abs=1)
    start, end = first + 5_000 * 60_000, first + 5_300 * 60_000
    page.evaluate(f"Plotly.relayout('chart', {{'xaxis.range': [{start}, {end}]}})")
    page.wait_for_function("document.getElementById('chart').dataset.rowsPerCandle === '1'")

    shown = page.evaluate("[chart.data[0].x[0], chart.data[0].open[0], chart.data[1].y.length]")
    # From the bar before the first that is in sight to the last, 5,300.
    assert shown == [start - 60_000, close[4_999], 302]
    assert page.evaluate("chart._fullLayout.xaxis.type") == "date"
    # Double-click: everything again.
    page.evaluate("Plotly.relayout('chart', {'xaxis.autorange': true})")
    page.wait_for_function("document.getElementById('chart').dataset.rowsPerCandle === '84'")


def test_the_page_of_all_points_sorts_and_filters(opened: Any) -> None:
    inputs = sample_run({"fast": [1, 2, 3], "slow": [10, 20], "mode": ["a", "</script>"]})
    page = opened(explore_page("r", inputs.points, inputs.result))

    def column(number: int) -> list[str]:
        found: list[str] = page.locator(f"#points tbody td:nth-child({number})").all_inner_texts()
        return found

    assert inputs.result.best is not None
    best = str(inputs.result.best.point)
    assert column(1)[0] == best
    heads = page.locator("#points thead th").all_inner_texts()
    assert heads[4].startswith(label(inputs.result.objective.metric))
    assert page.locator("tr.best td").first.inner_text() == best
    page.get_by_text("fast", exact=True).first.click()
    assert column(2) == ["3"] * 4 + ["2"] * 4 + ["1"] * 4
    page.get_by_label("Filter fast").fill("1..2")
    page.get_by_label("Filter slow").fill("> 10")
    page.get_by_label("Filter mode").fill("script")
    assert (column(2), column(3), column(4)) == (["2", "1"], ["20", "20"], ["</script>"] * 2)
    assert "2 of 12 points" in page.locator("#count").inner_text()


def test_the_page_has_a_heat_map_of_each_pair_and_a_choice_of_statistic(opened: Any) -> None:
    inputs = sample_run({"fast": [1, 2, 3], "slow": [10, 20], "size": [5, 6]})
    page = opened(explore_page("r", inputs.points, inputs.result))

    page.wait_for_function("document.querySelectorAll('#maps .heatmaplayer image').length === 3")
    page.get_by_label("Statistic").select_option("Net profit")
    page.wait_for_function("document.querySelectorAll('#maps .heatmaplayer image').length === 3")
    shown = page.evaluate("document.querySelector('#maps > div').data[0].z")
    frame = inputs.points.with_columns(pl.col("net_profit").cast(pl.Float64))
    expected = [
        [
            frame.filter(pl.col("param.fast") == x, pl.col("param.slow") == y)["net_profit"].max()
            for x in (1, 2, 3)
        ]
        for y in (10, 20)
    ]
    assert shown == [pytest.approx(row) for row in expected]


def test_a_cell_of_a_statistic_that_is_better_low_has_the_lowest() -> None:
    points = pl.DataFrame(
        {"param.x": [1, 1], "param.y": [2, 2], "param.z": [0, 1], "max_drawdown": [0.3, 0.1]}
    )

    assert cells(points, ("x", "y"), "max_drawdown", lowest=True) == (["1"], ["2"], [[0.1]])


def test_a_parameter_that_is_not_one_is_refused() -> None:
    inputs = sample_run({"fast": [1, 2], "slow": [3, 4]})
    objective = inputs.result.objective

    with pytest.raises(UsageError, match="no parameter 'fats'; accepted are fast, slow"):
        heat_map_figure(inputs.points, objective, ("fats", None), None)
    with pytest.raises(UsageError, match="two parameters that have several values"):
        heat_map_figure(sample_run({"fast": [1, 2]}).points, objective, (None, None), None)


def test_the_plots_of_a_notebook_are_figures(run: api.Run) -> None:
    money = run.plot.equity(0).data[0].y
    assert money[-1] == pytest.approx(float(run.equity(0)["equity"][-1]))
    assert run.plot.trades(0, 1).layout.title.text.startswith("charted: point 0")


def test_the_command_writes_a_page_for_the_best_point(
    run: api.Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "chart.html"
    results = str(run.files.folder.parent.parent)
    command = ["results", "chart", "latest", "--results", results, "--output", str(target)]

    assert invoke(root, command) == 0
    assert capsys.readouterr().out == f"{target}\n"
    assert f"point {run.best_point} " in target.read_text(encoding="utf-8")
    assert invoke(root, [*command, "--instrument", "NONE.SIM"]) == 2
    assert "accepted are BTCUSDT-PERP.SIM" in capsys.readouterr().err
    assert invoke(root, [*command, "--dataset", str(tmp_path / "gone")]) == 3
    assert "the run's dataset is gone" in capsys.readouterr().err


def test_a_dataset_that_was_changed_gives_no_chart(
    run: api.Run, small_dataset: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(small_dataset, tmp_path / "copy")
    (file,) = copy.rglob("*LAST*/*.parquet")
    content = bytearray(file.read_bytes())
    content[100] ^= 1
    file.write_bytes(content)

    with pytest.raises(DataError, match="sha256 differs"):
        read_trades(run.files, run._stored, run.task(0, 0).index, dataset=str(copy))


def test_a_run_with_more_points_than_its_report_shows_has_a_page_with_all_of_them(
    small: SmallExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    small.write(
        partitions={"by": "day", "end": "2024-01-02"},
        parameters={"every": {"start": 10, "stop": 60, "step": 1}},
    )
    run = api.run(small.path, run_id="many", workers=2)
    page = run.files.explore_page.read_text()

    assert run.points.height == 51
    assert '<a href="explore.html">' in run.report.read_text()
    assert "](report/explore.html)" in (run.files.folder / "report.md").read_text()
    assert page == explore_page("many", run.points, run.summary)
    assert invoke(root, ["runs", "check", "many", "--results", str(small.results)]) == 0

    small.write(parameters={"every": [10, 11]})
    few = api.run(small.path, run_id="few", workers=1)
    assert not few.files.explore_page.exists()
    assert "explore.html" not in few.report.read_text()

    # Of three parameters the report shows one pair; the page has all three.
    small.use("peeking.py:Peeking", every=[100, 110], how=["fair", "rows"], file=["", "x"])
    three = api.run(small.path, run_id="three", workers=1)
    assert '<a href="explore.html">' in three.report.read_text()
    assert three.files.explore_page.read_text().count('"x":') >= 3
    capsys.readouterr()


def test_the_chart_is_of_the_first_window_in_which_the_point_traded(
    small: SmallExperiment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # The first window has ten bars, and the strategy trades at each twentieth.
    small.write(
        parameters={"every": [20]},
        partitions={"by": "day", "start": "2024-01-01T03:50:00Z", "end": "2024-01-03"},
    )
    run = api.run(small.path, run_id="late", workers=1)
    fills = run.results.sort("partition")["fills"].to_list()
    assert fills[0] == 0 < fills[1]

    assert ", partition 1, " in run.plot.trades().layout.title.text
    assert ", partition 0, " in run.plot.trades(partition=0).layout.title.text
    target = str(tmp_path / "chart.html")
    command = ["results", "chart", "late", "--results", str(small.results), "--output", target]
    capsys.readouterr()
    assert invoke(root, command) == 0
    assert ", partition 1, " in (tmp_path / "chart.html").read_text(encoding="utf-8")
