"""The risk profile of an experiment: limits that each order is held to before it goes out."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field

from trading_runtime.config.fields import Duration, InstrumentName, Model, check_number
from trading_runtime.config.messages import Finding, nearest
from trading_runtime.config.venue import OrderRateLimit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trading_runtime.config.experiment import Experiment

AboveZero = Annotated[Decimal, Field(strict=False, gt=0), AfterValidator(check_number)]
"""An exact decimal number above zero; in text form too."""


class InstrumentRisk(Model):
    """Limits on the orders in one instrument; what is absent is not limited."""

    max_order_quantity: AboveZero | None = None
    """Largest quantity of one order."""
    max_order_notional: AboveZero | None = None
    """Largest value of one order, in the statistics currency."""
    max_position_quantity: AboveZero | None = None
    """Largest position, long or short, that could result with all working orders filled."""
    max_position_notional: AboveZero | None = None
    """The same as a value at the latest price, in the statistics currency."""
    price_collar: AboveZero | None = None
    """How far an order's own price may lie from the latest price: ``0.05`` for 5 %."""
    stale_after: Duration | None = None
    """No order when the instrument's newest data is older than this."""


class RiskSettings(InstrumentRisk):
    """Limits that every order is held to before it goes out; what is absent is not limited."""

    max_orders: OrderRateLimit | None = None
    """How many orders and changes of orders may go out in a stretch of time."""
    max_daily_loss: AboveZero | None = None
    """Once this is lost since midnight UTC, only orders that reduce a position go out that day."""
    max_loss: AboveZero | None = None
    """The same from the first order of a task (live: of a run), and until its end."""
    instruments: dict[InstrumentName, InstrumentRisk] = Field(default_factory=dict)
    """Other limits for single instruments, by id; what is absent there is as above."""


def check_risk(experiment: Experiment, _: Path) -> Iterator[Finding]:
    """A risk profile limits something, of instruments that are there."""
    risk = experiment.risk
    if risk is None:
        return
    if not any(value for _, value in risk):
        yield Finding(("risk",), "limits nothing; name a limit, or leave the section out")
    for name, limits in risk.instruments.items():
        if not any(value for _, value in limits):
            yield Finding(("risk", "instruments", name), "limits nothing", of_key=True)
        known = experiment.dataset.instruments
        if known and name not in known:
            yield Finding(
                ("risk", "instruments", name),
                "is not among dataset.instruments" + nearest(name, known),
                of_key=True,
            )


def check_builtin_risk(experiment: Experiment, _: Path) -> Iterator[Finding]:
    """A strategy in Rust cannot be guarded, so its orders cannot be held to limits."""
    if experiment.risk is not None and experiment.strategy.path.startswith("builtin:"):
        yield Finding(
            ("risk",),
            "a builtin strategy runs inside the engine, where its orders cannot be held to these "
            "limits; leave the section out, or use a strategy written in Python",
        )
