"""Prints the prices that docs/comparison.md is measured with: 5,000 hours of a seeded walk."""

from __future__ import annotations

import datetime as dt
import random

HOURS = 5_000
START = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)


def main() -> None:
    """Print a CSV file with a header, times in UTC without a zone, as many downloads have them."""
    draw = random.Random(3)  # noqa: S311 - made-up prices
    price = 2300.0
    print("time,open,high,low,close,volume")
    for hour in range(HOURS):
        close = price * (1 + draw.gauss(0, 0.003))
        high = max(price, close) * (1 + abs(draw.gauss(0, 0.001)))
        low = min(price, close) * (1 - abs(draw.gauss(0, 0.001)))
        time = START + dt.timedelta(hours=hour)
        volume = draw.randint(1, 999)
        print(f"{time:%Y-%m-%d %H:%M:%S},{price:.2f},{high:.2f},{low:.2f},{close:.2f},{volume}")
        price = round(close, 2)


if __name__ == "__main__":
    main()
