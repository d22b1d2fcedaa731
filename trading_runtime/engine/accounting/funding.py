"""What a task's positions paid and received for funding."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from nautilus_trader.model import PositionAdjustmentType

if TYPE_CHECKING:
    from nautilus_trader.common import Cache

    from trading_runtime.engine.accounting.valuation import RateHistory


class Funding(NamedTuple):
    """Settlements of funding rates on open positions."""

    amount: Decimal = Decimal(0)
    """Received minus paid, in the statistics currency."""
    settlements: int = 0
    """How often a position was charged or paid."""


NO_FUNDING = Funding()


def settled_funding(cache: Cache, history: RateHistory) -> Funding:
    """Return what was settled, each amount at the exchange rate of its instant.

    Raises ``DataError`` when an exchange rate is missing.
    """
    settled = [
        change.pnl_change.as_decimal()
        * history.rate(change.pnl_change.currency.code, change.ts_event)
        for position in (*cache.position_snapshots(), *cache.positions())
        for change in position.adjustments()
        if change.adjustment_type == PositionAdjustmentType.FUNDING
        and change.pnl_change is not None
    ]
    return Funding(sum(settled, Decimal(0)), len(settled))
