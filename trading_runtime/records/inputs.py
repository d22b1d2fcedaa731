"""The inputs of a task, typed: its identity is their digest, and the engine is given no others.

Settings are in the form of the identity's document, in which ``config`` writes them: durations are
texts such as ``1h30m``, amounts of money texts such as ``1.50 USD``. Other numbers are exact.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - read from the annotations of records
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from trading_runtime.records.forms import read_as

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trading_runtime.records.instruments import InstrumentDefinition


@dataclass(frozen=True, slots=True)
class FillInputs:
    """How a venue fills orders."""

    model: str
    prob_fill_on_limit: Decimal
    prob_slippage: Decimal
    seed: int | None


@dataclass(frozen=True, slots=True)
class LatencyInputs:
    """Durations between commands and their effect."""

    base: str | None
    insert: str | None
    update: str | None
    cancel: str | None

    @property
    def is_none(self) -> bool:
        """Whether commands take effect at once."""
        return not (self.base or self.insert or self.update or self.cancel)


@dataclass(frozen=True, slots=True)
class RateLimitInputs:
    """How many requests may be sent in a period."""

    orders: int
    per: str


@dataclass(frozen=True, slots=True)
class FeeTierInputs:
    """Rates from a traded value on."""

    from_value: str
    maker: Decimal
    taker: Decimal


@dataclass(frozen=True, slots=True)
class FeeInputs:
    """What trading costs, by ``model``; what another model takes is at its default."""

    model: str
    maker: Decimal = Decimal(0)
    taker: Decimal = Decimal(0)
    amount: str | None = None
    once_per_order: bool = True
    tiers: tuple[FeeTierInputs, ...] = ()
    period: str | None = None


@dataclass(frozen=True, slots=True)
class HoldingRateInputs:
    """What a position earns for being held, as a share of its value."""

    long: Decimal
    short: Decimal


@dataclass(frozen=True, slots=True)
class SwapInputs:
    """What positions cost or earn for being held overnight."""

    rates: Mapping[str, HoldingRateInputs]
    per: str
    days_in_year: int
    time: str
    triple_day: str | None
    time_zone: str = "UTC"
    """Plans of earlier versions have no other."""


@dataclass(frozen=True, slots=True)
class DividendInputs:
    """What shares pay, by instrument id and ex-date."""

    amounts: Mapping[str, Mapping[str, Decimal]]
    time_zone: str


@dataclass(frozen=True, slots=True)
class LiquidationInputs:
    """When and how a venue closes positions that the account can no longer carry."""

    trigger_ratio: Decimal
    cancel_open_orders: bool
    fee: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueInputs:
    """The simulated venue and the account at it."""

    account_type: str
    balances: tuple[str, ...]
    fees: FeeInputs
    fees_by_instrument: Mapping[str, FeeInputs] = field(default_factory=dict)
    oms_type: str
    base_currency: str | None
    leverage: Decimal
    leverages: Mapping[str, Decimal]
    margin_model: str | None = None
    settlement_prices: Mapping[str, Decimal] = field(default_factory=dict)
    liquidation: LiquidationInputs | None = None
    swap: SwapInputs | None = None
    dividends: DividendInputs | None = None
    book_type: str
    fill: FillInputs
    latency: LatencyInputs
    order_rate_limit: RateLimitInputs
    bar_execution: bool
    bar_adaptive_high_low_ordering: bool
    trade_execution: bool
    liquidity_consumption: bool
    queue_position: bool
    reject_stop_orders: bool
    allow_cash_borrowing: bool
    skip_empty_bars: bool = False


@dataclass(frozen=True, slots=True)
class InstrumentRiskInputs:
    """Limits on the orders in one instrument; ``None`` means no limit."""

    max_order_quantity: Decimal | None = None
    max_order_notional: Decimal | None = None
    max_position_quantity: Decimal | None = None
    max_position_notional: Decimal | None = None
    price_collar: Decimal | None = None
    stale_after: str | None = None


@dataclass(frozen=True, slots=True)
class RiskInputs(InstrumentRiskInputs):
    """Limits that every order is checked against; ``None`` means no limit."""

    max_orders: RateLimitInputs | None = None
    max_daily_loss: Decimal | None = None
    max_loss: Decimal | None = None
    instruments: Mapping[str, InstrumentRiskInputs] = field(default_factory=dict)


RISK_RULES = (
    "stale_after",
    "max_order_quantity",
    "price_collar",
    "max_order_notional",
    "max_position_quantity",
    "max_position_notional",
    "max_loss",
    "max_daily_loss",
    "max_orders",
)
"""In the order in which they are checked; the first that an order breaks refuses it."""


@dataclass(frozen=True, slots=True)
class QueueInputs:
    """Requests above a venue's rate wait."""

    max_wait: str


@dataclass(frozen=True, slots=True)
class CodeInputs:
    """The digests of all code, by owner."""

    runtime: str
    strategy: str


@dataclass(frozen=True, slots=True)
class StrategyInputs:
    """The strategy's class and its config's, as the experiment names them."""

    path: str
    config_path: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonInputs:
    """The inputs that all tasks share: part of every task's identity, and handed to the engine."""

    content: Mapping[str, Any]
    """The document that the others are read from; its digest is part of each task's id."""
    engine: Mapping[str, str]
    """The engine's package and its version."""
    python: str
    """The minor version of Python."""
    system: str
    """The operating system."""
    machine: str
    """The architecture of the processor."""
    packages: Mapping[str, str | None]
    """The version of each package that can change a result; ``None`` if not installed."""
    code: CodeInputs
    strategy: StrategyInputs
    venue: VenueInputs
    """The venue; with several, the main one."""
    venue_name: str
    venues: Mapping[str, VenueInputs] = field(default_factory=dict)
    """Further venues by name."""
    currency: str
    """The currency that results are stated in."""
    seed: int
    equity_interval: int
    """Nanoseconds between samples of the equity."""
    calendar: str = "every_day"
    """Plans of earlier versions have no other."""
    periods_per_year: int | None
    """Daily returns per year; ``None`` if derived from the days that count."""
    at_end: str
    risk: RiskInputs | None = None
    queue: QueueInputs | None = None
    session: Mapping[str, str] | None = None
    """The session that the plan is for; ``None`` for a backtest."""

    @classmethod
    def from_document(cls, content: Mapping[str, Any]) -> Self:
        """Return the inputs that a document states.

        Raises ``ValueError`` naming the place that does not have the right form.
        """
        return read_as(cls, {**content, "content": content}, "common")

    @property
    def all_venues(self) -> dict[str, VenueInputs]:
        """The settings of all venues by name, the main one first."""
        return {self.venue_name: self.venue, **self.venues}

    @property
    def runtime_code(self) -> str:
        """The digest of the runtime's own code."""
        return self.code.runtime

    @property
    def strategy_code(self) -> str:
        """The digest of the strategy's code."""
        return self.code.strategy

    @property
    def strategy_path(self) -> str:
        """The strategy's class as the experiment names it."""
        return self.strategy.path

    @property
    def config_path(self) -> str | None:
        """The class of the strategy's config, where the experiment names it."""
        return self.strategy.config_path

    @property
    def engine_version(self) -> str:
        """The version of NautilusTrader."""
        return self.engine["nautilus_trader"]

    @property
    def has_risk_profile(self) -> bool:
        """Whether a risk profile checks the orders."""
        return self.risk is not None

    @property
    def every_day(self) -> bool:
        """Whether days without data count as returns of zero."""
        return self.calendar == "every_day"


class SeriesInputs(NamedTuple):
    """One series of a partition: its content without its location."""

    type: str
    identifier: str
    instrument_id: str
    schemas: tuple[str, ...] = ()
    """The sha256 of each schema."""
    row_groups: tuple[str, ...] = ()
    """The sha256 of each row group."""


@dataclass(frozen=True, slots=True)
class PartitionInputs:
    """A window with its data; instants are nanoseconds since the epoch."""

    instruments: Sequence[InstrumentDefinition]
    start: int
    end: int
    warmup_start: int
    data: Sequence[SeriesInputs]
    data_end: int | None = None
    """The last row of the dataset's series, where the window is longer and holding is charged."""

    @property
    def charged_until(self) -> int:
        """The last instant at which holding a position is charged."""
        return self.end if self.data_end is None else self.data_end

    def to_document(self) -> dict[str, Any]:
        """Return the partition as the identity's document states it."""
        return {
            "instruments": [item.content for item in self.instruments],
            "start": self.start,
            "end": self.end,
            "warmup_start": self.warmup_start,
            "data": [series._asdict() for series in self.data],
            **({} if self.data_end is None else {"data_end": self.data_end}),
        }


@dataclass(frozen=True, slots=True)
class TaskInputs:
    """Everything that can change a task's result."""

    common: CommonInputs
    config: Mapping[str, Any]
    """The strategy's config with the point's parameters."""
    partition: PartitionInputs

    def to_document(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return the inputs as a result's manifest states them.

        ``config`` is in its encoded form (see ``planning.identity.encode_values``).
        """
        return {
            "common": self.common.content,
            "config": config,
            "partition": self.partition.to_document(),
        }
