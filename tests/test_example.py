"""The example run gives what it always gave, and what an independent reckoning gives."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import platform
import statistics
from fractions import Fraction
from math import fma
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pytest

from trading_runtime import api
from trading_runtime.cli.main import invoke, root
from trading_runtime.results.resampling import resampled, superiority
from trading_runtime.units import parse_instant

ROOT = Path(__file__).resolve().parent.parent
PARTS = ROOT / "tests" / "data" / "parts"
EXPECTED = ROOT / "tests" / "data" / "results" / "example.json"
TABLES = ("orders.parquet", "fills.parquet", "positions.parquet", "equity.parquet")


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> api.Run:
    """The example experiment, run on data that was prepared from the parts."""
    folder = tmp_path_factory.mktemp("example")
    data_file = str(PARTS / "bars.data.json")
    assert invoke(root, ["data", "prepare", data_file, "--to", str(folder / "data")]) == 0
    content = json.loads((ROOT / "trading_runtime" / "local" / "local.json").read_text())
    content |= {"dataset": {"path": "data"}, "results": "results"}
    del content["$schema"]
    (folder / "local.json").write_text(json.dumps(content))
    return api.run(folder / "local.json", workers=2)


def outcome_digests(run: api.Run) -> dict[str, Any]:
    """Return the sha256 of each task's tables, and its statistics without the task's id.

    The id and the run digest change with the versions of everything; what came out must not.
    """
    tasks = {}
    for row in run.results.iter_rows(named=True):
        folder = run.files.folder.parent.parent / "tasks" / row["task_id"][:2] / row["task_id"]
        summary = json.loads((folder / "summary.json").read_text())
        del summary["task_id"]
        key = f"fast {row['param.fast']}, slow {row['param.slow']}, {summary['start']}"
        tasks[key] = {
            "net_profit": summary["net_profit"],
            "summary": hashlib.sha256(json.dumps(summary).encode()).hexdigest(),
        } | {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in TABLES}
    return tasks


@pytest.mark.skipif(
    platform.machine() not in {"x86_64", "AMD64"}, reason="floats may differ between architectures"
)
def test_the_example_gives_the_bytes_it_always_gave(example: api.Run) -> None:
    found = outcome_digests(example)
    if os.environ.get("REGENERATE"):
        EXPECTED.parent.mkdir(exist_ok=True)
        EXPECTED.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    assert found == json.loads(EXPECTED.read_text())


def averages(closes: list[float], period: int) -> list[float | None]:
    """Return the exponential average as the engine has it: it starts from a mean."""
    alpha = 2.0 / (period + 1.0)
    values: list[float | None] = [None] * (period - 1)
    value = sum(closes[:period]) / period
    values.append(value)
    for close in closes[period:]:
        value = fma(alpha, close, (1.0 - alpha) * value)
        values.append(value)
    return values


class Bar(NamedTuple):
    """A bar as the raw file has it, with the time at which it closed."""

    ts: int
    low: Fraction
    close: Fraction
    volume: Fraction

    @property
    def top(self) -> Fraction:
        """What trades at the close.

        The engine plays a bar as four prices, the low before the close. Each has a quarter of the
        volume in whole thousandths, and the close the rest besides; where the close is the low, it
        is no price of its own.
        """
        quarter = Fraction(int(self.volume * 250), 1_000)
        return quarter if self.close == self.low else self.volume - 3 * quarter


def cost(quantity: Fraction, bar: Bar) -> Fraction:
    """Return what buying (selling: negative) costs in cash, fee included.

    What exceeds the top of the book trades one tick (0.1) worse; the fee is 0.05 % of the value.
    """
    at_close = min(abs(quantity), bar.top)
    worse = bar.close + (1 if quantity > 0 else -1) * Fraction(1, 10)
    value = at_close * bar.close + (abs(quantity) - at_close) * worse
    return (value if quantity > 0 else -value) + value * Fraction(5, 10_000)


def reckon(bars: list[Bar], start: int, fast: int, slow: int) -> tuple[Fraction, int]:
    """Return net profit and number of orders of the EMA cross, by cash and quantity alone.

    No account, no margin, no position objects: what is held at the end is worth its last price.
    """
    closes = [float(bar.close) for bar in bars]
    quick, calm = averages(closes, fast), averages(closes, slow)
    size = Fraction(1, 10)
    cash = held = Fraction(0)
    orders = 0
    before: Fraction | None = None
    for bar, one, other in zip(bars, quick, calm, strict=True):
        if one is None or other is None:
            continue
        wanted = size if one >= other else -size
        has_crossed = before not in {None, wanted}
        before = wanted
        if has_crossed and bar.ts >= start:
            for quantity in [-held] * bool(held) + [wanted]:
                cash -= cost(quantity, bar)
                orders += 1
            held = wanted
    return cash + held * bars[-1].close, orders


def raw_bars() -> list[Bar]:
    """Return the bars of the raw files."""
    bars = []
    for name in ("bars-2024-01.csv", "bars-2024-02.csv"):
        with (PARTS / name).open() as file:
            # The files mark the open of a minute; a bar is known when it closes.
            bars += [
                Bar(
                    (int(row["timestamp"]) + 60) * 1_000_000_000,
                    Fraction(row["low"]),
                    Fraction(row["close"]),
                    Fraction(row["volume"]),
                )
                for row in csv.DictReader(file)
            ]
    return bars


def test_an_independent_reckoning_gives_the_same_profit(example: api.Run) -> None:
    bars = raw_bars()
    tasks = example.results.filter(
        pl.col("param.fast").is_in([20, 80]) & pl.col("param.slow").is_in([100, 300])
    )
    assert tasks.height == 4 * 3
    day = 86_400 * 1_000_000_000
    for task in tasks.iter_rows(named=True):
        start, end = (parse_instant(task[name].isoformat()) for name in ("start", "end"))
        seen = [bar for bar in bars if start - day <= bar.ts < end]
        profit, orders = reckon(seen, start, task["param.fast"], task["param.slow"])
        assert task["orders"] == orders
        # The engine keeps money to eight places: half of the last one off per fill, at most.
        assert abs(Fraction(task["net_profit"]) - profit) <= task["fills"] * Fraction(1, 10**8)


def returns_of(example: api.Run, point: int) -> list[float]:
    """Return the returns of a point on each day of the three weeks, from its equity."""
    returns = []
    day = 86_400 * 1_000_000_000
    tasks = example.results.filter(pl.col("point") == point).sort("start")
    for task in tasks.iter_rows(named=True):
        folder = example.files.folder.parent.parent / "tasks" / task["task_id"][:2]
        equity = pl.read_parquet(folder / task["task_id"] / "equity.parquet")
        samples = list(zip(equity["ts"].to_physical(), equity["equity"], strict=True))
        before, start = samples[0][1], parse_instant(task["start"].isoformat())
        for number in range(1, 8):
            after = [value for ts, value in samples if ts <= start + number * day][-1]
            returns.append(float(Fraction(after) / Fraction(before) - 1))
            before = after
    return returns


def held_returns(example: api.Run) -> list[float]:
    """Return what holding from the first bar of each week made each day, from the bars."""
    returns = []
    day = 86_400 * 1_000_000_000
    bars = raw_bars()
    for week in sorted(set(example.results["start"])):
        start = parse_instant(week.isoformat())
        seen = [bar for bar in bars if start <= bar.ts < start + 7 * day]
        before = seen[0].close
        for number in range(1, 8):
            # A bar that closes at midnight belongs to the day that ends there.
            after = [bar.close for bar in seen if bar.ts <= start + number * day][-1]
            returns.append(float(after / before - 1))
            before = after
    return returns


def test_the_points_are_tested_against_holding_from_the_first_bar_of_each_week(
    example: api.Run,
) -> None:
    returns = np.array([returns_of(example, n) for n in example.points["point"]]).T
    expected = superiority(returns, np.array(held_returns(example)), resampled(21))

    found = example.result["luck"]["against_buy_and_hold"]
    assert found == pytest.approx({"white": expected.white, "hansen": expected.hansen})
    said = example.files.folder.joinpath("report.md").read_text()
    assert "That a point beats buy-and-hold is " in said


def test_the_luck_of_the_best_point_is_reckoned_from_its_equity(example: api.Run) -> None:
    returns = returns_of(example, example.result["best"]["point"])
    luck = example.result["luck"]
    mean, deviation = statistics.fmean(returns), statistics.pstdev(returns)
    moments = [statistics.fmean((value - mean) ** n for value in returns) for n in (3, 4)]
    assert luck["days"] == 21
    assert luck["points"] == luck["trials"] == example.points.height
    assert luck["daily_sharpe"] == pytest.approx(mean / statistics.stdev(returns), rel=1e-9)
    assert luck["daily_sharpe"] * 365**0.5 == pytest.approx(example.result["best"]["value"])
    assert luck["skewness"] == pytest.approx(moments[0] / deviation**3, rel=1e-8)
    assert luck["kurtosis"] == pytest.approx(moments[1] / deviation**4, rel=1e-8)
    said = example.files.folder.joinpath("report.md").read_text()
    verdict = said.index(
        f"Of {luck['trials']} trials, the best Sharpe ratio by luck alone would be"
    )
    details = said.index("with a 95% confidence interval from")
    assert verdict < said.index("report/equity.svg") < details


def test_time_is_reckoned_from_the_first_bar_of_a_window_to_its_last(example: api.Run) -> None:
    day = 86_400 * 1_000_000_000
    times = [bar.ts for bar in raw_bars()]
    for task in example.results.iter_rows(named=True):
        start, end = (parse_instant(task[name].isoformat()) for name in ("start", "end"))
        seen = [ts for ts in times if start <= ts < end]
        folder = example.files.folder.parent.parent / "tasks" / task["task_id"][:2]
        positions = pl.read_parquet(folder / task["task_id"] / "positions.parquet")
        equity = pl.read_parquet(folder / task["task_id"] / "equity.parquet")
        assert task["days"] == len({(ts - 1) // day for ts in seen[1:]}) == 7
        assert task["periods_per_year"] == 365
        # One position at a time: what is held lasts from opening to closing, or to the last bar.
        held = sum(
            min(closed or seen[-1], seen[-1]) - opened
            for opened, closed in zip(
                positions["ts_opened"].to_physical(),
                positions["ts_closed"].to_physical(),
                strict=True,
            )
        )
        assert task["exposure"] == pytest.approx(held / (seen[-1] - seen[0]), rel=1e-11)
        assert task["max_drawdown_seconds"] == longest_fall(equity, seen[0], seen[-1])


def longest_fall(equity: pl.DataFrame, first: int, last: int) -> float:
    """Return how long the deepest fall lasted, by looking at each peak and what follows it."""
    samples = [
        (min(max(ts, first), last), Fraction(value))
        for ts, value in zip(equity["ts"].to_physical(), equity["equity"], strict=True)
    ]
    falls = []
    for place, (since, peak) in enumerate(samples):
        later = samples[place + 1 :]
        back = next((i for i, (_, value) in enumerate(later) if value >= peak), len(later))
        low = min((value for _, value in later[:back]), default=peak)
        until = later[back][0] if back < len(later) else last
        falls.append((1 - low / peak, since - until))
    depth, length = max(falls)
    assert depth > 0
    return float(-length / 1_000_000_000)
