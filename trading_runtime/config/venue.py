"""The simulated venue of an experiment: account, fees, fills, latency, limits."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from trading_runtime.config.fees import Fees
from trading_runtime.config.fields import (
    Currency,
    Day,
    Duration,
    InstrumentName,
    Model,
    MoneyText,
    Number,
    TimeOfDay,
    TimeZone,
    check_number,
)

Probability = Annotated[Decimal, Field(strict=False, ge=0, le=1), AfterValidator(check_number)]
"""A probability between 0 and 1."""

Leverage = Annotated[Decimal, Field(strict=False, ge=1), AfterValidator(check_number)]
"""How many times its margin an account may trade."""


FillModel = Literal[
    "default",
    "best_price",
    "one_tick_slippage",
    "probabilistic",
    "two_tier",
    "three_tier",
    "limit_order_partial",
    "size_aware",
    "volume_sensitive",
    "competition_aware",
    "market_hours",
]
"""The engine's fill models."""


class FillSettings(Model):
    """How the simulated venue fills orders."""

    model: FillModel = "default"
    """One of the engine's fill models."""
    prob_fill_on_limit: Probability = Decimal(1)
    """Chance that a resting limit order is filled when a bar touches its price or a trade reaches
    it; a quote that reaches it fills it in any case."""
    prob_slippage: Probability = Decimal(0)
    """Chance that a fill slips by one tick, even past the price of a limit order."""
    seed: Annotated[int, Field(ge=0)] | None = None
    """Seed of these chances; the experiment's seed when absent."""


class LatencySettings(Model):
    """Time between the strategy's command and its effect at the venue."""

    base: Duration | None = None
    """Added to each of the others."""
    insert: Duration | None = None
    """Of a new order."""
    update: Duration | None = None
    """Of a change to an order."""
    cancel: Duration | None = None
    """Of a cancellation."""


class OrderRateLimit(Model):
    """How many orders may be sent in a period of simulated time; the excess is denied, or waits."""

    orders: Annotated[int, Field(ge=1)] = 100
    """New orders, and separately order changes, allowed in the period. With a ``queue`` section:
    requests of any kind, cancellations included."""
    per: Duration = "1s"
    """The period, in whole seconds."""


class HoldingRates(Model):
    """What a position earns for being held, as a share of its value; negative for a cost."""

    long: Number
    """Of a position that was bought, such as ``-0.0001``."""
    short: Number
    """Of a position that was sold short; a borrowing cost is negative."""


class SwapSettings(Model):
    """What positions cost or earn for being held overnight: swap, or borrowing costs."""

    rates: Annotated[dict[InstrumentName, HoldingRates], Field(min_length=1)]
    """Rates by instrument id; instruments that are not listed cost nothing to hold."""
    per: Literal["day", "year"] = "day"
    """Whether a rate is for one day, or for a year of ``days_in_year`` such days."""
    days_in_year: Literal[360, 365] = 365
    """Days that a rate for a year is divided by."""
    time: TimeOfDay = "00:00"
    """When open positions are charged each day: ``17:00`` with the zone ``America/New_York``."""
    time_zone: TimeZone = "UTC"
    """The zone of this time, with its daylight saving."""
    triple_day: Literal["monday", "tuesday", "wednesday", "thursday", "friday"] | None = None
    """On this weekday (of that time, in its zone) three days are charged, and none on Saturday and
    Sunday; when absent, every day is charged once."""


class DividendSettings(Model):
    """Cash dividends: long positions receive them, short ones pay them."""

    amounts: Annotated[
        dict[
            InstrumentName,
            Annotated[dict[Day, Annotated[Number, Field(gt=0)]], Field(min_length=1)],
        ],
        Field(min_length=1),
    ]
    """What a share pays, by instrument id and ex-date, in the terms of the data's prices:
    ``{"AAPL.XNAS": {"2024-02-09": 0.24}}``. It is due to positions that are open before the
    share's first row on that day or later."""
    time_zone: TimeZone = "UTC"
    """The zone in which these days begin."""


class LiquidationSettings(Model):
    """When and how the venue closes positions that the account can no longer carry."""

    trigger_ratio: Annotated[Decimal, Field(strict=False, gt=0), AfterValidator(check_number)] = (
        Decimal(1)
    )
    """All positions that settle in a currency are closed once its balance plus their unrealised
    profit is at or below their maintenance margin times this."""
    cancel_open_orders: bool = True
    """Whether waiting orders in these instruments are cancelled first."""
    fee: Number | None = None
    """Rate of the closed value, charged instead of the fees; absent: the usual fees."""


class VenueSettings(Model):
    """The simulated venue and the account at it."""

    account_type: Literal["cash", "margin"]
    """``cash`` cannot sell what it does not have; ``margin`` can, with leverage."""
    balances: Annotated[list[MoneyText], Field(min_length=1)]
    """What the account holds at the start of every task, such as ``["100000 USDT"]``."""
    fees: Fees
    """What trading costs; no default, since results without fees mislead."""
    fees_by_instrument: dict[InstrumentName, Fees] = Field(default_factory=dict)
    """What trading costs by instrument id, instead of ``fees``."""
    oms_type: Literal["netting", "hedging"] = "netting"
    """``netting``: one position per instrument. ``hedging``: one position per opening order."""
    base_currency: Currency | None = None
    """Currency of a single-currency account; absent: the account holds several."""
    leverage: Leverage = Decimal(1)
    """Leverage for instruments that are not listed in ``leverages``; margin accounts only."""
    leverages: dict[str, Leverage] = Field(default_factory=dict)
    """Leverage by instrument id."""
    margin_model: Literal["leveraged", "standard"] | None = None
    """``leveraged`` (also when absent): a position takes its value / leverage x the instrument's
    margin rate. ``standard``: its value x the rate, whatever the leverage."""
    settlement_prices: dict[InstrumentName, Number] = Field(default_factory=dict)
    """Price at which positions are closed when their contract expires, by instrument id; the last
    price for contracts that are not listed."""
    liquidation: LiquidationSettings | None = None
    """Whether the venue closes positions of a margin account whose equity is too small."""
    swap: SwapSettings | None = None
    """What holding positions costs or earns, day by day."""
    dividends: DividendSettings | None = None
    """What shares pay in cash."""
    book_type: Literal["L1_MBP", "L2_MBP", "L3_MBO"] = "L1_MBP"
    """Depth of the venue's order book; L2 and L3 need order book data."""
    fill: FillSettings = FillSettings.model_construct()
    """How orders are filled."""
    latency: LatencySettings = LatencySettings.model_construct()
    """How long commands take."""
    order_rate_limit: OrderRateLimit = OrderRateLimit.model_construct()
    """How many orders may be sent."""
    bar_execution: bool = True
    """Whether bars move the market that orders are filled against."""
    bar_adaptive_high_low_ordering: bool = False
    """Guess from each bar whether its high or low came first; else open, high, low, close."""
    trade_execution: bool = True
    """Whether trades move the market that orders are filled against."""
    liquidity_consumption: bool = False
    """Whether a fill uses up the size it was filled against until the market changes."""
    queue_position: bool = False
    """Whether a limit order queues behind the size that was there before it."""
    reject_stop_orders: bool = True
    """Whether stop orders that would trigger at once are rejected."""
    allow_cash_borrowing: bool = False
    """Whether a cash account may go below zero."""
    skip_empty_bars: bool = False
    """Whether the engine builds no bar (``INTERNAL``) of a time without data, such as a night that
    is closed; else it builds one that repeats the last close, and the strategy may trade on it."""

    @property
    def currencies(self) -> list[str]:
        """The currency of each balance."""
        return [balance.split(" ")[1] for balance in self.balances]
