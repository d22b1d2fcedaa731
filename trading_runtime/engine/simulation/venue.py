"""From an experiment's venue settings to the engine's, and whether the engine accepts them."""

from __future__ import annotations

from decimal import Context, Decimal, localcontext
from typing import TYPE_CHECKING, Any

from nautilus_trader import execution
from nautilus_trader.backtest import BacktestEngineConfig, BacktestVenueConfig
from nautilus_trader.common import LoggerConfig
from nautilus_trader.data import DataEngineConfig
from nautilus_trader.model import InstrumentId, LeveragedMarginModel, StandardMarginModel
from nautilus_trader.persistence import DataCatalogConfig
from nautilus_trader.risk import RiskEngineConfig

from trading_runtime.engine.accounting.cash_flows import CashModule
from trading_runtime.engine.instruments.currencies import currency, money
from trading_runtime.engine.simulation.fees import fee_model
from trading_runtime.engine.strategy.hidden_packages import without_optional_packages
from trading_runtime.engine.strategy.loading import check_configs
from trading_runtime.errors import StrategyError, UsageError
from trading_runtime.planning.identity import decode_values
from trading_runtime.units import NANOSECONDS, parse_duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from nautilus_trader.model import Currency

    from trading_runtime.config.strategy_code import StrategyCode
    from trading_runtime.records.inputs import (
        CommonInputs,
        FillInputs,
        LatencyInputs,
        VenueInputs,
    )


NO_RATE = "1000000000/00:00:01"
"""A rate of orders that nothing reaches."""
_FILL_MODELS = {
    "default": execution.DefaultFillModel,
    "best_price": execution.BestPriceFillModel,
    "one_tick_slippage": execution.OneTickSlippageFillModel,
    "probabilistic": execution.ProbabilisticFillModel,
    "two_tier": execution.TwoTierFillModel,
    "three_tier": execution.ThreeTierFillModel,
    "limit_order_partial": execution.LimitOrderPartialFillModel,
    "size_aware": execution.SizeAwareFillModel,
    "volume_sensitive": execution.VolumeSensitiveFillModel,
    "competition_aware": execution.CompetitionAwareFillModel,
    "market_hours": execution.MarketHoursFillModel,
}


_MARGIN_MODELS = {"leveraged": LeveragedMarginModel, "standard": StandardMarginModel}


def venue_config(
    venue: VenueInputs, name: str, seed: int, key: str = "venue"
) -> BacktestVenueConfig:
    """Return the engine's config of the venue ``name``.

    ``key`` is where its settings are in the experiment. Raises ``UsageError`` when the engine knows
    no such currency or instrument id, keeps an amount to fewer decimal places, or fees are due in a
    currency that the account does not hold.
    """
    try:
        check_amounts(venue, key)
        return BacktestVenueConfig(
            name=name,
            oms_type=venue.oms_type.upper(),
            account_type=venue.account_type.upper(),
            starting_balances=list(venue.balances),
            book_type=venue.book_type,
            base_currency=_currency(venue.base_currency),
            default_leverage=venue.leverage,
            leverages={
                InstrumentId.from_str(instrument): leverage
                for instrument, leverage in venue.leverages.items()
            }
            or None,
            margin_model=_margin_model(venue),
            modules=_modules(venue),
            **_liquidation(venue),
            **matching(venue, seed),
            allow_cash_borrowing=venue.allow_cash_borrowing,
        )
    except (ValueError, TypeError) as error:
        raise UsageError(f"{key}: the engine refuses these settings: {error}") from error


def matching(venue: VenueInputs, seed: int) -> dict[str, Any]:
    """Return how a venue fills orders and what that costs, as keyword arguments of its config.

    A backtest and a paper session take the same ones.
    """
    return {
        "fill_model": fill_model(venue.fill, seed),
        "fee_model": fee_model(venue),
        "latency_model": latency_model(venue.latency),
        "bar_execution": venue.bar_execution,
        "bar_adaptive_high_low_ordering": venue.bar_adaptive_high_low_ordering,
        "trade_execution": venue.trade_execution,
        "liquidity_consumption": venue.liquidity_consumption,
        "queue_position": venue.queue_position,
        "reject_stop_orders": venue.reject_stop_orders,
    }


def check_venue(common: CommonInputs) -> None:
    """Raise ``UsageError`` when the engine refuses a venue of the ``common`` inputs."""
    for name, venue in common.all_venues.items():
        key = "venue" if name == common.venue_name else f"venues.{name}"
        venue_config(venue, name, common.seed, key)
    engine_config(common.venue, "")


def engine_config(
    venue: VenueInputs,
    catalog: str,
    *,
    quotes_from_books: bool = False,
    is_queued: bool = False,
    logging: LoggerConfig | None = None,
) -> BacktestEngineConfig:
    """Return the config of one task's engine, which sees only the data in ``catalog``.

    With ``quotes_from_books`` the engine makes a quote from each change at the top of a book.
    With ``is_queued`` a queue keeps the venue's rate, and the engine denies nothing for it.
    Without ``logging`` it logs nothing, if it is the first engine of its process.
    """
    limit = venue.order_rate_limit
    rate = f"{limit.orders}/{_clock_time(parse_duration(limit.per))}"
    if is_queued:
        rate = NO_RATE
    return BacktestEngineConfig(
        logging=logging or LoggerConfig(bypass_logging=True),
        run_analysis=False,
        risk_engine=RiskEngineConfig(max_order_submit_rate=rate, max_order_modify_rate=rate),
        data_engine=DataEngineConfig(
            time_bars_build_with_no_updates=not venue.skip_empty_bars,
            emit_quotes_from_book=quotes_from_books,
            emit_quotes_from_book_depths=quotes_from_books,
        ),
        catalogs=[DataCatalogConfig(path=catalog, read_only=True)],
    )


def check_amounts(venue: VenueInputs, section: str = "venue") -> None:
    """Raise ``UsageError`` when the engine cannot hold an amount of the venue's settings.

    ``section`` is where they are in the experiment.
    """
    charged = {"fees": venue.fees} | {
        f"fees_by_instrument.{name}": fees for name, fees in venue.fees_by_instrument.items()
    }
    fees = [(f"{key}.amount", item.amount) for key, item in charged.items() if item.amount]
    for key, text in [*(("balances", item) for item in venue.balances), *fees]:
        if money(text).as_decimal() != Decimal(text.split()[0]):
            code = text.split()[1]
            raise UsageError(
                f"{section}.{key}: {text}: the engine counts {code} to "
                f"{currency(code).precision} decimal places; round the amount"
            )
    held = [balance.split()[1] for balance in venue.balances]
    for key, text in fees:
        # The engine would charge nothing, and also drop the fill's profit or loss.
        if text.split()[1] not in held:
            raise UsageError(
                f"{section}.{key}: {text}: the account cannot pay in {text.split()[1]}; "
                f"{section}.balances hold {', '.join(held)}"
            )


def _clock_time(nanoseconds: int) -> str:
    minutes, seconds = divmod(nanoseconds // NANOSECONDS["s"], 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}"


def _currency(code: str | None) -> Currency | None:
    return None if code is None else currency(code)


def _liquidation(venue: VenueInputs) -> dict[str, Any]:
    settings = venue.liquidation
    if settings is None:
        return {}
    return {
        "liquidation_enabled": True,
        "liquidation_trigger_ratio": float(settings.trigger_ratio),
        "liquidation_cancel_open_orders": settings.cancel_open_orders,
    }


def _modules(venue: VenueInputs) -> list[Any] | None:
    moves_cash = venue.swap is not None or venue.dividends is not None
    return [CashModule(venue.base_currency)] if moves_cash else None


def _margin_model(venue: VenueInputs) -> Any:
    name = venue.margin_model
    return None if name is None else _MARGIN_MODELS[name]()


def fill_model(fill: FillInputs, seed: int) -> Any:
    """Return the engine's fill model, with its seed."""
    return _FILL_MODELS[fill.model](
        float(fill.prob_fill_on_limit),
        float(fill.prob_slippage),
        seed if fill.seed is None else fill.seed,
    )


def has_latency(common: CommonInputs) -> bool:
    """Return whether commands take time on their way to a venue of the ``common`` inputs."""
    return not all(venue.latency.is_none for venue in common.all_venues.values())


def latency_model(latency: LatencyInputs) -> Any:
    """Return the engine's latency model, ``None`` without latency."""
    if latency.is_none:
        return None
    base, insert, update, cancel = (
        parse_duration(each or "0s")
        for each in (latency.base, latency.insert, latency.update, latency.cancel)
    )
    return execution.StaticLatencyModel(base, insert, update, cancel)


def check_settings(
    code: StrategyCode, common: CommonInputs, configs: Iterable[Mapping[str, Any]]
) -> dict[str, list[str]]:
    """Make the venue, and the strategy's config for every point, as a task would.

    Returns the texts in the fields that were left at their default, by field.

    ``common`` are the inputs that all tasks share, ``configs`` the encoded values of each point.
    Raises ``UsageError`` when the engine or the strategy refuses them, ``StrategyError`` when the
    strategy's modules raise or import a foreign package, or its config exits while it is created.
    """
    decoded = [decode_values(values) for values in configs]
    try:
        # A strategy that sets a decimal context while it is imported must not affect anything else.
        with localcontext(Context()), without_optional_packages(common.packages):
            check_venue(common)
            return check_configs(code, common.config_path, decoded, common.packages)
    except SystemExit as error:
        raise StrategyError(
            f"{code.file}: the strategy's config called sys.exit() while it was made"
        ) from error
