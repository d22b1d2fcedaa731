"""How long a venue may be lost, and data be old, by a clock that the test sets."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from nautilus_trader.model import Bar, BarType, InstrumentId, Price, Quantity, QuoteTick

from trading_runtime.config.adapters import AdapterData
from trading_runtime.config.deployment import Deployment
from trading_runtime.engine.live.arriving import ArrivingData
from trading_runtime.records.session_events import DataGap
from trading_runtime.sessions.watching import HealthWatch
from trading_runtime.units import format_instant

if TYPE_CHECKING:
    from collections.abc import Callable

    from trading_runtime.records.events import Event

NAMES = ["BTCUSDT-LINEAR.BYBIT", "ETHUSDT-LINEAR.BYBIT"]


class Watched:
    """Takes the place of node and journal; all that a watch tells them is kept."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.held: str | None = None
        self.closed: set[str] = set()
        self.rows: set[str] = set()
        self.has_queue = False
        self.guard = SimpleNamespace(queue=None)
        self.paused: list[float] = []
        self.asked: list[float] = []
        """When data was asked for anew, in seconds after the start."""
        self.written: list[Event] = []
        self.deployment = Deployment.model_validate(
            {
                "name": "watched",
                "mode": "paper",
                "data": {"source": "adapter", "adapter": "bybit", "instruments": NAMES},
                "execution": {
                    "venue": "simulated",
                    "account_type": "margin",
                    "balances": ["1 USDT"],
                    "fees": {"model": "none"},
                },
                "strategy": {"path": "a:B"},
                "stale_after": "90s",
                "seed": 1,
            }
        )
        section = self.deployment.data
        assert isinstance(section, AdapterData)
        self.data = ArrivingData(section, 1, client=(None, None))
        parts: Any = self
        self.watch = HealthWatch(self.deployment, parts, self.data, parts, lambda: None)
        self.watch.clock = lambda: self.now
        self.watch.open()

    def comes(self, name: str, ts_event: int, ts_init: int | None = None) -> None:
        """Let a quote of an instrument come, of this instant by the venue's clock."""
        self.data.came.append(quote(name, ts_event, ts_init or time.time_ns()))

    def newest_rows(self) -> dict[str, int]:
        return self.data.newest(None)

    def skew_of(self, _name: str) -> float:
        return 0.0

    def has_row(self, name: str) -> bool:
        return name in self.rows

    def pause_queue(self, seconds: float) -> bool:
        self.paused.append(seconds)
        return self.has_queue

    def bar_old(self, is_old: Callable[[str], bool]) -> None:
        self.is_old = is_old

    def hold(self, why: str | None) -> None:
        self.held = why

    def close_instrument(self, name: str, _why: str) -> None:
        self.closed.add(name)

    def open_instrument(self, name: str) -> None:
        self.closed.discard(name)

    def subscribe_again(self, _name: str) -> None:
        self.asked.append(self.now - 1_000)

    def write(self, event: Event) -> None:
        self.written.append(event)

    def pass_by(self, seconds: float) -> None:
        """Let time pass, at the end of which the watch looks."""
        self.now += seconds
        self.watch.look()

    def told(self) -> list[tuple[str, Any]]:
        """Return what was written: the event, and the seconds that it states."""
        return [(type(event).__name__, getattr(event, "seconds", None)) for event in self.written]


def quote(name: str, ts_event: int, ts_init: int) -> QuoteTick:
    price, size = Price.from_str("100.0"), Quantity.from_int(1)
    return QuoteTick(InstrumentId.from_str(name), price, price, size, size, ts_event, ts_init)


@pytest.fixture
def watched() -> Watched:
    return Watched()


@pytest.mark.parametrize("seconds", [5.0, 60.0])
def test_a_loss_holds_orders_back_and_ends_with_it(watched: Watched, seconds: float) -> None:
    watched.data.on_socket("orders", False)  # noqa: FBT003 - a callback of the engine
    held = watched.held
    watched.pass_by(seconds)
    error = watched.watch.error()
    watched.data.on_socket("orders", True)  # noqa: FBT003 - a callback of the engine
    watched.pass_by(0)

    assert held == "no connection to orders"
    assert error is None
    assert watched.held is None
    assert watched.told() == [("VenueLost", None), ("VenueBack", seconds)]


def test_a_loss_is_counted_from_the_first_connection_to_the_last(watched: Watched) -> None:
    watched.data.on_socket("orders", False)  # noqa: FBT003 - a callback of the engine
    watched.pass_by(5)
    watched.data.on_socket("prices", False)  # noqa: FBT003 - a callback of the engine
    watched.data.on_socket("orders", True)  # noqa: FBT003 - a callback of the engine
    watched.pass_by(56)

    assert watched.held == "no connection to prices"
    assert "prices: lost for 61.0 s, longer than limits.venue_lost" in str(watched.watch.error())


@pytest.mark.parametrize(
    "message",
    [
        "Too many visits!",
        "-1003: Too many requests; current limit is 2400 requests per minute.",
        "EOrder:Rate limit exceeded",
        "too_many_requests",
        "Requests too frequent",
        "HTTP 429",
        "HTTP/1.1 503",
        "418: teapot",
        "status code: 429",
    ],
)
def test_a_request_too_many_holds_orders_back_ever_longer(watched: Watched, message: str) -> None:
    held = []
    for seconds in (0.5, 0.6, 1.5, 0.6, 0, 9):
        # At 0, 0.5, 1.1, 2.6, 3.2 and 3.2 s: those within a pause lengthen nothing.
        watched.watch._refused(message)
        watched.pass_by(seconds)
        held.append(watched.held)
    watched.watch._refused(message)

    too_many = "the venue had too many requests"
    assert held == [too_many, None, too_many, None, too_many, None]
    assert watched.told() == [
        ("OrdersPaused", 1.0),
        ("OrdersPaused", 2.0),
        ("OrdersPaused", 4.0),
        ("OrdersPaused", 1.0),
    ]


@pytest.mark.parametrize(
    "message",
    ["Order price 503 exceeds the allowed range", "insufficient balance: 429 USDT", "code: 4290"],
)
def test_a_number_of_something_else_pauses_nothing(watched: Watched, message: str) -> None:
    watched.watch._refused(message)

    assert watched.told() == []
    assert watched.held is None


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ("HTTP 429: Retry-After: 7", 7.0),
        ("Too many requests, retry after 30s", 30.0),
        ("Too many requests, retry after 2 minutes", 120.0),
        ("Too many requests, retry after 86400", 3_600.0),
        ("Too many requests, retry after 9700000000000", 3_600.0),
        ("Rate limited (retry_after_ms=2500)", 2.5),
        ("Too many requests, retry after 30 seconds", 30.0),
        ("rate limited, retry after 1500 ms", 1.5),
        ("Too many visits!", 1.0),
        ("Too many requests; retry after 0.2s", 1.0),
    ],
)
def test_the_wait_that_a_refusal_asks_for_is_kept(
    watched: Watched, message: str, seconds: float
) -> None:
    watched.has_queue = True
    watched.watch._refused(message)

    assert watched.told() == [("OrdersPaused", seconds)]
    assert watched.paused == [seconds]
    assert watched.watch.paused_for == seconds
    assert watched.held is None, "requests wait in the queue"
    watched.pass_by(seconds)
    assert watched.watch.paused_for == 0


def test_a_ban_is_kept_until_its_end(watched: Watched) -> None:
    until = int((time.time() + 100) * 1000)
    watched.watch._refused(f"-1003: Way too many requests; IP banned until {until}.")
    [(_, seconds)] = watched.told()

    assert 90 < seconds <= 100
    assert watched.held == "the venue had too many requests"


@pytest.mark.parametrize("late", [32, 34])
def test_rows_around_a_loss_are_told_as_a_gap(watched: Watched, late: int) -> None:
    name, other = NAMES
    second = 1_000_000_000
    now = time.time_ns() // second * second
    for each in NAMES:
        watched.comes(each, now)
    watched.pass_by(1)
    watched.data.on_socket("prices", False)  # noqa: FBT003 - a callback of the engine
    watched.data.on_socket("orders", False)  # noqa: FBT003 - a callback of the engine
    watched.pass_by(30)
    watched.data.on_socket("prices", True)  # noqa: FBT003 - a callback of the engine
    watched.pass_by(1)
    for seconds in (32, 33, 34, 35):
        if seconds == late:
            watched.data.on_socket("orders", True)  # noqa: FBT003 - a callback of the engine
        watched.comes(name, now + seconds * second)
        watched.pass_by(1)
    gaps = [event for event in watched.written if isinstance(event, DataGap)]

    assert gaps == [
        DataGap(
            instrument=name,
            since=format_instant(now),
            until=format_instant(now + 32 * second),
        )
    ]
    assert other not in {gap.instrument for gap in gaps}, "nothing of it came yet"


def test_another_refusal_holds_nothing_back(watched: Watched) -> None:
    watched.watch._refused("ab not enough for new order")
    watched.pass_by(0)

    assert (watched.held, watched.told()) == (None, [])


def test_an_instrument_is_closed_for_as_long_as_it_alone_is_silent(watched: Watched) -> None:
    silent, other = NAMES
    for _ in range(11):
        watched.comes(other, time.time_ns())
        watched.pass_by(10)
    held, closed = watched.held, set(watched.closed)
    watched.comes(silent, time.time_ns())
    watched.pass_by(0)

    assert held is None
    assert closed == {silent}
    assert watched.closed == set()
    assert watched.told() == [
        ("DataStale", 100.0),
        ("DataResubscribed", None),
        ("DataRecovered", 100.0),
    ]


def test_data_that_does_not_come_is_asked_for_again_and_again_but_ever_less_often(
    watched: Watched,
) -> None:
    watched.data.names = watched.data.names[:1]
    watched.data._newest = dict.fromkeys(watched.data.names, 0)
    for _ in range(70):
        watched.pass_by(10)

    # Stale after 90 s from the first look, at 10 s; then after more than 180 s and 360 s.
    assert watched.asked == [110, 300, 670]


def test_a_row_is_too_old_at_the_moment_of_an_order_whenever_the_watch_last_looked(
    watched: Watched,
) -> None:
    first, second = NAMES
    watched.rows.add(second)  # it is there, but is not counted yet
    assert [watched.is_old(name) for name in NAMES] == [True, False]
    watched.comes(first, time.time_ns() - 91 * 1_000_000_000)
    watched.comes(second, time.time_ns() - 80 * 1_000_000_000)

    assert [watched.is_old(name) for name in NAMES] == [True, False]


def test_of_the_rows_between_two_looks_each_instrument_has_its_own_newest(
    watched: Watched,
) -> None:
    first, second = NAMES
    old, now = time.time_ns() - 91 * 1_000_000_000, time.time_ns()
    watched.comes(first, now)
    watched.comes(first, old)
    watched.comes(second, old)
    watched.comes(second, old + 1)

    assert [watched.is_old(name) for name in NAMES] == [False, True]
    assert watched.data.newest(None) == {first: now, second: old + 1}
    assert watched.data.rows == 4
    watched.comes(first, now + 1)
    assert watched.data.rows == 5


def test_of_a_single_instrument_the_last_row_says_how_new_it_is() -> None:
    first, second = NAMES
    section = AdapterData(source="adapter", adapter="bybit", instruments=[first])
    data = ArrivingData(section, 1, client=(None, None))
    data.came.append(quote(first, 5, time.time_ns()))

    assert [data.is_newer(first, instant) for instant in (5, 6)] == [True, False]
    assert not data.is_newer(second, 5)


def test_a_bar_is_news_of_its_instrument_and_says_nothing_about_clocks(watched: Watched) -> None:
    name, now = NAMES[0], time.time_ns()
    price, size = Price.from_str("100.0"), Quantity.from_int(1)
    kind = BarType.from_str(f"{name}-1-MINUTE-LAST-EXTERNAL")
    minute_ago = now - 60 * 1_000_000_000
    watched.data.came.append(Bar(kind, price, price, price, price, size, minute_ago, now))
    watched.pass_by(0)

    assert watched.data.newest(None)[name] == minute_ago
    assert (watched.held, watched.told()) == (None, [])


def test_rows_that_waited_in_the_engine_count_as_late(watched: Watched) -> None:
    # The venue's clock and the adapter's agree, but the row was passed on only 5 s later.
    assert watched.data.rows == 0
    late = time.time_ns() - 5 * 1_000_000_000
    watched.comes(NAMES[0], late, late)
    skew = watched.data.freshest()

    assert skew is not None
    assert skew < -4.9
    assert watched.data.first > late


def test_while_no_connection_lives_nothing_is_asked_for(watched: Watched) -> None:
    watched.data.on_socket("prices", False)  # noqa: FBT003 - a callback of the engine
    for _ in range(20):
        watched.pass_by(10)

    assert watched.asked == []
