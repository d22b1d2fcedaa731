"""Make the market data for the measurements: seeded, the same rows on every machine.

A separate program, so that the measuring process stays small:

    python -m benchmarks.market_data FOLDER NAME...

writes ``FOLDER/raw/NAME.*`` and prepares the dataset ``FOLDER/NAME``, unless it exists.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

INSTRUMENT = "BTCUSDT-PERP.SIM"
BAR_TYPE = f"{INSTRUMENT}-1-MINUTE-LAST-EXTERNAL"
START = 1_704_067_200
"""2024-01-01T00:00:00Z in seconds since the epoch."""

_TICK = 0.1
_LOT = 0.001
_SEED = 20_240_101
_DEFINITION = {
    "type": "CryptoPerpetual",
    "id": INSTRUMENT,
    "base_currency": "BTC",
    "quote_currency": "USDT",
    "settlement_currency": "USDT",
    "price_increment": "0.1",
    "size_increment": "0.001",
    "margin_init": "0.05",
    "margin_maint": "0.025",
}


def bars(count: int) -> pl.DataFrame:
    """Return 1-minute bars (``timestamp`` in seconds, of their open) of a random walk."""
    import numpy as np
    import polars as pl

    steps = np.random.default_rng(_SEED).integers(-60, 61, size=(count, 4))
    path = 425_000 + np.cumsum(steps.reshape(-1)).reshape(count, 4)
    opened = np.concatenate([[425_000], path[:-1, -1]])
    high = np.maximum(opened, path.max(axis=1))
    low = np.minimum(opened, path.min(axis=1))
    volume = np.random.default_rng(_SEED + 1).integers(20_000, 200_000, size=count)
    return pl.DataFrame(
        {
            "timestamp": START + 60 * np.arange(count),
            "open": _decimals(opened, 1),
            "high": _decimals(high, 1),
            "low": _decimals(low, 1),
            "close": _decimals(path[:, -1], 1),
            "volume": _decimals(volume, 3),
        }
    )


def quotes(count: int) -> pl.DataFrame:
    """Return one quote at the close of each of ``bars(count)``: its close, and one tick above."""
    import polars as pl

    made = bars(count)
    return made.select(
        (pl.col("timestamp") + 60).alias("timestamp"),
        pl.col("close").alias("bid"),
        pl.Series("ask", [f"{float(close) + _TICK:.1f}" for close in made["close"]]),
        pl.lit("100.000").alias("bid_size"),
        pl.lit("100.000").alias("ask_size"),
    )


def trades(count: int) -> pl.DataFrame:
    """Return trades about 100 ms apart (``timestamp`` in ms) of a random walk."""
    import numpy as np
    import polars as pl

    random = np.random.default_rng(_SEED + 2)
    prices = 425_000 + np.cumsum(random.integers(-3, 4, size=count))
    return pl.DataFrame(
        {
            "timestamp": START * 1_000 + np.cumsum(random.integers(0, 201, size=count)),
            "price": np.round(np.maximum(prices, 10_000) * _TICK, 1),
            "size": np.round(random.integers(1, 2_000, size=count) * _LOT, 3),
            "buyer_maker": random.integers(0, 2, size=count) == 1,
        }
    )


def ensure(folder: Path, name: str) -> Path:
    """Return the dataset ``name`` (such as ``bars-45000``) in ``folder``; make it when missing."""
    dataset = folder / name
    if _is_sound(dataset):
        return dataset
    shutil.rmtree(dataset, ignore_errors=True)
    kind, _, count = name.partition("-")
    raw = folder / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    if kind == "trades":
        trades(int(count)).write_parquet(raw / f"{name}.parquet")
    else:
        {"bars": bars, "quotes": quotes}[kind](int(count)).write_csv(raw / f"{name}.csv")
    (raw / "instruments.json").write_text(json.dumps([_DEFINITION]))
    description = raw / f"{name}.data.json"
    description.write_text(json.dumps(_data_file(kind, name)))
    subprocess.run(
        [
            sys.executable,
            "-m",
            "trading_runtime.cli.main",
            "data",
            "prepare",
            str(description),
            "--to",
            str(dataset),
        ],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return dataset


def _is_sound(dataset: Path) -> bool:
    """Return whether the dataset exists in the current format."""
    from trading_runtime.datasets.manifest import load_manifest
    from trading_runtime.errors import TradingRuntimeError

    try:
        load_manifest(str(dataset))
    except TradingRuntimeError:
        return False
    return True


def _data_file(kind: str, name: str) -> dict[str, Any]:
    series: dict[str, Any] = {"type": kind, "instrument": INSTRUMENT}
    if kind == "bars":
        series |= {
            "files": f"{name}.csv",
            "bar": "1-MINUTE-LAST",
            "timestamp_format": "s",
            "timestamp_marks": "open",
        }
    elif kind == "quotes":
        series |= {
            "files": f"{name}.csv",
            "timestamp_format": "s",
            "columns": {
                column: column for column in ("timestamp", "bid", "ask", "bid_size", "ask_size")
            },
        }
    else:
        series |= {
            "files": f"{name}.parquet",
            "timestamp_format": "ms",
            "columns": {
                "timestamp": "timestamp",
                "price": "price",
                "size": "size",
                "buyer_maker": "buyer_maker",
            },
        }
    return {"instruments": "instruments.json", "series": [series]}


def _decimals(units: Any, digits: int) -> list[str]:
    scale = 10**digits
    return [f"{unit // scale}.{unit % scale:0{digits}d}" for unit in units.tolist()]


if __name__ == "__main__":
    for wanted in sys.argv[2:]:
        ensure(Path(sys.argv[1]), wanted)
