"""Made-up market data for a new project: of two perpetuals, or of five stocks.

The prices are walks from a fixed seed, in whole ticks. They are the same on every machine and say
nothing about any real market.
"""

from __future__ import annotations

import json
import math
import random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

START = 1_704_067_200
"""2024-01-01T00:00:00Z in seconds since the epoch."""
DAYS = 14
BARS_A_DAY = 1_440
QUOTES = 20_000
_SEED = 2024
YEARS_OF_STOCKS = 2
_STOCKS = ("AAA", "BBB", "CCC", "DDD", "EEE")
_WEEKDAY_OF_START = 0
"""2024-01-01 was a Monday."""
_WORKING_DAYS = 5
_BTC, _ETH = "BTCUSDT-PERP.SIM", "ETHUSDT-PERP.SIM"


def write_perpetuals(folder: Path) -> Path:
    """Write minute bars of two perpetuals, and quotes and funding rates of one, into ``folder``.

    Returns the data file that says how to read them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    bitcoin = list(_walk(random.Random(_SEED), 420_000, 120))  # noqa: S311 - made-up prices
    (folder / "btc-1m.csv").write_text(_bars(bitcoin, 1), encoding="utf-8")
    (folder / "eth-1m.csv").write_text(_bars(_follower(bitcoin), 2), encoding="utf-8")
    (folder / "btc-quotes.csv").write_text(_quotes(bitcoin), encoding="utf-8")
    (folder / "btc-funding.csv").write_text(_funding(), encoding="utf-8")
    instruments = [_perpetual(_BTC, "BTC", "0.1"), _perpetual(_ETH, "ETH", "0.01")]
    bars = {"bar": "1-MINUTE-LAST", "timestamp_format": "s", "timestamp_marks": "open"}
    names = ("timestamp", "bid", "ask", "bid_size", "ask_size")
    quotes = {"columns": {name: name for name in names}, "timestamp_format": "s"}
    series: list[dict[str, Any]] = [
        {"type": "bars", "instrument": _BTC, "files": "btc-1m.csv"} | bars,
        {"type": "bars", "instrument": _ETH, "files": "eth-1m.csv"} | bars,
        {"type": "quotes", "instrument": _BTC, "files": "btc-quotes.csv"} | quotes,
        {"type": "funding_rates", "instrument": _BTC, "files": "btc-funding.csv"}
        | {"timestamp_format": "s", "timestamp_marks": "settlement"},
    ]
    return _data_file(folder, instruments, series)


def write_stocks(folder: Path) -> Path:
    """Write daily bars of five stocks over two years; otherwise as ``write_perpetuals``."""
    folder.mkdir(parents=True, exist_ok=True)
    series: list[dict[str, Any]] = []
    instruments: list[dict[str, str]] = []
    for number, name in enumerate(_STOCKS):
        (folder / f"{name.lower()}-1d.csv").write_text(_daily(number), encoding="utf-8")
        instrument = f"{name}.SIM"
        instruments.append(
            {"type": "Equity", "id": instrument, "currency": "USD", "price_increment": "0.01"}
        )
        series.append(
            {"type": "bars", "instrument": instrument, "files": f"{name.lower()}-1d.csv"}
            | {"bar": "1-DAY-LAST", "timestamp_format": "s", "timestamp_marks": "open"}
            | {"splits": {}}
        )
    return _data_file(folder, instruments, series)


def _data_file(
    folder: Path, instruments: list[dict[str, str]], series: list[dict[str, Any]]
) -> Path:
    (folder / "instruments.json").write_text(_json(instruments), encoding="utf-8")
    data_file = folder / "example.data.json"
    content = {"dataset": "../example", "instruments": "instruments.json", "series": series}
    data_file.write_text(_json(content), encoding="utf-8")
    return data_file


def _walk(chance: random.Random, first: int, step: int) -> Iterator[int]:
    """Yield closes in ticks: a walk with slow waves, so that trends come and go.

    The last bar closes a minute before the last day ends, so that it is in that day's window.
    """
    level = first
    for minute in range(DAYS * BARS_A_DAY - 1):
        wave = 9 * math.sin(minute / 300) + 6 * math.sin(minute / 1_100)
        level += round(wave) + chance.randrange(-step, step + 1)
        yield level


def _follower(leader: list[int]) -> list[int]:
    """Return a price that follows another, with a spread that returns to its mean."""
    chance = random.Random(_SEED + 1)  # noqa: S311 - made-up prices
    spread, found = 0, []
    for close in leader:
        spread = spread * 199 // 200 + chance.randrange(-250, 251)
        found.append(close // 2 + spread)
    return found


def _bars(closes: list[int], digits: int) -> str:
    chance = random.Random(_SEED + digits)  # noqa: S311 - made-up prices
    lines = ["timestamp,open,high,low,close,volume"]
    before = closes[0]
    for minute, close in enumerate(closes):
        high = max(before, close) + chance.randrange(0, 40)
        low = min(before, close) - chance.randrange(0, 40)
        prices = (_decimal(value, digits) for value in (before, high, low, close))
        volume = _decimal(chance.randrange(1_000, 50_000), 3)
        lines.append(",".join([str(START + 60 * minute), *prices, volume]))
        before = close
    return "\n".join(lines) + "\n"


def _quotes(closes: list[int]) -> str:
    chance = random.Random(_SEED + 3)  # noqa: S311 - made-up prices
    lines = ["timestamp,bid,ask,bid_size,ask_size"]
    for number in range(QUOTES):
        minute, part = divmod(number, 4)
        here, there = closes[minute], closes[minute + 1]
        middle = here + (there - here) * part // 4
        half = chance.randrange(5, 15)
        sizes = [_decimal(chance.randrange(500, 9_000), 3) for _ in range(2)]
        prices = [_decimal(middle - half, 1), _decimal(middle + half, 1)]
        lines.append(",".join([str(START + 15 * number), *prices, *sizes]))
    return "\n".join(lines) + "\n"


def _funding() -> str:
    """Return a rate every eight hours: millionths that swing slowly around zero."""
    chance = random.Random(_SEED + 4)  # noqa: S311 - made-up rates
    lines = ["timestamp,rate"]
    for number in range(1, 3 * DAYS):
        rate = round(350 * math.sin(number / 5)) + chance.randrange(-80, 81)
        sign = "-" if rate < 0 else ""
        lines.append(f"{START + 28_800 * number},{sign}{_decimal(abs(rate), 6)}")
    return "\n".join(lines) + "\n"


def _daily(number: int) -> str:
    """Return the bars of a stock on working days, its trend a slow wave of its own."""
    chance = random.Random(_SEED + 10 + number)  # noqa: S311 - made-up prices
    lines, before = ["timestamp,open,high,low,close,volume"], 8_000 + 1_500 * number
    for day in range(YEARS_OF_STOCKS * 365):
        if (_WEEKDAY_OF_START + day) % 7 >= _WORKING_DAYS:
            continue
        wave = math.sin(day / (35 + 9 * number) + 2 * number)
        close = before + before * (round(25 * wave) + chance.randrange(-120, 131)) // 10_000
        high = max(before, close) + chance.randrange(1, 60)
        low = min(before, close) - chance.randrange(1, 60)
        prices = (_decimal(value, 2) for value in (before, high, low, close))
        lines.append(",".join([str(START + 86_400 * day), *prices, str(chance.randrange(10_000))]))
        before = close
    return "\n".join(lines) + "\n"


def _decimal(value: int, digits: int) -> str:
    scale = 10**digits
    return f"{value // scale}.{value % scale:0{digits}d}"


def _perpetual(instrument: str, base: str, tick: str) -> dict[str, str]:
    return {
        "type": "CryptoPerpetual",
        "id": instrument,
        "base_currency": base,
        "quote_currency": "USDT",
        "settlement_currency": "USDT",
        "price_increment": tick,
        "size_increment": "0.001",
        "margin_init": "0.05",
        "margin_maint": "0.025",
    }


def _json(content: object) -> str:
    return json.dumps(content, indent=2) + "\n"
