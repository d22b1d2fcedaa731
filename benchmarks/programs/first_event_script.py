"""What a user would write without this runtime: import the engine, read a catalog, run.

python benchmarks/programs/first_event_script.py CATALOG BAR_TYPE
"""

from __future__ import annotations

import sys
from decimal import Decimal
from pathlib import Path

from nautilus_trader.backtest import (
    BacktestDataConfig,
    BacktestEngineConfig,
    BacktestNode,
    BacktestRunConfig,
    BacktestVenueConfig,
)
from nautilus_trader.common import LoggerConfig
from nautilus_trader.execution import MakerTakerFeeModel
from nautilus_trader.model import BarType, NautilusDataType

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "strategies"))
from first_event import FirstEvent, FirstEventConfig  # type: ignore[import-not-found]

node = BacktestNode(
    [
        BacktestRunConfig(
            [
                BacktestVenueConfig(
                    name="SIM",
                    oms_type="NETTING",
                    account_type="MARGIN",
                    starting_balances=["100000 USDT"],
                    fee_model=MakerTakerFeeModel(Decimal("0.0002"), Decimal("0.0005")),
                )
            ],
            [BacktestDataConfig(NautilusDataType.Bar, sys.argv[1], bar_types=[sys.argv[2]])],
            BacktestEngineConfig(logging=LoggerConfig(bypass_logging=True), run_analysis=False),
            id="script",
            raise_exception=True,
            chunk_size=50_000,
        )
    ]
)
node.build()
node.add_strategy("script", FirstEvent(FirstEventConfig(bar_type=BarType.from_str(sys.argv[2]))))
node.run()
