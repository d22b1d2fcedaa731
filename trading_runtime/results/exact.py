"""Decimal arithmetic with one precision everywhere, and how its results are stored."""

from __future__ import annotations

import decimal
from decimal import Decimal
from typing import TYPE_CHECKING

from trading_runtime.canonical import decimal_text

if TYPE_CHECKING:
    from collections.abc import Iterable

EXACT = decimal.Context(prec=80, rounding=decimal.ROUND_HALF_EVEN)
"""Sums of money are exact in it, and a strategy's changes to its own context do not matter."""

TWELVE_DIGITS = decimal.Context(prec=12, rounding=decimal.ROUND_HALF_EVEN)
"""The number of significant digits of stored statistics."""

MONEY_STEP = Decimal("1e-16")
"""The smallest amount that is stored."""


def amounts(stored: Iterable[int]) -> list[Decimal]:
    """Return amounts given as whole numbers of 1e-16."""
    scale = EXACT.scaleb
    return [scale(number, -16) for number in stored]


def rounded(value: Decimal | None) -> float | None:
    """Return ``value`` as a float of 12 significant digits."""
    return None if value is None else float(TWELVE_DIGITS.plus(value)) + 0.0


def money_text(value: Decimal) -> str:
    """Return ``value`` as a decimal string of at most 16 decimal places (half-even)."""
    return decimal_text(value.quantize(MONEY_STEP, context=EXACT))
