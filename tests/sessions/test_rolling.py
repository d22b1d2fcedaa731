"""What an account holds after events that its last session did not save."""

from __future__ import annotations

from trading_runtime.records.account import AccountState, HeldPosition, RestingOrder
from trading_runtime.records.instruments import InstrumentDefinition
from trading_runtime.records.journal import JournalEntry
from trading_runtime.sessions.rolling import rolled_forward

SHARE = InstrumentDefinition.from_document({"id": "A.XNAS", "type": "Equity", "currency": "USD"})


def test_a_share_that_was_bought_takes_cash_alone() -> None:
    state = AccountState(
        session="first", terms="", at=0, is_complete=False, balances=["10000 USD"], positions=[],
        orders=[], strategy={}, lines=0, sessions=[],
    )  # fmt: skip
    payload = {
        "at": "2024-01-02T00:00:00Z", "order_id": "1", "trade_id": "2", "instrument": "A.XNAS",
        "side": "BUY", "quantity": "10", "price": "100.5", "fee": "1 USD", "liquidity": "TAKER",
    }  # fmt: skip
    fill = JournalEntry(0, "2024-01-02T00:00:01Z", "session-1", "order_filled", payload, "")

    rolled = rolled_forward(state, [fill], {SHARE.id: SHARE}, is_cash=True)

    # 10,000 - 10 x 100.5 - 1
    assert rolled.balances == ["8994 USD"]
    assert rolled.positions == [HeldPosition("A.XNAS", "10", "100.5")]


def test_an_order_that_was_changed_keeps_what_was_filled_and_its_new_trigger() -> None:
    stop = RestingOrder(
        *("1", "A.XNAS", "SELL", "STOP_MARKET", "7", None, "90", "GTC"), reduce_only=True
    )
    state = AccountState(
        session="first", terms="", at=0, is_complete=False, balances=["10000 USD"], positions=[],
        orders=[stop], strategy={}, lines=1, sessions=[],
    )  # fmt: skip
    fill = {
        "at": "2024-01-02T00:00:00Z", "order_id": "1", "trade_id": "2", "instrument": "A.XNAS",
        "side": "SELL", "quantity": "3", "price": "90", "fee": "0 USD", "liquidity": "TAKER",
    }  # fmt: skip
    # Of 10, 3 were filled before the account was saved; then 2 more, and the trigger is moved.
    change = {"order_id": "1", "quantity": "10", "trigger_price": "95"}
    entries = [
        JournalEntry(number, "2024-01-02T00:00:01Z", "session-1", event, payload, "")
        for number, (event, payload) in enumerate(
            [
                ("order_filled", fill),
                ("order_filled", fill | {"quantity": "2"}),
                ("order_updated", change),
            ]
        )
    ]

    [left] = rolled_forward(state, entries, {"A.XNAS": SHARE}, is_cash=False).orders

    assert (left.quantity, left.trigger_price) == ("5", "95")
