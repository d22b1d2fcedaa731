"""Write made-up trades in the layout of Binance's aggregate trades.

python -m benchmarks.programs.aggregate_trades FILE COUNT
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import polars as pl

_START = 1_704_067_200_000
_BLOCK = 500_000


def main() -> None:
    """Write the file some rows at a time."""
    path, count = Path(sys.argv[1]), int(sys.argv[2])
    random = np.random.default_rng(20_240_101)
    price, at = 425_000, _START
    with path.open("wb") as file:
        for first in range(0, count, _BLOCK):
            rows = min(_BLOCK, count - first)
            prices = np.maximum(price + np.cumsum(random.integers(-3, 4, size=rows)), 10_000)
            times = at + np.cumsum(random.integers(0, 201, size=rows))
            price, at = int(prices[-1]), int(times[-1])
            ids = np.arange(first, first + rows)
            pl.DataFrame(
                {
                    "agg_trade_id": ids,
                    "price": np.round(prices * 0.1, 1),
                    "quantity": np.round(random.integers(1, 2_000, size=rows) * 0.001, 3),
                    "first_trade_id": ids,
                    "last_trade_id": ids,
                    "transact_time": times,
                    "is_buyer_maker": random.integers(0, 2, size=rows) == 1,
                }
            ).write_csv(file, include_header=first == 0)


if __name__ == "__main__":
    main()
