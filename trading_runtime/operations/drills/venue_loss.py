"""Drill: a live session's venue is gone while it fills orders, and comes back."""

from __future__ import annotations

import os
import signal
import time
from decimal import Decimal
from itertools import takewhile
from typing import TYPE_CHECKING

from trading_runtime.operations.drills.running import waited_for
from trading_runtime.operations.drills.sessions import journalled
from trading_runtime.operations.stand_in.bybit import TESTNET_KEYS, BybitProtocol, live_sections
from trading_runtime.operations.stand_in.exchange import Exchange
from trading_runtime.operations.stand_in.serving import StandInVenue
from trading_runtime.records.journal import entries_of
from trading_runtime.records.session_events import (
    OrderAccepted,
    OrderDenied,
    OrderEnded,
    OrderFilled,
    OrderRejected,
    OrderSubmitted,
    PositionChanged,
    VenueBack,
    VenueLost,
)
from trading_runtime.units import parse_instant

if TYPE_CHECKING:
    from trading_runtime.operations.drills.running import Steps
    from trading_runtime.operations.drills.scratch import DrillFolder

SABOTAGE = """
from trading_runtime.sessions.watching import HealthWatch
HealthWatch._socket = lambda self, endpoint, is_connected: None
"""
"""Nothing notices that a connection is lost."""
_SYMBOL, _INSTRUMENT = "BTCUSDT", "BTCUSDT-LINEAR.BYBIT"
_PRICES = {_SYMBOL: "46000.0"}
_BETWEEN = 0.25
"""Seconds between bars, each of which brings an order."""
_ORDERS_FIRST = 6
_NOTICED = 5_000_000_000
"""Nanoseconds after which a loss that nothing has noticed is no longer excused."""
_PATIENCE = 60.0
_STOPPED = 128 + signal.SIGTERM


def drill(scratch: DrillFolder, steps: Steps) -> None:
    """Fill every order during the loss, and compare with the venue's own record."""
    exchange = Exchange(_PRICES)
    elsewhere = BybitProtocol(Exchange(_PRICES))
    elsewhere.bar_topic_step = _BETWEEN
    # Prices have a server of their own, so that orders are wanted during the loss.
    with StandInVenue(BybitProtocol(exchange)) as venue, StandInVenue(elsewhere) as prices:
        scratch.write_deployment(
            config={
                "bar_type": f"{_INSTRUMENT}-1-MINUTE-LAST-EXTERNAL",
                "instrument_id": _INSTRUMENT,
                "resting": True,
                "price": "40000.0",
            },
            pace="real",
            mode="live",
            risk={"max_order_quantity": 1},
            stale_after="1m",
            **live_sections(_INSTRUMENT, venue, prices),
        )
        process = scratch.start(
            "trade", "drill.json", "--run-id", "drill", "--live", variables=TESTNET_KEYS
        )
        try:
            accepted = _accepted(scratch)
            if not steps.expect("orders go out", accepted, f"{len(accepted)} at first"):
                return
            _lose(scratch, steps, venue, exchange)
            _find_again(scratch, steps, exchange, accepted)
            process.send_signal(signal.SIGTERM)
            waited_for(lambda: process.poll() is not None, _PATIENCE)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    code = process.returncode
    steps.expect("the session ran until it was stopped", code == _STOPPED, f"exit code {code}")


def _accepted(scratch: DrillFolder) -> set[str]:
    """Return the orders that the venue has accepted, once they are some."""
    waited_for(lambda: len(journalled(scratch, OrderAccepted)) >= _ORDERS_FIRST, _PATIENCE)
    return {item.order_id for item in journalled(scratch, OrderAccepted)}


def _lose(scratch: DrillFolder, steps: Steps, venue: StandInVenue, exchange: Exchange) -> None:
    """Cut the venue off until it is decided what becomes of an order, and let it fill all."""
    moment = time.time_ns()
    venue.go_away()
    # An order that goes out has decided it as well as one that is denied.
    waited_for(
        lambda: bool(_rules_since(scratch, moment)) or _sent_in_loss(scratch, moment) > 0,
        _PATIENCE,
    )
    sent = _sent_in_loss(scratch, moment)
    for order in exchange.open_orders:
        exchange.fill(order, order.left)
    venue.come_back()
    steps.expect("no order goes out while it is lost", not sent, f"{sent} did")
    rules = _rules_since(scratch, moment)
    steps.expect("each is denied by its rule", rules == {"venue"}, f"rules: {rules or 'none'}")


def _find_again(scratch: DrillFolder, steps: Steps, exchange: Exchange, accepted: set[str]) -> None:
    """Compare what the session knows after the loss with what the venue did meanwhile."""
    executed = sorted(item.id for item in exchange.executions)

    def booked() -> list[str]:
        return sorted(item.trade_id for item in journalled(scratch, OrderFilled))

    waited_for(lambda: len(booked()) >= len(executed), _PATIENCE)
    found = f"{len(booked())} of {len(executed)}"
    steps.expect("each fill is booked once", booked() == executed, found)
    held = exchange.positions[_SYMBOL]
    same = waited_for(lambda: _held(scratch) == held, _PATIENCE)
    steps.expect("the position is the venue's", same, f"{_held(scratch)} of {held}")
    ended = [
        item.order_id
        for items in (journalled(scratch, OrderRejected), journalled(scratch, OrderEnded))
        for item in items
        if item.order_id in accepted
    ]
    steps.expect("no order was taken for failed", not ended, f"{len(ended)} were")
    resting = len(exchange.open_orders)
    again = waited_for(lambda: len(exchange.open_orders) > resting, _PATIENCE)
    steps.expect("orders go out again", again, f"{len(exchange.open_orders) - resting} did")


def _held(scratch: DrillFolder) -> Decimal:
    """Return the position as the session last stated it."""
    changes = journalled(scratch, PositionChanged)
    return Decimal(changes[-1].quantity) if changes else Decimal(0)


def _rules_since(scratch: DrillFolder, moment: int) -> set[str]:
    """Return the rules by which orders were denied after ``moment``, not before at the start."""
    return {item.rule for item in journalled(scratch, OrderDenied, after=moment)}


def _sent_in_loss(scratch: DrillFolder, moment: int) -> int:
    """Return how many orders went out after the loss was noticed, or long after ``moment``."""
    entries = entries_of(scratch.store.run("drill").journals, "session-")
    after = [entry for entry in entries if parse_instant(entry.time) > moment]
    for place, entry in enumerate(after):
        if entry.event == VenueLost.event:
            lost = takewhile(lambda item: item.event != VenueBack.event, after[place:])
            return sum(item.event == OrderSubmitted.event for item in lost)
    return sum(
        entry.event == OrderSubmitted.event and parse_instant(entry.time) > moment + _NOTICED
        for entry in after
    )
