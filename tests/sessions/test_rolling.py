"""What an account holds after events that its last session did not save."""

from __future__ import annotations

from trading_runtime.records.account import AccountState, HeldPosition
from trading_runtime.records.instruments import InstrumentDefinition
from trading_runtime.records.journal import JournalEntry
from trading_runtime.sessions.rolling import rolled_forward


def test_a_share_that_was_bought_takes_cash_alone() -> None:
    share = InstrumentDefinition.from_document(
        {"id": "A.XNAS", "type": "Equity", "currency": "USD"}
    )
    state = AccountState(
        session="first", terms="", at=0, is_complete=False, balances=["10000 USD"], positions=[],
        orders=[], strategy={}, lines=0, sessions=[],
    )  # fmt: skip
    payload = {
        "at": "2024-01-02T00:00:00Z", "order_id": "1", "trade_id": "2", "instrument": "A.XNAS",
        "side": "BUY", "quantity": "10", "price": "100.5", "fee": "1 USD", "liquidity": "TAKER",
    }  # fmt: skip
    fill = JournalEntry(0, "2024-01-02T00:00:01Z", "session-1", "order_filled", payload, "")

    rolled = rolled_forward(state, [fill], {share.id: share}, is_cash=True)

    # 10,000 - 10 x 100.5 - 1
    assert rolled.balances == ["8994 USD"]
    assert rolled.positions == [HeldPosition("A.XNAS", "10", "100.5")]
