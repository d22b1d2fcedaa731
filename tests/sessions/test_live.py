"""A live session against a stand-in venue that keeps its own record."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests.sessions.live_session import LiveSession

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def live(tmp_path: Path) -> Iterator[LiveSession]:
    """A live deployment with its venue."""
    with LiveSession(tmp_path) as session:
        yield session


def test_an_order_is_accepted_and_filled_at_the_venue(live: LiveSession) -> None:
    live.order("buy 0.010")
    process = live.start()
    live.wait_for("order_filled", process)
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=30)
    [accepted] = live.exchange.recorded("accepted")
    [filled] = live.exchange.recorded("filled")
    [journalled] = live.events("order_filled")

    assert process.returncode == 143, (output, errors)
    assert journalled["order_id"] == accepted.about == filled.about
    assert journalled["trade_id"] == filled.facts["trade_id"]
    assert journalled["price"] == "46000.10"
    assert (live.metadata()["mode"], live.metadata()["status"]) == ("live", "stopped")
