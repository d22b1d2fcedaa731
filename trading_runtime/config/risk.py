"""The risk profile of an experiment: limits that each order must pass before it is sent."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, Field

from trading_runtime.config.fields import Duration, InstrumentName, Model, check_number
from trading_runtime.config.venue import OrderRateLimit

AboveZero = Annotated[Decimal, Field(strict=False, gt=0), AfterValidator(check_number)]
"""An exact decimal number above zero, or its text."""


class InstrumentRisk(Model):
    """Limits on the orders in one instrument; absent means no limit."""

    max_order_quantity: AboveZero | None = None
    """Largest quantity of one order."""
    max_order_notional: AboveZero | None = None
    """Largest value of one order, in the statistics currency."""
    max_position_quantity: AboveZero | None = None
    """Largest position, long or short, that could result with all working orders filled."""
    max_position_notional: AboveZero | None = None
    """The same as a value at the latest price, in the statistics currency."""
    price_collar: AboveZero | None = None
    """How far an order's own price may be from the latest price: ``0.05`` for 5 %."""
    stale_after: Duration | None = None
    """No order when the instrument's newest data is older than this."""


class QueueSettings(Model):
    """Requests above the venue's ``order_rate_limit`` wait instead of being denied."""

    max_wait: Duration = "5s"
    """How long an order or an order change may wait for its turn; then it is denied. Cancellations
    go first, and do not expire."""


class RiskSettings(InstrumentRisk):
    """Limits that every order is checked against before it is sent; absent means no limit."""

    max_orders: OrderRateLimit | None = None
    """How many orders and order changes may be sent in a period."""
    max_daily_loss: AboveZero | None = None
    """Once this much is lost since midnight UTC, only orders that reduce a position are sent that
    day."""
    max_loss: AboveZero | None = None
    """The same, counted from the first order of a task (live: of a run) until its end."""
    instruments: dict[InstrumentName, InstrumentRisk] = Field(default_factory=dict)
    """Other limits for single instruments, by id; absent keys are as above."""
