"""The sections of a deployment that name an adapter of the engine: data as it comes, and a venue.

An adapter's own settings are checked by the engine's config class of that adapter; keys are never
among them, since adapters read them from the environment.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from trading_runtime.config.fields import Currency, InstrumentName, Model
from trading_runtime.config.venue import OrderRateLimit

AdapterName = Literal[
    "architect_ax",
    "betfair",
    "binance",
    "bybit",
    "coinbase",
    "databento",
    "deribit",
    "derive",
    "dydx",
    "hyperliquid",
    "interactive_brokers",
    "kraken",
    "lighter",
    "okx",
    "polymarket",
    "tardis",
]
"""The engine's adapters of venues and data vendors."""

_SECRET = re.compile(
    r"(^|_)(key|secret|passphrase|password|token|credentials?|mnemonic)(_|$)|private_key|wallet",
    re.IGNORECASE,
)
_BAR = r"^[0-9]+-[A-Z]+-[A-Z]+$"


def _without_secrets(config: dict[str, Any]) -> dict[str, Any]:
    named = sorted(key for key in config if _SECRET.search(key))
    if named:
        raise ValueError(
            f"{', '.join(named)}: keys come from the environment alone; set the variables that "
            "the adapter reads (for Bybit: BYBIT_API_KEY and BYBIT_API_SECRET, or "
            "BYBIT_TESTNET_API_KEY and BYBIT_TESTNET_API_SECRET)"
        )
    return config


def _check_bar(text: str) -> str:
    if not re.fullmatch(_BAR, text):
        raise ValueError(f"{text!r} is not a kind of bar; write it like '1-MINUTE-LAST'")
    return text


AdapterConfig = Annotated[dict[str, Any], AfterValidator(_without_secrets)]
"""Fields of the adapter's config class; none with a key."""

BarKind = Annotated[str, AfterValidator(_check_bar)]
"""Step, unit and price of bars."""

LiveTypeName = Literal["quotes", "trades"]


class AdapterData(Model):
    """Market data as it comes, from one of the engine's adapters."""

    source: Literal["adapter"]
    """An adapter of the engine delivers the data."""
    adapter: AdapterName
    """Which one. Bybit and Binance are tested; the others can be named, untested."""
    environment: str | None = None
    """The venue's environment, such as ``testnet``; the adapter's own default when absent."""
    config: AdapterConfig = Field(default_factory=dict)
    """Further fields of the adapter's data config, such as ``product_types: [linear]``."""
    instruments: Annotated[list[InstrumentName], Field(min_length=1)]
    """Instrument ids of the venue, such as ``BTCUSDT-LINEAR.BYBIT``."""
    types: list[LiveTypeName] = Field(default=["quotes", "trades"])
    """What is subscribed to for each instrument, apart from what the strategy asks for: the age of
    data is measured at it, and it is recorded."""
    bars: list[BarKind] = Field(default_factory=list)
    """Kinds of bars that are subscribed to as well, such as ``1-MINUTE-LAST``."""


class AdapterExecution(Model):
    """A venue that takes orders, by one of the engine's adapters."""

    venue: Literal["adapter"]
    """Orders go to a venue: mode ``live``."""
    adapter: AdapterName
    """Which one. Bybit is tested; the others can be named, untested."""
    environment: str | None = None
    """The venue's environment, such as ``testnet``."""
    config: AdapterConfig = Field(default_factory=dict)
    """Further fields of the adapter's execution config."""
    account_type: Literal["cash", "margin"] = "margin"
    """The type of the account at the venue."""
    currency: Currency
    """Currency in which results are stated."""
    order_rate_limit: OrderRateLimit = OrderRateLimit.model_construct()
    """How many requests the venue takes in a period. Keep it below the venue's own limit."""
    skip_empty_bars: bool = False
    """Whether the engine builds no bar (``INTERNAL``) of a time without data, as in a backtest with
    this key in ``venue``."""
    lookback: Annotated[int, Field(ge=1, le=10_080)] = 1_440
    """How many minutes of orders and fills the venue is asked for when a session starts."""
