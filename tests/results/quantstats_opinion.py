"""What QuantStats makes of the year of ``test_calendar``: printed as JSON.

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


def opinion(pandas: Any, stats: Any) -> dict[str, float]:
    """Return the statistics of closes on the weekdays of 2022."""
    days = (dt.date(2022, 1, 3) + dt.timedelta(days=i) for i in range(362))
    opened = [day for day in days if day.weekday() < 5 and day not in HOLIDAYS]
    closes = [float(100_00 + 37 * i % 211 - i // 9) for i in range(len(opened))]
    prices = pandas.Series(closes, index=pandas.DatetimeIndex(opened))
    returns = prices.pct_change().dropna()
    return {
        "return": float(stats.comp(returns)),
        "volatility": float(stats.volatility(returns, periods=252)),
        "sharpe": float(stats.sharpe(returns, periods=252)),
        "sortino": float(stats.sortino(returns, periods=252)),
        "max_drawdown": -float(stats.max_drawdown(prices)),
    }


if __name__ == "__main__":
    found = opinion(importlib.import_module("pandas"), importlib.import_module("quantstats").stats)
    print(json.dumps(found, indent=4))  # noqa: T201 - it is what this program is for
