"""Instruments as a dataset is made of them: what a file states, and what the engine makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from decimal import Decimal

    from trading_runtime.records.instruments import InstrumentDefinition


@dataclass(frozen=True, kw_only=True)
class StatedInstrument:
    """What an instrument file states of a stock, a pair or a perpetual; the rest has defaults."""

    type: str
    id: str
    base_currency: str | None = None
    quote_currency: str | None = None
    currency: str | None = None
    price_increment: str
    size_increment: str | None = None
    settlement_currency: str | None = None
    is_inverse: bool | None = None
    multiplier: str | None = None


@dataclass(frozen=True)
class InstrumentFacts:
    """An instrument's definition, with its ticks."""

    id: str
    definition: InstrumentDefinition
    price_precision: int
    """Digits after the point."""
    price_increment: Decimal
    size_precision: int
    """Digits after the point."""
    size_increment: Decimal
