"""What QuantStats makes of the series of ``test_calendar``: printed as JSON.

It needs pandas, which must not be in the environment of the tests, so it runs in one of its own:

    python -m venv opinion && opinion/bin/pip install quantstats==0.0.86
    opinion/bin/python tests/results/quantstats_opinion.py
"""

from __future__ import annotations

import datetime as dt
import importlib
import json
from typing import Any

HOLIDAYS = {dt.date(2022, 1, 17), dt.date(2022, 7, 4), dt.date(2022, 12, 26)}


def weekdays() -> list[dt.date]:
    """Return the weekdays of 2022."""
    days = (dt.date(2022, 1, 3) + dt.timedelta(days=i) for i in range(362))
    return [day for day in days if day.weekday() < 5 and day not in HOLIDAYS]


def fridays() -> list[dt.date]:
    """Return the Fridays of 2022."""
    return [dt.date(2022, 1, 7) + dt.timedelta(weeks=i) for i in range(52)]


def month_ends() -> list[dt.date]:
    """Return the last days of the months of 2021 and 2022."""
    return [dt.date(2021 + i // 12, i % 12 + 1, 1) - dt.timedelta(days=1) for i in range(1, 25)]


def opinion(pandas: Any, stats: Any, opened: list[dt.date], periods: int) -> dict[str, float]:
    """Return the statistics of closes on the days ``opened``."""
    closes = [float(100_00 + 37 * i % 211 - i // 9) for i in range(len(opened))]
    prices = pandas.Series(closes, index=pandas.DatetimeIndex(opened))
    returns = prices.pct_change().dropna()
    return {
        "return": float(stats.comp(returns)),
        "volatility": float(stats.volatility(returns, periods=periods)),
        "sharpe": float(stats.sharpe(returns, periods=periods)),
        "sortino": float(stats.sortino(returns, periods=periods)),
        "max_drawdown": -float(stats.max_drawdown(prices)),
    }


if __name__ == "__main__":
    modules = importlib.import_module("pandas"), importlib.import_module("quantstats").stats
    series = {"days": (weekdays(), 252), "weeks": (fridays(), 52), "months": (month_ends(), 12)}
    found = {name: opinion(*modules, *each) for name, each in series.items()}
    print(json.dumps(found, indent=4))  # noqa: T201 - it is what this program is for
