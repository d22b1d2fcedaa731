"""A strategy written for NautilusTrader 1.x is told what to change, with line numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from trading_runtime.engine.strategy.loading import refuse_legacy_strategy
from trading_runtime.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

EMA_CROSS_OF_1_X = """\
from decimal import Decimal

from nautilus_trader.config import StrategyConfig
from nautilus_trader.indicators.average.ema import ExponentialMovingAverage
from nautilus_trader.model.data import Bar
from nautilus_trader.model.data import QuoteTick
from nautilus_trader.trading.strategy import Strategy


class EMACrossConfig(StrategyConfig, frozen=True):
    trade_size: Decimal


class EMACross(Strategy):
    def on_start(self) -> None:
        self.subscribe_quote_ticks(self.config.instrument_id)

    def on_quote_tick(self, tick: QuoteTick) -> None:
        pass

    def on_bar(self, bar: Bar) -> None:
        pass
"""


def refusal(folder: Path, source: str) -> str:
    file = folder / "old.py"
    file.write_text(source)
    with pytest.raises(UsageError) as refused:
        refuse_legacy_strategy(file)
    return str(refused.value).removeprefix(str(file))


def test_an_ema_cross_of_1_x_is_told_what_to_change(tmp_path: Path) -> None:
    assert refusal(tmp_path, EMA_CROSS_OF_1_X) == (
        ": written for NautilusTrader 1.x, and this runtime has 2.x. Change "
        "line 4: import from nautilus_trader.indicators instead of "
        "nautilus_trader.indicators.average.ema; "
        "line 5: import from nautilus_trader.model instead of nautilus_trader.model.data; "
        "line 6: import from nautilus_trader.model instead of nautilus_trader.model.data; "
        "line 7: import from nautilus_trader.trading instead of nautilus_trader.trading.strategy; "
        "and 3 more"
    )


@pytest.mark.parametrize(
    ("source", "change"),
    [
        (
            "class A(StrategyConfig, frozen=True):\n    pass\n",
            "line 1: make A a @dataclass with StrategyConfig as base, not frozen=True",
        ),
        (
            "class A(Strategy):\n    def on_trade_tick(self, tick):\n        pass\n",
            "line 2: rename on_trade_tick to on_trade",
        ),
        (
            "class A(trading.Strategy):\n    def on_quote_tick(self, tick):\n        pass\n",
            "line 2: rename on_quote_tick to on_quote",
        ),
        (
            "class A(Strategy):\n    def on_start(self):\n        self.request_quote_ticks(1)\n",
            "line 3: call request_quotes instead of request_quote_ticks",
        ),
        (
            "import nautilus_trader.model.data\n",
            "line 1: import nautilus_trader.model instead of nautilus_trader.model.data",
        ),
        (
            "from nautilus_trader.indicators.atr import AverageTrueRange\n",
            "line 1: import from nautilus_trader.indicators instead of nautilus_trader.indic",
        ),
    ],
)
def test_each_habit_of_1_x_is_recognised(tmp_path: Path, source: str, change: str) -> None:
    assert change in refusal(tmp_path, source)


@pytest.mark.parametrize(
    "source",
    [
        "from nautilus_trader.model import Bar\nfrom nautilus_trader.trading import Strategy\n",
        "from nautilus_trader.indicators import ExponentialMovingAverage\n",
        "class Other:\n    def on_quote_tick(self, tick):\n        pass\n",
        "from mine.model.data import Bar\n",
        "this is no Python",
    ],
)
def test_what_is_not_of_1_x_passes(tmp_path: Path, source: str) -> None:
    file = tmp_path / "new.py"
    file.write_text(source)

    refuse_legacy_strategy(file)
