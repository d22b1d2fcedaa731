"""The health of a session's data and of its venue, and what is held back because of it.

It is measured at the data of each instrument: how old its newest row is, not whether a connection
lives. A lost connection, a clock that is apart, and a venue that has refused a request as one too
many hold back orders in all instruments.
"""

from __future__ import annotations

import functools
import re
import time
from typing import TYPE_CHECKING

from trading_runtime.engine.live.arriving import ArrivingData
from trading_runtime.errors import TransientError
from trading_runtime.records import session_events as events
from trading_runtime.units import format_instant, parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable

    from trading_runtime.config.deployment import Deployment
    from trading_runtime.engine.live.node import PaperNode
    from trading_runtime.engine.live.replay import DataReplay
    from trading_runtime.sessions.recording import SessionRecords

_SECOND = 1_000_000_000
_NO_GAP = (0, 0, 0)
_TOO_MANY = re.compile(
    r"too[ _]many|rate.?limit|(too|requests) frequent|service unavailable"
    # A number alone may be a price or an amount.
    r"|(^\W*|\b(http[/\d.]*|status|code|error)\W{1,3})(429|418|503)\b",
    re.IGNORECASE,
)
"""In the words of a venue that refuses a request because there were too many."""
_ASKED = re.compile(
    r"retry[ _-]?after(?P<suffix>_ms)?[^\d\n]{0,12}(?P<number>\d+(?:\.\d+)?)"
    r"(?: ?(?P<unit>ms|milliseconds?|m|mins?|minutes?)\b)?",
    re.IGNORECASE,
)
"""How long the venue asks to wait, where a text says it; in seconds by default."""
_LONGEST_ASKED = 3_600.0
_FIRST_INSTANT, _FIRST_INSTANT_MS = 1e9, 1e12
"""Larger numbers are no waits, but instants in seconds or milliseconds since the epoch."""
_BANNED = re.compile(r"banned until (\d{13})\b", re.IGNORECASE)
"""Until when, in milliseconds since the epoch."""
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 60.0
_TOO_MANY_REQUESTS = "the venue had too many requests"


class HealthWatch:
    """Closes instruments for orders, and opens them again."""

    def __init__(
        self,
        deployment: Deployment,
        node: PaperNode,
        data: DataReplay | ArrivingData,
        records: SessionRecords,
        wake: Callable[[], None],
    ) -> None:
        """``wake`` is called when something has happened that cannot wait for the next look."""
        self.clock: Callable[[], float] = time.monotonic
        self._node, self._records, self._wake = node, records, wake
        self._data = data
        longest = deployment.stale_after
        self._longest_ns = 0 if longest is None else parse_duration(longest)
        self._longest = None if longest is None else self._longest_ns / _SECOND
        limits = deployment.limits
        self._most_lost = parse_duration(limits.venue_lost) / _SECOND
        self._most_apart = parse_duration(limits.clock_skew) / _SECOND
        self._seen: dict[str, tuple[int, float]] = {}
        self._gaps: dict[str, tuple[int, int, int]] = {}
        """By instrument: the widest step between rows that came since a loss, and its two ends."""
        self._stale: dict[str, float] = {}
        self._asked: dict[str, float] = {}
        self._waits: dict[str, float] = {}
        self._lost: dict[str, float] = {}
        self._lost_since = 0.0
        self._is_apart = self._has_seen_clock = False
        self._paused_until = 0.0
        self._pause = 0.0
        self._waits_in_queue = False
        """Whether requests wait in the outbound queue meanwhile, instead of being denied."""
        self._closed: set[str] = set()
        self._is_open = not isinstance(data, ArrivingData)
        if isinstance(data, ArrivingData):
            data.on_socket = self._socket
            records.on_refusal = self._refused
            node.bar_old(functools.partial(self._is_old, data))
            if node.guard.queue is not None:
                node.guard.queue.is_open = False
            self._hold_back()

    def look(self) -> None:
        """Compare everything with its limits."""
        now = self.clock()
        for name, newest in self._node.newest_rows().items():
            self._look_at_rows(name, newest, now)
        if isinstance(self._data, ArrivingData):
            self._compare_clock(self._data.freshest())
        self._hold_back()

    def _is_old(self, data: ArrivingData, name: str) -> bool:
        """Return whether an instrument's newest row is too old, as asked before each order.

        A process that was suspended may be given old rows before it has looked at anything. To
        have none yet is as bad.
        """
        if not self._has_seen_clock:
            # The first order may come before the first look, and before its row is counted.
            self._compare_clock(self._node.skew_of(name))
            if self._is_apart:
                return True
        if self._longest is None:
            return False
        if data.is_newer(name, time.time_ns() - self._longest_ns):
            return False
        # The strategy may be given the first row before it is counted.
        return data.has_come(name) or not self._node.has_row(name)

    def reasons(self) -> list[str]:
        """Return why orders are held back."""
        found = [f"no connection to {endpoint}" for endpoint in sorted(self._lost)]
        if self._is_apart:
            found.append("the venue's clock is apart")
        if self.paused_for:
            found.append(_TOO_MANY_REQUESTS)
        return found + [f"no data of {name}" for name in sorted(self._stale)]

    def error(self) -> TransientError | None:
        """Return the error that ends the session, if the venue was lost for too long."""
        lost = self.clock() - self._lost_since
        if not self._lost or lost <= self._most_lost:
            return None
        return TransientError(
            f"{', '.join(sorted(self._lost))}: lost for {lost:.1f} s, longer than limits.venue_lost"
        )

    def _socket(self, endpoint: str, is_connected: bool) -> None:  # noqa: FBT001 - a callback
        now = self.clock()
        if not is_connected:
            if not self._lost:
                self._lost_since = now
            self._lost[endpoint] = now
            self._gaps = dict.fromkeys(self._seen, _NO_GAP) | self._gaps
            self._hold_back()
            self._records.write(events.VenueLost(endpoint=endpoint))
        elif self._lost.pop(endpoint, None) is not None and not self._lost:
            seconds = round(now - self._lost_since, 3)
            self._records.write(events.VenueBack(endpoint=endpoint, seconds=seconds))
        self._wake()

    def _refused(self, message: str) -> None:
        """Send no orders for a while after a request too many, and longer after another one."""
        now = self.clock()
        if now < self._paused_until or not _TOO_MANY.search(message):
            return
        is_again = now < self._paused_until + self._pause
        self._pause = min(2 * self._pause, _LONGEST_PAUSE) if is_again else _FIRST_PAUSE
        seconds = max(self._pause, asked_wait(message))
        self._paused_until = now + seconds
        self._waits_in_queue = self._node.pause_queue(seconds)
        self._hold_back()
        self._records.write(events.OrdersPaused(seconds=round(seconds, 3), message=message))

    @property
    def paused_for(self) -> float:
        """For how many seconds the venue is to be sent nothing."""
        return max(self._paused_until - self.clock(), 0.0)

    def _look_at_rows(self, name: str, newest: int, now: float) -> None:
        seen, since = self._seen.setdefault(name, (newest, now))
        silent = now - since
        if newest != seen:
            if name in self._gaps and seen:
                # Rows may come again while another connection is still lost.
                self._gaps[name] = max(self._gaps[name], (newest - seen, seen, newest))
                if not self._lost:
                    _, *ends = self._gaps.pop(name)
                    gap = dict(zip(("since", "until"), map(format_instant, ends), strict=True))
                    self._records.write(events.DataGap(instrument=name, **gap))
            self._seen[name] = newest, now
            silent = 0.0
        if isinstance(self._data, ArrivingData) and newest:
            # The same old row, sent forever, does not count.
            silent = max(silent, (time.time_ns() - newest) / _SECOND)
        if self._longest is None:
            return
        if silent > self._longest and name not in self._stale:
            self._stale[name] = since
            self._hold_back()
            self._records.write(events.DataStale(instrument=name, seconds=round(silent, 3)))
            self._gaps.setdefault(name, _NO_GAP)
            self._waits[name] = self._longest
            self._subscribe_again(name, now)
        elif silent <= self._longest and name in self._stale and newest:
            seconds = round(now - self._stale.pop(name), 3)
            self._records.write(events.DataRecovered(instrument=name, seconds=seconds))
        elif name in self._stale and now - self._asked[name] > self._waits[name]:
            self._subscribe_again(name, now)

    def _subscribe_again(self, name: str, now: float) -> None:
        """Subscribe again to an instrument's data, and double the wait before the next attempt."""
        self._asked[name], self._waits[name] = now, 2 * self._waits[name]
        if isinstance(self._data, ArrivingData) and not self._lost:
            self._node.subscribe_again(name)
            self._records.write(events.DataResubscribed(instrument=name))

    def _compare_clock(self, skew: float | None) -> None:
        if skew is None:
            return
        self._has_seen_clock = True
        # Rows from the past are either late or of a clock that is behind; both are reported.
        is_apart = abs(skew) > self._most_apart
        if is_apart != self._is_apart:
            self._is_apart = is_apart
            self._hold_back()
            self._records.write(events.ClockApart(on=is_apart, seconds=round(skew, 3)))

    def open(self) -> None:
        """Let orders out for the first time, and cancellations that have waited for it."""
        self._is_open = True
        self._hold_back()
        if self._node.guard.queue is not None:
            self._node.guard.queue.open(self._node.strategy)

    def _hold_back(self) -> None:
        """Close what has a reason to be closed, and open the rest."""
        why = None
        if not self._is_open:
            why = "the venue was not compared with the journals yet"
        elif self._lost:
            why = f"no connection to {', '.join(sorted(self._lost))}"
        elif self._is_apart:
            why = "the venue's clock is apart"
        elif self.paused_for and not self._waits_in_queue:
            why = _TOO_MANY_REQUESTS
        self._node.hold(why)
        for name in self._stale.keys() - self._closed:
            self._node.close_instrument(name, "no data for longer than stale_after")
        for name in self._closed - self._stale.keys():
            self._node.open_instrument(name)
        self._closed = set(self._stale)


def asked_wait(message: str) -> float:
    """Return for how many seconds a refusal says that nothing may be sent; 0 when it does not.

    At most an hour, but a ban is kept until its end.
    """
    if (banned := _BANNED.search(message)) is not None:
        return max(int(banned[1]) / 1000 - time.time(), 0.0)
    if (found := _ASKED.search(message)) is None:
        return 0.0
    number, unit = float(found["number"]), (found["suffix"] or found["unit"] or "").strip("_")
    if number >= _FIRST_INSTANT:
        instant = number / 1000 if number >= _FIRST_INSTANT_MS else number
        seconds = max(instant - time.time(), 0.0)
    elif unit.lower().startswith(("ms", "milli")):
        seconds = number / 1000
    else:
        seconds = number * 60 if unit else number
    return min(seconds, _LONGEST_ASKED)
