"""The sweep with ``BacktestNode`` of nautilus_trader 1.x; runs in the peer's own environment.

    python nautilus_1.py catalog BARS.csv CATALOG
    python nautilus_1.py sweep CATALOG FASTS SLOWS PROCESSES

``sweep`` prints one JSON document: seconds of the sweep alone, and orders of all points together.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
import time
from decimal import Decimal
from itertools import product
from pathlib import Path

INSTRUMENT = "BTCUSDT-PERP.SIM"
BAR_TYPE = f"{INSTRUMENT}-1-MINUTE-LAST-EXTERNAL"


def write_catalog(bars: str, folder: str) -> None:
    """Write the bars, which are stamped with their open time, into a catalog of 1.x."""
    import pandas as pd
    from nautilus_trader.model.currencies import BTC, USDT
    from nautilus_trader.model.data import Bar, BarType
    from nautilus_trader.model.identifiers import InstrumentId, Symbol
    from nautilus_trader.model.instruments import CryptoPerpetual
    from nautilus_trader.model.objects import Price, Quantity
    from nautilus_trader.persistence.catalog import ParquetDataCatalog

    instrument = CryptoPerpetual(
        instrument_id=InstrumentId.from_str(INSTRUMENT),
        raw_symbol=Symbol("BTCUSDT-PERP"),
        base_currency=BTC,
        quote_currency=USDT,
        settlement_currency=USDT,
        is_inverse=False,
        price_precision=1,
        size_precision=3,
        price_increment=Price.from_str("0.1"),
        size_increment=Quantity.from_str("0.001"),
        margin_init=Decimal("0.05"),
        margin_maint=Decimal("0.025"),
        maker_fee=Decimal("0.0002"),
        taker_fee=Decimal("0.0005"),
        ts_event=0,
        ts_init=0,
    )
    bar_type = BarType.from_str(BAR_TYPE)
    frame = pd.read_csv(bars, dtype=dict.fromkeys(("open", "high", "low", "close", "volume"), str))
    made = []
    for row in frame.itertuples():
        closed = (row.timestamp + 60) * 1_000_000_000
        prices = (Price.from_str(text) for text in (row.open, row.high, row.low, row.close))
        made.append(Bar(bar_type, *prices, Quantity.from_str(row.volume), closed, closed))
    catalog = ParquetDataCatalog(folder)
    catalog.write_data([instrument])
    catalog.write_data(made)


def run_point(arguments: tuple[str, int, int]) -> int:
    """Run one point and return how many orders it sent."""
    from nautilus_trader.backtest.node import BacktestNode
    from nautilus_trader.config import (
        BacktestDataConfig,
        BacktestEngineConfig,
        BacktestRunConfig,
        BacktestVenueConfig,
        ImportableStrategyConfig,
        LoggingConfig,
    )

    catalog, fast, slow = arguments
    strategy = ImportableStrategyConfig(
        strategy_path="nautilus_1_strategy:EMACross",
        config_path="nautilus_1_strategy:EMACrossConfig",
        config={
            "instrument_id": INSTRUMENT,
            "bar_type": BAR_TYPE,
            "trade_size": "0.100",
            "fast": fast,
            "slow": slow,
        },
    )
    node = BacktestNode(
        configs=[
            BacktestRunConfig(
                engine=BacktestEngineConfig(
                    logging=LoggingConfig(bypass_logging=True), strategies=[strategy]
                ),
                venues=[
                    BacktestVenueConfig(
                        name="SIM",
                        oms_type="NETTING",
                        account_type="MARGIN",
                        starting_balances=["100000 USDT"],
                        default_leverage=10.0,
                    )
                ],
                data=[
                    BacktestDataConfig(
                        catalog_path=catalog,
                        data_cls="nautilus_trader.model.data:Bar",
                        bar_types=[BAR_TYPE],
                    )
                ],
                dispose_on_completion=False,
            )
        ]
    )
    orders = node.run()[0].total_orders
    node.dispose()
    return int(orders)


def sweep(catalog: str, fasts: list[int], slows: list[int], processes: int) -> dict[str, float]:
    """Run all points in warm processes, a point at a time."""
    started = time.perf_counter()
    points = [(catalog, fast, slow) for fast, slow in product(fasts, slows)]
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        orders = list(pool.imap_unordered(run_point, points))
    return {"seconds": time.perf_counter() - started, "orders": sum(orders)}


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    if sys.argv[1] == "catalog":
        write_catalog(*sys.argv[2:])
    else:
        outcome = sweep(sys.argv[2], _numbers(sys.argv[3]), _numbers(sys.argv[4]), int(sys.argv[5]))
        sys.stdout.write(json.dumps(outcome) + "\n")
