"""Nothing that observes changes what happens: any task trades as the bare engine does."""

from __future__ import annotations

import os
import random
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pytest
from nautilus_trader import model
from nautilus_trader.backtest import BacktestEngine

from tests.engine.market import (
    HOUR,
    MINUTE,
    SECOND,
    STRATEGIES,
    T0,
    Market,
    perpetual,
    task_inputs,
)
from tests.engine.strategies.random_trader import RandomTrader, RandomTraderConfig
from tests.engine.test_risk import profile
from tests.plans import VENUE, venue_inputs
from trading_runtime.config.strategy_code import find_strategy_code
from trading_runtime.engine.accounting.tables import collect
from trading_runtime.engine.accounting.valuation import RateHistory, Rates, Valuation
from trading_runtime.engine.simulation.feed import _venue_arguments, decoded
from trading_runtime.engine.simulation.task import TaskOutput, run_task
from trading_runtime.engine.simulation.venue import engine_config, venue_config

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

DAY = 24 * HOUR
LATENCIES = [None, None, None, None, "1ns", "20ms", "20s", "30s", "60s", "90s", "1h"]
FILLS: list[dict[str, Any]] = [
    VENUE["fill"],
    VENUE["fill"] | {"prob_fill_on_limit": "0.5", "prob_slippage": "0.5"},
]
LOOSE = {
    "max_order_quantity": "1e6",
    "max_order_notional": "1e12",
    "max_position_quantity": "1e9",
    "max_loss": "1e12",
    "max_daily_loss": "1e12",
}
SWAP = {
    "rates": {"BTCUSDT-PERP.SIM": {"long": "-0.000001", "short": "0.000001"}},
    "per": "day",
    "days_in_year": 365,
    "time": "03:17",
    "time_zone": "UTC",
    "triple_day": None,
}
INTERVALS = [11 * MINUTE, HOUR, DAY, 1000 * DAY]
"""The last one has no sample within any window: equity is switched off."""
AGGRESSORS = [model.AggressorSide.BUY, model.AggressorSide.SELL]
SEEDS = int(os.environ.get("TRADING_SEEDS", "24"))


class Case:
    """A market, a venue and a strategy, drawn at random; equal for equal seeds."""

    def __init__(self, seed: int, folder: Path) -> None:
        draw = random.Random(seed)  # noqa: S311 - no secret is made of it
        self.close_at_end = draw.random() < 0.5
        self.rows = _rows(draw)
        self.market = Market.write(folder / "catalog", [perpetual()], self.rows)
        base, cancel = draw.choice(LATENCIES), draw.choice(LATENCIES)
        self.venue = {
            "latency": {"base": base, "insert": None, "update": None, "cancel": cancel},
            "oms_type": draw.choice(["netting", "hedging"]),
            "fill": draw.choice(FILLS),
            "fees": {"model": "maker_taker", "maker": "0.0001", "taker": "0.0005"},
            "liquidity_consumption": draw.random() < 0.3,
            "order_rate_limit": {"orders": 100000, "per": "1s"},
        }
        series = self.market.data[0]
        self.config: dict[str, Any] = {
            "kind": series.type,
            "name": series.identifier if series.type == "bars" else series.instrument_id,
            "seed": seed,
            "timers": draw.choice([[], [], [297_500], [60_000, 60_000], [3_600_000, 1_800_000]]),
            "activity": draw.choice([5, 30]),
        }
        self.end = self.rows[-1].ts_init + draw.choice([1, MINUTE + 17, 5 * HOUR])

    def run(
        self,
        interval: int,
        *,
        shared: bool = False,
        charges: Mapping[str, Any] = MappingProxyType({}),
        **common: Any,
    ) -> TaskOutput:
        """Run it as a task, at a venue that charges for more."""
        inputs = task_inputs(
            self.market,
            self.config,
            venue={**self.venue, **charges},
            end=self.end,
            at_end="close" if self.close_at_end else "mark",
            equity_interval=interval,
            **common,
        )
        code = find_strategy_code("random_trader.py:RandomTrader", STRATEGIES)
        rows = decoded(inputs, self.market.catalog, self.market.rows) if shared else None
        return run_task(inputs, code, self.market.catalog, self.market.rows, decoded_rows=rows)

    def bare(self) -> dict[str, list[dict[str, Any]]]:
        """Run it in an engine that has the strategy alone."""
        settings = venue_inputs(**self.venue)
        engine = BacktestEngine(engine_config(settings, str(self.market.catalog)))
        engine.add_venue(**_venue_arguments(venue_config(settings, "SIM", 1)))
        engine.add_instrument(perpetual())
        engine.add_data(self.rows)
        config = self.config | {"close_at_end": self.close_at_end}
        engine.add_strategy(RandomTrader(RandomTraderConfig(**config)))
        try:
            engine.run(T0, self.end - 1)
            history = RateHistory(Rates(engine.cache, [model.Venue("SIM")]), set(), "USDT")
            valuation = Valuation({str(perpetual().id): perpetual()}, history, "USDT")
            cache = engine.cache
            positions = [*cache.position_snapshots(), *cache.positions()]
            tables = collect(cache.orders(), positions, [], valuation)
            return {name: getattr(tables, name) for name in ("orders", "fills", "positions")}
        finally:
            engine.dispose()


def _rows(draw: random.Random) -> list[Any]:
    """A random walk over a few days, each with a night, some with a weekend behind it."""
    instrument = perpetual()
    step = draw.choice([SECOND, 20 * SECOND, MINUTE, 5 * MINUTE, HOUR])
    kind = draw.choices(["bars", "quotes", "trades"], [6, 3, 2])[0]
    bar_type = model.BarType.from_str(f"{instrument.id}-1-MINUTE-LAST-EXTERNAL")
    size = instrument.make_qty(1000)
    rows: list[Any] = []
    ts, ticks = T0 + step, 1000
    for _ in range(3):
        for _ in range(draw.randint(5, 40)):
            path = [ticks + draw.randint(-8, 8) for _ in range(3)] + [ticks]
            if kind == "bars":
                opened, high, low, close = (
                    instrument.make_price(price / 10)
                    for price in (path[0], max(path), min(path), path[3])
                )
                rows.append(model.Bar(bar_type, opened, high, low, close, size, ts, ts))
            elif kind == "trades":
                number, side = model.TradeId(str(len(rows))), draw.choice(AGGRESSORS)
                price = instrument.make_price(path[3] / 10)
                rows.append(model.TradeTick(instrument.id, price, size, side, number, ts, ts))
            else:
                bid, ask = (instrument.make_price(p / 10) for p in (path[0], path[0] + 1))
                rows.append(model.QuoteTick(instrument.id, bid, ask, size, size, ts, ts))
            ticks = path[3]
            ts += step
        ts += draw.choice([16 * HOUR, 64 * HOUR, 90 * SECOND])
    return rows


def traded(output: TaskOutput) -> dict[str, list[dict[str, Any]]]:
    tables = output.tables
    return {"orders": tables.orders, "fills": tables.fills, "positions": tables.positions}


@pytest.fixture
def case(tmp_path: Path) -> Callable[[int], Case]:
    return lambda seed: Case(seed, tmp_path)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_task_trades_as_the_bare_engine_whatever_is_observed(
    seed: int, case: Callable[[int], Case]
) -> None:
    drawn = case(seed)
    bare = drawn.bare()
    span = drawn.end - T0
    for interval in (max(span // 2000 // SECOND, 7) * SECOND, *INTERVALS):
        assert traded(drawn.run(interval)) == bare, interval
    assert traded(drawn.run(MINUTE, shared=True)) == bare
    assert traded(drawn.run(MINUTE, risk=profile(**LOOSE))) == bare
    assert traded(drawn.run(7 * HOUR, risk=profile(**LOOSE))) == bare
    assert traded(drawn.run(DAY, charges={"swap": SWAP})) == bare
