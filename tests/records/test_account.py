"""What an account holds is checked where it is read; a damaged lease belongs to no one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from trading_runtime.records.account import (
    AccountState,
    HeldPosition,
    LeaseRecord,
    RestingOrder,
    parse_account,
    parse_lease,
)

STATE = AccountState(
    session="one",
    terms="0" * 64,
    at=5,
    is_complete=False,
    balances=("10 USDT",),
    positions=(HeldPosition("BTC.SIM", "-0.5", "100.25"),),
    orders=(RestingOrder("O-1", "BTC.SIM", "BUY", "LIMIT", "1", "99", None, "GTC", False),),  # noqa: FBT003 - a field
    strategy={"seen": "AQI="},
    lines=7,
    sessions=("one",),
)


def changed(**keys: Any) -> bytes:
    """Return the stored state with some keys changed."""
    return json.dumps(json.loads(STATE.to_json()) | keys).encode()


def test_an_account_is_read_as_it_was_written() -> None:
    assert parse_account(STATE.to_json()) == STATE
    assert STATE.saved == {"seen": b"\x01\x02"}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"format": 2, "balances": {"USDT": "10"}}, "has format 2, and this version reads 1"),
        ({"at": "5"}, "at is of the wrong type"),
        ({"orders": [{"order_id": "O-1"}]}, "orders[0].instrument is missing"),
        (
            {"positions": [{"instrument": "A", "quantity": "x", "average_price": "1"}]},
            "positions[0]: 'x' is no number",
        ),
        (
            {"positions": [{"instrument": "A", "quantity": "1", "average_price": ""}]},
            "positions[0]: '' is no number",
        ),
        ({"balances": ["much USDT"]}, "balances[0]: 'much' is no number"),
        ({"balances": ["NaN USDT"]}, "balances[0]: 'NaN' is no number"),
        ({"balances": ["1 USDT", "2 USDT"]}, "balances: 'USDT' is there twice"),
        ({"strategy": {"seen": "AQI"}}, "strategy.seen: 'AQI' is no base64"),
        (
            {"losses": {"first": "1", "midnight": 0, "at_midnight": "x", "reached": {}}},
            "losses: 'x' is no number",
        ),
    ],
)
def test_damage_to_an_account_is_named_by_its_place(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        parse_account(changed(**keys))

    assert str(refused.value) == message


@pytest.mark.parametrize("content", [b"", b"[]", b'{"until": "soon"}', b"{}"])
def test_a_damaged_lease_belongs_to_nobody(content: bytes) -> None:
    assert parse_lease(content) == LeaseRecord(holder="", until=0.0)
