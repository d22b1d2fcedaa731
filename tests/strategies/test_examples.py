"""The example strategies trade as they say."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from tests.engine.market import Market, bars, perpetual, quotes, run
from trading_runtime.errors import StrategyError

if TYPE_CHECKING:
    from pathlib import Path

PERPETUAL = perpetual()
ID = "BTCUSDT-PERP.SIM"
BAR_TYPE = f"{ID}-1-MINUTE-LAST-EXTERNAL"


def trade(market: Market, strategy: str, config: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    output = run(market, f"trading_runtime.strategies.{strategy}", config)
    return [(row["side"], row["quantity"], row["price"]) for row in output.tables.fills]


def test_the_ema_cross_turns_when_the_averages_cross(tmp_path: Path) -> None:
    # Averages of 1 and 2 bars: the fast one is the price. At the second bar it is above.
    market = Market.write(
        tmp_path, [PERPETUAL], bars(PERPETUAL, ["100", "110", "120", "100", "90", "130"])
    )
    fills = trade(
        market,
        "ema_cross:EMACross",
        {"instrument_id": ID, "bar_type": BAR_TYPE, "trade_size": "1.000", "fast": 1, "slow": 2},
    )

    assert fills == [
        ("SELL", 1, 100),
        ("BUY", 1, 130),
        ("BUY", 1, 130),
    ]


def maker(**settings: Any) -> dict[str, Any]:
    return {"instrument_id": ID, "trade_size": "1.000", "half_spread": Decimal(2)} | settings


def test_the_market_maker_rests_around_the_mid_and_is_filled_when_it_moves(
    tmp_path: Path,
) -> None:
    # Mid 100: quotes 98 and 102. The ask falls to 97: the bid at 98 is filled as a maker.
    market = Market.write(
        tmp_path, [PERPETUAL], quotes(PERPETUAL, [("99", "101"), ("96", "97"), ("96", "97")])
    )

    assert trade(market, "market_maker:MarketMaker", maker())[0] == ("BUY", 1, 98)


def test_the_market_maker_leaves_its_quotes_while_the_mid_hardly_moves(tmp_path: Path) -> None:
    prices = [("99", "101"), ("99.2", "101.2"), ("99.4", "101.4"), ("100", "102")]
    market = Market.write(tmp_path, [PERPETUAL], quotes(PERPETUAL, prices))

    output = run(
        market,
        "trading_runtime.strategies.market_maker:MarketMaker",
        maker(requote_distance=Decimal("0.5")),
    )

    # Quoted at mids of 100 and 101 only.
    assert sorted(row["price"] for row in output.tables.orders) == [98, 99, 102, 103]
    assert {row["status"] for row in output.tables.orders} == {"CANCELED"}


def test_the_market_maker_stops_buying_at_its_limit(tmp_path: Path) -> None:
    falling = [(str(100 - 5 * number), str(102 - 5 * number)) for number in range(10)]
    market = Market.write(tmp_path, [PERPETUAL], quotes(PERPETUAL, falling))

    fills = trade(market, "market_maker:MarketMaker", maker(max_position=Decimal(2)))

    assert [side for side, _, _ in fills] == ["BUY", "BUY"]


def test_the_market_maker_says_when_its_instrument_is_missing(tmp_path: Path) -> None:
    market = Market.write(tmp_path, [PERPETUAL], quotes(PERPETUAL, [("99", "101")]))

    with pytest.raises(StrategyError, match=r"X\.SIM is not in the dataset"):
        trade(market, "market_maker:MarketMaker", maker(instrument_id="X.SIM"))


@pytest.mark.parametrize("config", [{}, {"bar_type": BAR_TYPE}, {"instrument_id": ID}])
def test_do_nothing_does_nothing(tmp_path: Path, config: dict[str, Any]) -> None:
    rows = [*bars(PERPETUAL, ["100", "110"]), *quotes(PERPETUAL, [("99", "101")])]
    market = Market.write(tmp_path, [PERPETUAL], rows)

    assert trade(market, "do_nothing:DoNothing", config) == []
