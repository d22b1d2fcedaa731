"""Small markets to run tasks on: instruments, rows written by the engine's own catalog, inputs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nautilus_trader import model
from nautilus_trader.persistence import ParquetDataCatalog

from tests.plans import COMMON, VENUE
from trading_runtime.config.strategy_code import find_strategy_code
from trading_runtime.engine.instruments.definitions import definition_of
from trading_runtime.engine.simulation.feed import decoded
from trading_runtime.engine.simulation.task import TaskOutput, run_task
from trading_runtime.records.inputs import (
    CommonInputs,
    PartitionInputs,
    SeriesInputs,
    TaskInputs,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trading_runtime.records.instruments import InstrumentDefinition

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
T0 = 1_640_995_200 * SECOND
"""2022-01-01T00:00:00Z."""
STRATEGIES = Path(__file__).parent / "strategies"


def pair(  # noqa: PLR0913 - what a pair is
    symbol: str,
    base: str,
    quote: str,
    tick: str = "0.01",
    size: str = "0.001",
    *,
    venue: str = "SIM",
) -> Any:
    """A spot pair."""
    make: Any = model.CurrencyPair
    return make(
        model.InstrumentId.from_str(f"{symbol}.{venue}"),
        model.Symbol(symbol),
        model.Currency.from_str(base),
        model.Currency.from_str(quote),
        *_ticks(tick, size),
        0,
        0,
        margin_init=Decimal("0.05"),
        margin_maint=Decimal("0.03"),
    )


def perpetual(
    symbol: str = "BTCUSDT-PERP",
    currencies: tuple[str, str, str] = ("BTC", "USDT", "USDT"),
    tick: str = "0.1",
    size: str = "0.001",
    *,
    venue: str = "SIM",
) -> Any:
    """A perpetual swap; inverse when it is settled in its base currency."""
    base, quote, settlement = (model.Currency.from_str(code) for code in currencies)
    make: Any = model.CryptoPerpetual
    return make(
        model.InstrumentId.from_str(f"{symbol}.{venue}"),
        model.Symbol(symbol),
        base,
        quote,
        settlement,
        currencies[0] == currencies[2],
        *_ticks(tick, size),
        0,
        0,
        margin_init=Decimal("0.1"),
        margin_maint=Decimal("0.05"),
    )


def future(
    symbol: str = "ESH2", multiplier: str = "50", expiration: int = T0 + 365 * 24 * HOUR
) -> Any:
    """A futures contract in USD at the venue SIM."""
    return model.FuturesContract(
        model.InstrumentId.from_str(f"{symbol}.SIM"),
        model.Symbol(symbol),
        model.AssetClass.INDEX,
        "ES",
        0,
        expiration,
        model.Currency.from_str("USD"),
        2,
        model.Price.from_str("0.25"),
        model.Quantity.from_str(multiplier),
        model.Quantity.from_str("1"),
        0,
        0,
        margin_init=Decimal("0.1"),
        margin_maint=Decimal("0.05"),
    )


def equity(symbol: str = "AAPL") -> Any:
    """A stock in USD at the venue SIM."""
    make: Any = model.Equity
    return make(
        model.InstrumentId.from_str(f"{symbol}.SIM"),
        model.Symbol(symbol),
        model.Currency.from_str("USD"),
        2,
        model.Price.from_str("0.01"),
        0,
        0,
    )


def option(
    strike: str, kind: str = "CALL", underlying: str = "AAPL", expiration: int = T0 + 6 * MINUTE
) -> Any:
    """An option on 100 stocks at the venue SIM, delivered when it expires in the money."""
    symbol = f"{underlying}{kind[0]}{strike}"
    return model.OptionContract(
        model.InstrumentId.from_str(f"{symbol}.SIM"),
        model.Symbol(symbol),
        model.AssetClass.EQUITY,
        underlying,
        model.OptionKind.from_str(kind),
        model.Price.from_str(strike),
        model.Currency.from_str("USD"),
        0,
        expiration,
        2,
        model.Price.from_str("0.01"),
        model.Quantity.from_str("100"),
        model.Quantity.from_str("1"),
        0,
        0,
    )


def _ticks(tick: str, size: str) -> tuple[Any, ...]:
    digits = [len(text.partition(".")[2]) for text in (tick, size)]
    return (*digits, model.Price.from_str(tick), model.Quantity.from_str(size))


def bars(
    instrument: Any,
    closes: Sequence[str | float],
    start: int = T0,
    *,
    minutes: int = 1,
    volume: str = "1000000",
) -> list[Any]:
    """Flat bars: open, high, low and close are one price. The first one closes a step on."""
    bar_type = model.BarType.from_str(f"{instrument.id}-{minutes}-MINUTE-LAST-EXTERNAL")
    size = instrument.make_qty(float(volume))
    rows = []
    for number, close in enumerate(closes, 1):
        price, ts = instrument.make_price(float(close)), start + number * minutes * MINUTE
        rows.append(model.Bar(bar_type, price, price, price, price, size, ts, ts))
    return rows


def quotes(
    instrument: Any,
    prices: Sequence[tuple[str, str]],
    start: int = T0,
    *,
    step: int = SECOND,
    size: str = "1000000",
) -> list[Any]:
    """Quotes of (bid, ask), a step apart; the first one a step after ``start``."""
    quantity = instrument.make_qty(float(size))
    return [
        model.QuoteTick(
            instrument.id,
            instrument.make_price(float(bid)),
            instrument.make_price(float(ask)),
            quantity,
            quantity,
            start + number * step,
            start + number * step,
        )
        for number, (bid, ask) in enumerate(prices, 1)
    ]


def trades(
    instrument: Any, prices: Sequence[str], start: int = T0, *, step: int = SECOND, size: str = "1"
) -> list[Any]:
    """Trades, a step apart; the first one a step after ``start``."""
    return [
        model.TradeTick(
            instrument.id,
            instrument.make_price(float(price)),
            instrument.make_qty(float(size)),
            model.AggressorSide.BUY,
            model.TradeId(str(number)),
            start + number * step,
            start + number * step,
        )
        for number, price in enumerate(prices, 1)
    ]


@dataclass(frozen=True)
class Market:
    """A catalog with its rows, and how a partition names them."""

    catalog: Path
    rows: int
    data: list[SeriesInputs]
    instruments: list[InstrumentDefinition]
    last: int
    """Instant of the last row."""

    @staticmethod
    def write(catalog: Path, instruments: Sequence[Any], rows: Sequence[Any]) -> Market:
        """Write instruments and rows into an empty folder."""
        catalog.mkdir(parents=True, exist_ok=True)
        engine_catalog = ParquetDataCatalog(str(catalog))
        engine_catalog.write_instruments(list(instruments))
        series: dict[tuple[str, str, str], list[Any]] = {}
        for row in rows:
            series.setdefault(_series(row), []).append(row)
        for (kind, _, _), of_kind in series.items():
            name = {"bars": "bars", "quotes": "quote_ticks", "trades": "trade_ticks"}.get(
                kind, kind
            )
            getattr(engine_catalog, f"write_{name}")(of_kind)
        return Market(
            catalog,
            len(rows),
            [
                SeriesInputs(kind, identifier, instrument_id)
                for kind, identifier, instrument_id in sorted(series)
            ],
            list(map(definition_of, instruments)),
            max(row.ts_init for row in rows),
        )


def _series(row: Any) -> tuple[str, str, str]:
    kinds = {
        "Bar": "bars",
        "QuoteTick": "quotes",
        "TradeTick": "trades",
        "OrderBookDelta": "order_book_deltas",
        "OrderBookDepth": "order_book_depths",
        "MarkPriceUpdate": "mark_prices",
    }
    kind = kinds[type(row).__name__]
    if kind == "bars":
        return kind, str(row.bar_type), str(row.bar_type.instrument_id)
    return kind, str(row.instrument_id), str(row.instrument_id)


def task_inputs(  # noqa: PLR0913 - what a task is made from
    market: Market,
    config: dict[str, Any],
    *,
    venue: dict[str, Any] | None = None,
    currency: str = "USDT",
    start: int = T0,
    end: int | None = None,
    warmup_start: int | None = None,
    data_end: int | None = None,
    **common: Any,
) -> TaskInputs:
    """The inputs of a task on all rows of ``market``; the window ends 1 ns after the last row."""
    content = COMMON | {
        "packages": {"numpy": "", "pyarrow": ""},
        "currency": currency,
        "venue": VENUE | (venue or {}),
        **common,
    }
    partition = PartitionInputs(
        instruments=market.instruments,
        start=start,
        end=market.last + 1 if end is None else end,
        warmup_start=start if warmup_start is None else warmup_start,
        data=market.data,
        data_end=data_end,
    )
    return TaskInputs(CommonInputs.from_document(content), config, partition)


def run(  # noqa: PLR0913 - what a task is made from
    market: Market,
    strategy: str,
    config: dict[str, Any],
    *,
    folder: Path = STRATEGIES,
    code: Sequence[str] = (),
    rows: int | None = None,
    is_decoded: bool = False,
    **settings: Any,
) -> TaskOutput:
    """Run one task of the strategy ``file.py:Class`` in ``folder``; the rest as ``task_inputs``.

    With ``is_decoded`` the engine gets decoded rows, as it does from the second task of a batch on.
    """
    found = find_strategy_code(strategy, folder, code)
    inputs = task_inputs(market, config, **settings)
    ahead = decoded(inputs, market.catalog, market.rows) if is_decoded else None
    expected = market.rows if rows is None else rows
    return run_task(inputs, found, market.catalog, expected, decoded_rows=ahead)


def run_steps(market: Market, steps: dict[str, list[str]], **settings: Any) -> TaskOutput:
    """Run the scripted strategy: at the n-th row that it receives, do ``steps[n]``.

    A step is ``market BUY 1.0``, ``limit SELL 1.0 105.00``, ``close``, ... (see ``Scripted``).
    """
    config = {"data": [item.identifier for item in market.data], "steps": steps}
    kinds = [item.type for item in market.data]
    return run(market, "scripted.py:Scripted", config | {"kinds": kinds}, **settings)


def statuses(output: TaskOutput) -> dict[str, int]:
    """How many orders ended in each status."""
    return dict(Counter(row["status"] for row in output.tables.orders))
