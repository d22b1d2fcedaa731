"""Decimal arithmetic of one precision everywhere, and how its outcomes are stored."""

from __future__ import annotations

import decimal
from decimal import Decimal
from typing import TYPE_CHECKING

from trading_runtime.canonical import decimal_text

if TYPE_CHECKING:
    from collections.abc import Iterable

EXACT = decimal.Context(prec=80, rounding=decimal.ROUND_HALF_EVEN)
"""Sums of money are exact in it, and nothing that a strategy does to its own context matters."""

TWELVE_DIGITS = decimal.Context(prec=12, rounding=decimal.ROUND_HALF_EVEN)
"""The digits that statistics are stored with."""

MONEY_STEP = Decimal("1e-16")
"""The smallest amount that is stored."""


def amounts(stored: Iterable[int]) -> list[Decimal]:
    """Return amounts that are given in whole numbers of 1e-16."""
    scale = EXACT.scaleb
    return [scale(number, -16) for number in stored]


def rounded(value: Decimal | None) -> float | None:
    """Return ``value`` as a float of 12 significant digits."""
    return None if value is None else float(TWELVE_DIGITS.plus(value)) + 0.0


def money_text(value: Decimal) -> str:
    """Return ``value`` as a decimal text of at most 16 decimal places (half-even)."""
    return decimal_text(value.quantize(MONEY_STEP, context=EXACT))
