"""Messages are counted by what they have in common, in an order that never changes."""

from __future__ import annotations

import pytest

from trading_runtime.message_kinds import counted_kinds, kind_of


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("MARKET_PRICE_UNAVAILABLE: order_type=MARKET", "MARKET_PRICE_UNAVAILABLE"),
        ("REJECTED: too late", "REJECTED"),
        ("RISK price_collar: 5 % off", "RISK price_collar"),
        (
            "STOP order px of 50.0 was in the market: bid=100.0",
            "STOP order px of … was in the market: bid=…",
        ),
        ("No price for AAPL.SIM; will retry", "No price for …; will retry"),
        ("Order O-20240101-1 (06ef3-a1) is unknown\nsecond line", "Order … (…) is unknown"),
        ("", ""),
    ],
)
def test_ids_and_numbers_are_taken_out(message: str, kind: str) -> None:
    assert kind_of(message) == kind


def test_the_rarest_of_many_kinds_are_put_together() -> None:
    counts = {f"kind {letter}": 2 for letter in "abcdefghijklmnopqrst"} | {"rare": 1, "rarer": 1}

    found = counted_kinds(counts)

    assert len(found) == 21
    assert found["other"] == 2
    assert sum(found.values()) == sum(counts.values())
