"""Amounts in the engine's raw form, whole numbers of 1e-16, which is also how they are stored."""

from __future__ import annotations

from decimal import Decimal

from trading_runtime.engine.rates import EXACT

DECIMAL_PLACES = 16
_SCALE = Decimal(1).scaleb(-DECIMAL_PLACES)


def exact(value: Decimal) -> Decimal:
    """Return ``value`` with the 16 decimal places that are stored, rounded half to even."""
    return value.quantize(_SCALE, context=EXACT)


def to_raw(value: Decimal) -> int:
    """Return ``value`` as it is stored."""
    return int(exact(value).scaleb(DECIMAL_PLACES, EXACT))


def from_raw(raw: int) -> Decimal:
    """Return the amount that ``raw`` stands for."""
    return Decimal(raw).scaleb(-DECIMAL_PLACES, EXACT)
