"""What data preparation needs to know about an instrument."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from decimal import Decimal


@dataclass(frozen=True)
class InstrumentFacts:
    """An instrument's definition, with its ticks."""

    id: str
    definition: dict[str, Any]
    """As the engine's ``to_dict`` returns it."""
    price_precision: int
    """Digits after the point."""
    price_increment: Decimal
    size_precision: int
    """Digits after the point."""
    size_increment: Decimal
