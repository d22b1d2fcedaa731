"""The outbound queue: requests above the venue's rate wait in their order, and expire."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.engine.market import MINUTE, SECOND, T0, Market, bars, perpetual, run, run_steps

if TYPE_CHECKING:
    from pathlib import Path

    from trading_runtime.engine.simulation.task import TaskOutput

FIRST = T0 + MINUTE
"""The instant of the first bar, at which the steps are taken."""
TWO_A_SECOND = {"order_rate_limit": {"orders": 2, "per": "1s"}}


@pytest.fixture
def minutes(tmp_path: Path) -> Market:
    """Four bars at 100, 101, 102 and 103, a minute apart."""
    instrument = perpetual()
    rows = bars(instrument, ["100", "101", "102", "103"])
    return Market.write(tmp_path / "catalog", [instrument], rows)


def queued(market: Market, steps: dict[str, list[str]], **settings: Any) -> TaskOutput:
    """Run steps at two requests a second; they wait for a minute at most."""
    given = {"venue": TWO_A_SECOND, "queue": {"max_wait": "1m"}} | settings
    return run_steps(market, steps, **given)


def seconds(output: TaskOutput, name: str = "fills", column: str = "ts") -> list[float]:
    """How long after the first bar each row of a table is."""
    return [(ts - FIRST) / SECOND for ts in output.tables.columns[name][column]]


def test_five_orders_at_two_a_second_go_out_at_0_0_1_1_and_2_seconds(minutes: Market) -> None:
    output = queued(minutes, {"1": ["market BUY 1"] * 5})

    assert seconds(output) == [0, 0, 1, 1, 2]
    assert output.queued == {"waited": 3}
    assert output.tables.columns["fills"]["order_id"] == sorted(
        output.tables.columns["fills"]["order_id"]
    )


def test_a_request_that_waited_too_long_is_denied_and_the_strategy_is_told(
    minutes: Market, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    # At 1 s the third and the fourth go out; the fifth has waited for its second by then.
    config = {
        "data": [item.identifier for item in minutes.data],
        "kinds": [item.type for item in minutes.data],
        "steps": {"1": ["market BUY 1"] * 5},
        "log": str(log),
    }
    output = run(
        minutes, "scripted.py:Scripted", config, venue=TWO_A_SECOND, queue={"max_wait": "1s"}
    )
    orders = output.tables.columns["orders"]

    assert seconds(output) == [0, 0, 1, 1]
    assert output.queued == {"waited": 3, "expired": 1}
    assert orders["status"].count("DENIED") == 1
    assert [text for text in orders["reason"] if text] == ["QUEUE max_wait: not sent within 1s"]
    assert "OrderDenied" in log.read_text()


def test_a_cancellation_goes_before_orders_that_wait(minutes: Market) -> None:
    steps = {"1": ["limit BUY 1 90.0", "market BUY 1", "market BUY 1", "market BUY 1", "cancel 0"]}
    output = queued(minutes, steps)
    orders = output.tables.columns["orders"]
    cancelled = [
        (ts - FIRST) / SECOND
        for ts, status in zip(orders["ts_last"], orders["status"], strict=True)
        if status == "CANCELED"
    ]

    # At 0 s the limit order and one at market; at 1 s the cancellation and one; then the last.
    assert seconds(output) == [0, 1, 2]
    assert cancelled == [1]
    assert output.queued == {"waited": 3}


def test_an_order_that_is_cancelled_while_it_waits_is_never_sent(minutes: Market) -> None:
    steps = {"1": ["market BUY 1", "market BUY 1", "limit BUY 1 90.0", "market BUY 1", "cancel 2"]}
    output = queued(minutes, steps)
    orders = output.tables.columns["orders"]

    # Its turn goes to the one behind it.
    assert seconds(output) == [0, 0, 1]
    assert output.queued == {"waited": 2, "dropped": 1}
    assert orders["status"].count("DENIED") == 1


def test_changes_count_and_keep_their_place(minutes: Market) -> None:
    steps = {"1": ["limit BUY 1 90.0", "modify 0 91.0", "modify 0 92.0", "market BUY 1"]}
    output = queued(minutes, steps)

    assert output.queued == {"waited": 2}
    assert seconds(output) == [1]
    assert str(output.tables.columns["orders"]["price"][0]).startswith("92")


def test_limits_on_risk_are_checked_again_when_its_turn_comes(minutes: Market) -> None:
    limits = {"max_position_quantity": "3"}
    output = queued(minutes, {"1": ["market BUY 1"] * 5}, risk=limits)
    reasons = [text for text in output.tables.columns["orders"]["reason"] if text]

    # Each fits beside what was held when it came, but not all of them do together.
    assert seconds(output) == [0, 0, 1]
    assert reasons == ["RISK max_position_quantity: 4 is above 3"] * 2


def test_what_waits_at_the_end_is_denied(minutes: Market) -> None:
    output = queued(minutes, {"4": ["market BUY 1"] * 3})

    assert len(output.tables.columns["fills"]["ts"]) == 2
    assert [text for text in output.tables.columns["orders"]["reason"] if text] == [
        "QUEUE end: the end came before its turn"
    ]


def test_orders_at_the_end_of_a_window_do_not_wait(minutes: Market) -> None:
    output = queued(minutes, {"4": ["market BUY 1"] * 2}, at_end="close")

    assert output.tables.columns["positions"]["ts_closed"] != [None]


@pytest.mark.parametrize("interval", [SECOND, 7 * SECOND, MINUTE, 60 * MINUTE])
def test_equity_may_be_stated_at_any_interval(minutes: Market, interval: int) -> None:
    steps = {"1": ["market BUY 1"] * 5, "2": ["market SELL 1"] * 6}
    output = queued(minutes, steps, equity_interval=interval)

    assert seconds(output) == [0, 0, 1, 1, 2, 60, 60, 61, 61, 62, 62]


def test_a_request_whose_turn_comes_with_a_row_goes_after_it(minutes: Market) -> None:
    limit = {"order_rate_limit": {"orders": 1, "per": "1m"}}
    output = queued(minutes, {"1": ["market BUY 1"] * 2}, venue=limit, queue={"max_wait": "5m"})

    assert seconds(output) == [0, 60]
    # Before that row it would have been filled at 100.
    assert [fill["price"] for fill in output.tables.fills] == [100, 101]


def test_without_a_queue_what_is_above_the_rate_is_denied(minutes: Market) -> None:
    output = run_steps(minutes, {"1": ["market BUY 1"] * 5}, venue=TWO_A_SECOND)

    assert seconds(output) == [0, 0]
    assert output.queued is None
