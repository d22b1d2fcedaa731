"""Numbers in place of the ids that the engine draws at random for its own orders.

When a contract expires with a position open, the venue closes it with its own order, whose id ends
in a random UUID; a delivery also has random trade ids. Such orders are numbered in an order that
follows from what they do, so that a repeat of a task gives them the same names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nautilus_trader.model import OrderFilled

if TYPE_CHECKING:
    from collections.abc import Iterable

_DRAWN = re.compile(
    r"((?:EXPIRATION|LIQUIDATION)-.*)[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE
)
_INITIALS = frozenset("ELel")
"""How such ids begin: most others need no look at the rest."""


@dataclass(frozen=True)
class NamedOrders:
    """A task's orders in their stable order, and what artifacts call them."""

    orders: list[Any]
    names: list[str]
    """The id of each order: its own, or a number in place of the random part."""
    drawn: dict[str, str]
    """The names of the engine's own orders, by their random ids."""

    @staticmethod
    def of(orders: Iterable[Any]) -> NamedOrders:
        """Sort by time; at equal times by id, with the engine's own orders last."""
        own: list[tuple[int, str, Any]] = []
        drawn: list[tuple[int, str, Any]] = []
        for order in orders:
            text = str(order.client_order_id)
            item = (order.ts_init, text, order)
            is_own = text[:1] not in _INITIALS or _DRAWN.fullmatch(text) is None
            (own if is_own else drawn).append(item)
        drawn.sort(key=lambda item: (item[0], *_doing(item[2])))
        names = dict(_numbered(text for _, text, _ in drawn))
        # Order ids end in a counter without leading zeros: shorter ones came first.
        ranked = [((ts, False, len(text), text), text, order) for ts, text, order in own]
        ranked += [
            ((ts, True, number, ""), names[text], order)
            for number, (ts, text, order) in enumerate(drawn)
        ]
        ranked.sort(key=lambda item: item[0])
        return NamedOrders(
            [order for _, _, order in ranked], [name for _, name, _ in ranked], names
        )

    def name(self, order_id: Any) -> str:
        """Return what artifacts call the order of this id."""
        text = str(order_id)
        return self.drawn.get(text, text)

    def names_of(self, order_ids: Iterable[Any]) -> list[str]:
        """Return what artifacts call the orders of these ids."""
        texts = list(map(str, order_ids))
        return [self.drawn.get(text, text) for text in texts] if self.drawn else texts

    def trade_ids(self, number: int, count: int) -> list[str] | None:
        """Return ids for the ``count`` fills of one of the engine's orders, else ``None``."""
        if not self.drawn or str(self.orders[number].client_order_id) not in self.drawn:
            return None
        return [f"{self.names[number]}-{fill}" for fill in range(1, count + 1)]


def fills_of(order: Any, filled: int) -> list[OrderFilled]:
    """Return the fills of an order of which so much is filled, in the engine's raw form.

    Reading one event is faster than reading all of them.
    """
    last = order.last_event
    if isinstance(last, OrderFilled) and last.last_qty.raw == filled:
        return [last]
    return [event for event in order.events() if isinstance(event, OrderFilled)]


def _numbered(ids: Iterable[str]) -> Iterable[tuple[str, str]]:
    counts: dict[str, int] = {}
    for text in ids:
        match = _DRAWN.fullmatch(text)
        prefix = text if match is None else match[1]
        counts[prefix] = counts.get(prefix, 0) + 1
        yield text, f"{prefix}{counts[prefix]}"


def _doing(order: Any) -> tuple[Any, ...]:
    """Return what an order did, in place of its id; position ids distinguish equal closings."""
    fills = fills_of(order, order.filled_qty.raw)
    positions = [str(fill.position_id) for fill in fills]
    return (
        str(order.instrument_id),
        order.side.name,
        order.quantity.raw,
        [(fill.ts_event, fill.last_px.raw, fill.last_qty.raw) for fill in fills],
        ",".join(order.tags or ()),
        [(len(text), text) for text in positions],
    )
