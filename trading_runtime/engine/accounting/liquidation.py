"""Positions that a venue closed because the account could no longer carry them."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from trading_runtime.engine.accounting.valuation import from_raw

if TYPE_CHECKING:
    from trading_runtime.engine.accounting.tables import TaskTables

PREFIX = "LIQUIDATION-"
"""Prefix of the ids of the orders with which a venue closes such positions."""


class Liquidations(NamedTuple):
    """Positions that venues closed in one task."""

    by_instrument: dict[str, int]
    """Number of the venue's own closing orders, by instrument id."""
    fees: Decimal
    """What closing them cost, in the statistics currency; included in all fees."""


NO_LIQUIDATIONS = Liquidations({}, Decimal(0))


def liquidations(tables: TaskTables) -> Liquidations:
    """Return the liquidations among the orders and fills of a task."""
    orders, fills = tables.columns["orders"], tables.columns["fills"]
    closed = Counter(
        name
        for order_id, name in zip(orders["order_id"], orders["instrument_id"], strict=True)
        if order_id.startswith(PREFIX)
    )
    fees = sum(
        fee
        for order_id, fee in zip(fills["order_id"], fills["fee"], strict=True)
        if order_id.startswith(PREFIX)
    )
    return Liquidations(dict(sorted(closed.items())), from_raw(fees))
