"""Make the synthetic raw market data of tests/data/parts: the same bytes on every machine.

Prices walk at random through regimes of different drift and unrest, with gaps in time. Everything
is computed in whole numbers (ticks, lots, milliseconds) from a seeded generator, so no rounding of
floats can differ. Run: python tests/data/scripts/make_parts.py [FOLDER]
"""

from __future__ import annotations

import datetime as dt
import json
import sys
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PARTS = Path(__file__).parent.parent / "parts"
DAY_SECONDS = 86_400

INSTRUMENTS = [
    {
        "type": "CryptoPerpetual",
        "id": "BTCUSDT-PERP.SIM",
        "base_currency": "BTC",
        "quote_currency": "USDT",
        "settlement_currency": "USDT",
        "price_increment": "0.1",
        "size_increment": "0.001",
        "margin_init": "0.05",
        "margin_maint": "0.025",
    },
    {
        "type": "CurrencyPair",
        "id": "EURUSD.SIM",
        "base_currency": "EUR",
        "quote_currency": "USD",
        "price_increment": "0.00001",
        "size_increment": "1",
        "margin_init": "0.03",
        "margin_maint": "0.03",
    },
]

DATA_FILES: dict[str, dict[str, Any]] = {
    "bars": {
        "type": "bars",
        "instrument": "BTCUSDT-PERP.SIM",
        "bar": "1-MINUTE-LAST",
        "files": "bars-*.csv",
        "timestamp_format": "s",
        "timestamp_marks": "open",
    },
    "quotes": {
        "type": "quotes",
        "instrument": "EURUSD.SIM",
        "files": "quotes.csv",
        "header": False,
        "columns": {"timestamp": 1, "bid": 2, "ask": 3, "bid_size": 4, "ask_size": 5},
        "timestamp_format": "%Y%m%d %H%M%S%3f",
        "report_gaps_above": "5m",
    },
    "trades": {
        "type": "trades",
        "instrument": "BTCUSDT-PERP.SIM",
        "files": "trades.csv",
        "columns": {
            "timestamp": "time",
            "price": "price",
            "size": "quantity",
            "trade_id": "id",
            "buyer_maker": "buyer_maker",
        },
        "timestamp_format": "ms",
        "report_gaps_above": "2m",
    },
}


class Walk:
    """A random walk in whole ticks through regimes of different drift and unrest."""

    def __init__(self, random: Random, start: int, unrest: int, regime_length: int) -> None:
        """Start at ``start``; a step is within a few ``unrest``, a regime lasts so many steps."""
        self._random = random
        self.value = start
        self._unrest = unrest
        self._length = regime_length
        self._left = 0
        self._drift = 0
        self._reach = 1

    def step(self) -> int:
        """Return the next value."""
        draw = self._random.randrange
        if not self._left:
            self._left = self._length // 2 + draw(self._length)
            # In eighths of the unrest a step: trends up and down, and stretches without one.
            self._drift = (-1, -1, 0, 1, 1)[draw(5)] * draw(self._unrest + 1)
            self._reach = self._unrest * (1, 1, 2, 3)[draw(4)]
        self._left -= 1
        bell = sum(draw(2 * self._reach + 1) - self._reach for _ in range(3))
        # A half and an eighth are rounded at random, so that rounding adds no drift.
        move = (bell + draw(2)) // 2 + (self._drift + draw(8)) // 8
        self.value = max(self._unrest, self.value + move)
        return self.value


def bars() -> Iterator[tuple[str, list[str]]]:
    """Yield two files of 1-minute bars: three ISO weeks over a month's end, with one gap."""
    random = Random("bars")
    walk = Walk(random, start=425_000, unrest=60, regime_length=360)
    start = int(dt.datetime(2024, 1, 15, tzinfo=dt.UTC).timestamp())
    gap = range(start + 9 * DAY_SECONDS + 15_000, start + 9 * DAY_SECONDS + 15_000 + 47 * 60)
    month_end = int(dt.datetime(2024, 2, 1, tzinfo=dt.UTC).timestamp())
    files: dict[str, list[str]] = {"bars-2024-01.csv": [], "bars-2024-02.csv": []}
    # The last bar closes a minute before the fourth week, so that three weeks are three windows.
    for time in range(start, start + 21 * DAY_SECONDS - 60, 60):
        opened = walk.value
        path = [opened, *(walk.step() for _ in range(4))]
        volume = 200 + random.randrange(1_800) * (1 + random.randrange(4))
        if time in gap:
            continue
        prices = (opened, max(path), min(path), path[-1])
        line = ",".join([str(time), *(decimal(price, 1) for price in prices), decimal(volume, 3)])
        files["bars-2024-01.csv" if time < month_end else "bars-2024-02.csv"].append(line)
    for name, lines in files.items():
        yield name, ["timestamp,open,high,low,close,volume", *lines]


def quotes() -> Iterator[tuple[str, list[str]]]:
    """Yield one file of quotes over three hours, without header, with a gap of 12 minutes."""
    random = Random("quotes")
    walk = Walk(random, start=109_000, unrest=1, regime_length=400)
    time = dt.datetime(2024, 1, 16, 13, tzinfo=dt.UTC)
    end = time + dt.timedelta(hours=3)
    pause = time + dt.timedelta(minutes=95)
    lines = []
    while time < end:
        bid = walk.step()
        ask = bid + 2 + random.randrange(6)
        sizes = [str(100_000 * (1 + random.randrange(30))) for _ in range(2)]
        stamp = f"{time:%Y%m%d %H%M%S}{time.microsecond // 1000:03d}"
        lines.append(",".join([stamp, decimal(bid, 5), decimal(ask, 5), *sizes]))
        time += dt.timedelta(milliseconds=20 + random.randrange(2_480))
        if pause <= time < pause + dt.timedelta(minutes=12):
            time = pause + dt.timedelta(minutes=12)
    yield "quotes.csv", lines


def trades() -> Iterator[tuple[str, list[str]]]:
    """Yield one file of trades over an hour, several in some milliseconds, with a short gap."""
    random = Random("trades")
    walk = Walk(random, start=425_000, unrest=2, regime_length=250)
    start = int(dt.datetime(2024, 1, 15, 9, tzinfo=dt.UTC).timestamp()) * 1_000
    pause = range(start + 1_500_000, start + 1_680_000)
    time, lines = start, ["time,id,price,quantity,buyer_maker"]
    while time < start + 3_600_000:
        for _ in range((1, 1, 1, 2, 3)[random.randrange(5)]):
            price, size = walk.step(), 1 + random.randrange(40) * random.randrange(40)
            maker = "true" if random.randrange(2) else "false"
            row = [time, 700_000 + len(lines), decimal(price, 1), decimal(size, 3), maker]
            lines.append(",".join(map(str, row)))
        time += 1 + random.randrange(2_200)
        if time in pause:
            time = pause.stop
    yield "trades.csv", lines


def decimal(units: int, digits: int) -> str:
    """Return ``units`` of ten to the power of minus ``digits`` as a decimal text."""
    whole, fraction = divmod(units, 10**digits)
    return f"{whole}.{fraction:0{digits}d}"


def make_parts(folder: Path) -> None:
    """Write all parts into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "instruments.json", [json.dumps(INSTRUMENTS, indent=2)])
    for name, series in DATA_FILES.items():
        target = "../../../data/example" if name == "bars" else f"../../../data/{name}"
        content = {"dataset": target, "instruments": "instruments.json", "series": [series]}
        _write(folder / f"{name}.data.json", [json.dumps(content, indent=2)])
    for parts in (bars(), quotes(), trades()):
        for name, lines in parts:
            _write(folder / name, lines)


def _write(path: Path, lines: Iterable[str]) -> None:
    path.write_bytes("".join(f"{line}\n" for line in lines).encode())


if __name__ == "__main__":
    make_parts(Path(sys.argv[1]) if len(sys.argv) > 1 else PARTS)
