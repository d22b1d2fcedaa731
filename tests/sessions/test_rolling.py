"""What an account holds after events that its last session did not save."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from trading_runtime.errors import UsageError
from trading_runtime.records.account import AccountState, HeldPosition, OrderTerms, RestingOrder
from trading_runtime.records.instruments import InstrumentDefinition
from trading_runtime.records.journal import JournalEntry
from trading_runtime.sessions.rolling import rolled_forward

if TYPE_CHECKING:
    from collections.abc import Sequence

SHARE = InstrumentDefinition.from_document({"id": "A.XNAS", "type": "Equity", "currency": "USD"})


def state_with(orders: Sequence[RestingOrder] = (), lines: int = 0) -> AccountState:
    """Return an account without positions."""
    return AccountState(
        session="first", terms="", at=0, is_complete=False, balances=["10000 USD"], positions=[],
        orders=orders, strategy={}, lines=lines, sessions=[],
    )  # fmt: skip


def journal(*events: tuple[str, dict[str, Any]]) -> list[JournalEntry]:
    """Return these events as lines of one chain."""
    return [
        JournalEntry(number, "2024-01-02T00:00:01Z", "session-1", event, payload, "")
        for number, (event, payload) in enumerate(events)
    ]


def test_a_share_that_was_bought_takes_cash_alone() -> None:
    state = state_with()
    payload = {
        "at": "2024-01-02T00:00:00Z", "order_id": "1", "trade_id": "2", "instrument": "A.XNAS",
        "side": "BUY", "quantity": "10", "price": "100.5", "fee": "1 USD", "liquidity": "TAKER",
    }  # fmt: skip
    fill = journal(("order_filled", payload))

    rolled = rolled_forward(state, fill, {SHARE.id: SHARE}, is_cash=True)

    # 10,000 - 10 x 100.5 - 1
    assert rolled.balances == ["8994 USD"]
    assert rolled.positions == [HeldPosition("A.XNAS", "10", "100.5")]
    with pytest.raises(UsageError, match=r"'first' traded A\.XNAS, which the data does not have"):
        rolled_forward(state, fill, {}, is_cash=True)


def test_an_order_that_was_changed_keeps_what_was_filled_and_its_new_trigger() -> None:
    stop = RestingOrder(
        *("1", "A.XNAS", "SELL", "STOP_MARKET", "7", None, "90", "GTC"), reduce_only=True
    )
    state = state_with([stop], lines=1)
    fill = {
        "at": "2024-01-02T00:00:00Z", "order_id": "1", "trade_id": "2", "instrument": "A.XNAS",
        "side": "SELL", "quantity": "3", "price": "90", "fee": "0 USD", "liquidity": "TAKER",
    }  # fmt: skip
    # Of 10, 3 were filled before the account was saved; then 2 more, and the trigger is moved.
    change = {"order_id": "1", "quantity": "10", "trigger_price": "95"}
    entries = journal(
        ("order_filled", fill),
        ("order_filled", fill | {"quantity": "2"}),
        ("order_updated", change),
    )

    [left] = rolled_forward(state, entries, {"A.XNAS": SHARE}, is_cash=False).orders

    assert (left.quantity, left.trigger_price) == ("5", "95")


def test_orders_that_wait_for_a_fill_or_a_trigger_are_kept_before_the_venue_accepts_them() -> None:
    def sent(order_id: str, **terms: Any) -> tuple[str, dict[str, Any]]:
        return "order_submitted", {
            "order_id": order_id, "instrument": "A.XNAS", "side": "BUY", "type": "LIMIT",
            "quantity": "1", "price": "9", "time_in_force": "GTC", "terms": terms,
        }  # fmt: skip

    filled = {
        "at": "2024-01-02T00:00:00Z", "order_id": "triggered", "trade_id": "1",
        "instrument": "A.XNAS", "side": "BUY", "quantity": "1", "price": "9", "fee": "0 USD",
        "liquidity": "TAKER",
    }  # fmt: skip

    entries = journal(
        sent("entry", contingency_type="OTO", linked_order_ids=["stop"]),
        sent("stop", parent_order_id="entry"),
        sent("late", emulation_trigger="LAST_PRICE"),
        sent("gone", emulation_trigger="LAST_PRICE"),
        sent("denied", emulation_trigger="LAST_PRICE"),
        sent("alone", parent_order_id="denied"),
        sent("lost", post_only=True),
        sent("triggered", emulation_trigger="LAST_PRICE"),
        ("order_accepted", {"order_id": "entry"}),
        ("order_ended", {"order_id": "gone", "how": "canceled"}),
        ("order_denied", {"order_id": "denied", "rule": "engine", "message": "no"}),
        ("order_filled", filled),
        ("order_updated", {"order_id": "late", "price": "8"}),
    )

    rolled = rolled_forward(state_with(), entries, {SHARE.id: SHARE}, is_cash=False)

    assert [(order.order_id, order.terms) for order in rolled.orders] == [
        ("entry", OrderTerms(contingency_type="OTO", linked_order_ids=("stop",))),
        ("stop", OrderTerms(parent_order_id="entry")),
        ("late", OrderTerms(emulation_trigger="LAST_PRICE")),
    ]
    assert [order.price for order in rolled.orders] == ["9", "9", "8"]
