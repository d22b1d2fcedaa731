"""What trading costs at the simulated venue: the fee models of an experiment."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from trading_runtime.config.fields import Duration, Model, MoneyText, Number


class MakerTakerFees(Model):
    """A rate of the traded value, by liquidity side."""

    model: Literal["maker_taker"]
    """A rate of the traded value."""
    maker: Number
    """Rate for a resting order, ``0.0002`` for 2 basis points; negative for a rebate."""
    taker: Number
    """Rate when the order took liquidity."""


class FixedFees(Model):
    """A fixed amount per order or per fill."""

    model: Literal["fixed"]
    """A fixed amount."""
    amount: MoneyText
    """Amount with currency, such as ``1.50 USD``."""
    once_per_order: bool = True
    """Charge on the first fill of an order only; otherwise on every fill."""


class PerContractFees(Model):
    """An amount for every contract traded."""

    model: Literal["per_contract"]
    """An amount for every contract."""
    amount: MoneyText
    """Amount with currency per contract, such as ``2.25 USD``."""


class FeeTier(Model):
    """Rates that apply once enough was traded."""

    from_value: MoneyText
    """Traded value from which these rates apply, such as ``1000000 USDT``."""
    maker: Number
    """Rate when the order was resting."""
    taker: Number
    """Rate when the order took liquidity."""


class TieredFees(Model):
    """A rate of the traded value, by liquidity side, that depends on what was traded before."""

    model: Literal["tiered"]
    """A rate of the traded value, in tiers."""
    maker: Number
    """Rate below the first tier, for a resting order."""
    taker: Number
    """Rate below the first tier, for an order that took liquidity."""
    tiers: Annotated[list[FeeTier], Field(min_length=1)]
    """The tiers, from the lowest to the highest. Every task starts below the first."""
    period: Duration | None = None
    """Only what was traded within this time before a fill counts, such as ``30d``; when absent,
    everything the task has traded."""


class NoFees(Model):
    """No fees at all; this must be stated."""

    model: Literal["none"]
    """No fees."""


Fees = Annotated[
    MakerTakerFees | TieredFees | FixedFees | PerContractFees | NoFees, Field(discriminator="model")
]
