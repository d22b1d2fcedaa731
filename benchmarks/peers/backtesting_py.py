"""The sweep with ``Backtest.optimize`` of backtesting.py; runs in the peer's own environment.

    python backtesting_py.py BARS.csv FASTS SLOWS PROCESSES

Prints one JSON document: seconds of the sweep alone, and trades of all points together.
"""

from __future__ import annotations

import functools
import json
import multiprocessing
import sys
import time
import warnings

import backtesting
import pandas as pd
from backtesting import Backtest, Strategy
from backtesting.lib import crossover


def average(values: pd.Series, length: int) -> pd.Series:
    """Return the exponential moving average of ``values``."""
    return pd.Series(values).ewm(span=length, adjust=False).mean()


class EMACross(Strategy):
    """Holds one unit on the side that the crossing of two averages points to."""

    fast = 10
    slow = 30

    def init(self) -> None:
        """Compute both averages over all bars at once, as is usual with backtesting.py."""
        self.fast_average = self.I(average, self.data.Close, self.fast)
        self.slow_average = self.I(average, self.data.Close, self.slow)

    def next(self) -> None:
        """Reverse the position when the averages have crossed, as the tool's own examples do."""
        if crossover(self.fast_average, self.slow_average):
            self.position.close()
            self.buy(size=1)
        elif crossover(self.slow_average, self.fast_average):
            self.position.close()
            self.sell(size=1)


def main() -> None:
    """Run the sweep and print what it took."""
    bars, fasts, slows, processes = sys.argv[1:]
    frame = pd.read_csv(bars)
    frame.index = pd.to_datetime(frame.pop("timestamp") + 60, unit="s")
    frame.columns = [name.title() for name in frame.columns]
    # Only whole units are traded here: cash is scaled so that one unit corresponds to 0.1
    # elsewhere.
    test = Backtest(
        frame,
        EMACross,
        cash=1_000_000,
        commission=0.0005,
        margin=0.1,
        trade_on_close=True,
        finalize_trades=True,
    )
    backtesting.Pool = functools.partial(multiprocessing.Pool, int(processes))
    trades: list[float] = []

    def objective(statistics: pd.Series) -> float:
        trades.append(statistics["# Trades"])
        return float(statistics["Equity Final [$]"])

    started = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        test.optimize(
            fast=[int(text) for text in fasts.split(",")],
            slow=[int(text) for text in slows.split(",")],
            maximize=objective,
        )
    seconds = time.perf_counter() - started
    # The best point is run once more at the end, without computing its objective again.
    sys.stdout.write(json.dumps({"seconds": seconds, "trades": int(sum(trades))}) + "\n")


if __name__ == "__main__":
    main()
