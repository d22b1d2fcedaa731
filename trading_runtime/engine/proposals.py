"""An order, or a change of one, as the risk profile looks at it; and a refusal of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Container
    from decimal import Decimal

_OF_QUANTITY: tuple[str, ...] = ("max_order_quantity", "max_position_quantity")
_OF_PRICE: tuple[str, ...] = ("price_collar", "max_order_notional", "max_position_notional")


class Refusal(NamedTuple):
    """The rule that an order broke, and how."""

    rule: str
    text: str

    @property
    def reason(self) -> str:
        """What the order's denial says."""
        return f"RISK {self.rule}: {self.text}"


@dataclass(frozen=True)
class Proposal:
    """What a strategy wants to send."""

    order_id: Any
    instrument_id: Any
    is_buy: bool
    quantity: Decimal
    open_quantity: Decimal
    """What is not filled yet."""
    prices: tuple[Decimal, ...]
    """Its limit price, if it has one, then its trigger price."""
    has_limit: bool
    only_reduces: bool
    is_quote_quantity: bool

    @staticmethod
    def of(order: Any, quantity: Any = None, price: Any = None, trigger: Any = None) -> Proposal:
        """Return an order as it is, or as it would be with another quantity or prices."""
        limit = price if price is not None else getattr(order, "price", None)
        trigger = trigger if trigger is not None else getattr(order, "trigger_price", None)
        total = (quantity if quantity is not None else order.quantity).as_decimal()
        return Proposal(
            order.client_order_id,
            order.instrument_id,
            order.side.name == "BUY",
            total,
            total - order.filled_qty.as_decimal(),
            tuple(item.as_decimal() for item in (limit, trigger) if item is not None),
            limit is not None,
            order.is_reduce_only,
            order.is_quote_quantity,
        )

    @property
    def sign(self) -> int:
        """1 when it buys, -1 when it sells."""
        return 1 if self.is_buy else -1

    def is_beside(self, other: Proposal) -> bool:
        """Return whether both move the position the same way."""
        return self.instrument_id == other.instrument_id and self.is_buy == other.is_buy

    def needs_price(self, limits: Container[str]) -> str | None:
        """Return the first rule in ``limits`` that says nothing without the latest price."""
        needing = _OF_QUANTITY if self.is_quote_quantity else ()
        needing += _OF_PRICE if self.prices else _OF_PRICE[1:]
        return next((rule for rule in needing if rule in limits), None)

    def in_base(self, quantity: Decimal, price: Decimal | None) -> Decimal:
        """Return ``quantity`` of this order in the instrument's own unit."""
        return quantity / price if self.is_quote_quantity and price else quantity

    def worst_price(self, latest: Decimal | None, *, is_inverse: bool) -> Decimal | None:
        """Return the price at which the order would be worth most.

        A buying order fills at its limit or lower, a selling one at its limit or higher; an
        inverse contract is worth more at a lower price.
        """
        if not self.prices or latest is None:
            return latest
        own = self.prices[0]
        if self.has_limit and self.is_buy != is_inverse:
            return own
        return min(own, latest) if is_inverse else max(own, latest)

    def distance(self, latest: Decimal | None) -> Decimal | None:
        """Return how far its own prices lie from the latest one, as a share of that."""
        if not self.prices or not latest:
            return None
        return max(abs(own - latest) for own in self.prices) / abs(latest)
