"""The account of a session in S3: who may trade it, and how often the storage is asked."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from tests.records.test_account import STATE
from tests.sessions.small_session import PATIENCE_SECONDS, until
from trading_runtime.errors import LeaseLostError, UsageError
from trading_runtime.results.store import open_store
from trading_runtime.sessions import account as room
from trading_runtime.sessions.account import SessionAccount

if TYPE_CHECKING:
    from collections.abc import Callable

LEASE = "accounts/small/lease.json"


class Clocks:
    """A wall clock that is set, and a steady one that goes on by sleeping, without waiting."""

    def __init__(self) -> None:
        self.ahead = self.set_by = 0.0
        self.while_asleep: Callable[[], None] = lambda: None

    def steady(self) -> float:
        return time.monotonic() + self.ahead

    def wall(self) -> float:
        return time.time() + self.ahead + self.set_by

    def sleep(self, seconds: float) -> None:
        self.ahead += seconds
        self.while_asleep()

    def use(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Become the clocks of the room."""
        monkeypatch.setattr(room, "time", SimpleNamespace(time=self.wall, sleep=self.sleep))
        monkeypatch.setattr(room, "steady_seconds", self.steady)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    """The clocks of the room."""
    clocks = Clocks()
    clocks.use(monkeypatch)
    return clocks


def test_the_storage_is_asked_twice_a_second_at_most(
    bucket: str, clock: Clocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = SessionAccount(open_store(bucket), "small")
    asked: list[str] = []
    brief = account._leases[0]._brief
    with account.held("one"):
        for method in ("read_version", "replace"):
            sound = getattr(brief, method)

            def counted(*given: object, _sound: object = sound, _name: str = method) -> object:
                asked.append(_name)
                return _sound(*given)  # type: ignore[operator]

            monkeypatch.setattr(brief, method, counted)
        for _ in range(40):
            clock.ahead += 0.2
            account.check()
        looks = list(asked)

    # Of eight seconds: a look every 0.6 s, which a renewal after 3 s takes the place of.
    assert len(looks) <= 8 / 0.5
    assert looks.count("replace") == 2


def test_a_lease_that_was_not_renewed_in_time_lets_no_order_out(bucket: str, clock: Clocks) -> None:
    account = SessionAccount(open_store(bucket), "small")
    with account.held("one"):
        clock.ahead = 17.0
        account.fence()
        clock.ahead = 19.0
        with pytest.raises(LeaseLostError, match="was not renewed in 18 s"):
            account.fence()
        # Nobody took it: the next look renews it.
        account.check()
        account.fence()


def test_a_lease_that_its_holder_renews_is_refused_and_one_that_it_does_not_is_taken(
    bucket: str, clock: Clocks
) -> None:
    first, second = (SessionAccount(open_store(bucket), "small") for _ in range(2))
    with first.held("one"):
        clock.while_asleep = first.check
        with pytest.raises(UsageError, match="in use by session 'one'"), second.held("two"):
            pass
        clock.while_asleep = lambda: None
        with second.held("two"):
            assert clock.steady() - first._leases[0]._renewed >= room._LEASE_SECONDS
            with pytest.raises(LeaseLostError, match="session 'two' has taken the account"):
                first.check()
            second.check()
        content = json.loads(open_store(bucket).objects.read(LEASE))

    assert (content["session"], content["token"]) == ("two", 2)


WHEREVER = pytest.mark.parametrize(
    "places", [(None, None), ("bybit-1", None), (None, "bybit-1"), ("bybit-1", "bybit-2")]
)
"""Where two sessions of one deployment's name trade: on paper, or in an account at a venue."""


@WHEREVER
def test_a_deployments_name_is_traded_by_one_session_wherever_its_account_is(
    bucket: str, clock: Clocks, places: tuple[str | None, str | None]
) -> None:
    first, second = (SessionAccount(open_store(bucket), "small", place) for place in places)
    with first.held("one"):
        clock.while_asleep = first.check
        told = pytest.raises(UsageError, match="account of 'small' is in use by session 'one'")
        with told, second.held("two"):
            pytest.fail("there are two")
        first.check()
        # What was refused has left no lease behind that the next one would wait for.
        begun = clock.ahead
    with second.held("three"):
        assert clock.ahead == begun


@WHEREVER
def test_a_holder_that_lost_its_deployments_name_sends_and_writes_nothing_more(
    bucket: str, clock: Clocks, places: tuple[str | None, str | None]
) -> None:
    first, second = (SessionAccount(open_store(bucket), "small", place) for place in places)
    with first.held("one"):
        first.write(STATE)
        with second.held("two"):  # once the lease of the first has expired
            theirs = replace(STATE, session="two")
            second.write(theirs)
            with pytest.raises(LeaseLostError, match="was not renewed in 18 s"):
                first.fence()
            for ask in (first.check, lambda: first.write(STATE)):
                with pytest.raises(LeaseLostError, match="session 'two' has taken the account"):
                    ask()
            second.check()
            second.fence()
            assert clock.ahead <= room._LEASE_SECONDS + 1
    assert first.read() == theirs


def test_waiting_for_one_lease_does_not_let_the_other_expire(bucket: str, clock: Clocks) -> None:
    dead, account = (SessionAccount(open_store(bucket), "small", place) for place in ("a", "b"))
    with dead.held("one"):
        with account.held("two"):
            waited = clock.ahead
            account.fence()
        assert waited >= room._LEASE_SECONDS - 2


def test_what_is_saved_late_does_not_replace_what_the_next_session_has_saved(
    bucket: str, clock: Clocks
) -> None:
    first, second = (SessionAccount(open_store(bucket), "small") for _ in range(2))
    with first.held("one"):
        first.write(STATE)
        clock.ahead += 16
        first.write(STATE)  # nobody has taken it: the lease is renewed
        with second.held("two"):
            theirs = replace(STATE, session="two")
            second.write(theirs)
            with pytest.raises(LeaseLostError, match="session 'two' has taken the account"):
                first.write(STATE)
            assert second.read() == theirs


def test_a_lease_that_was_released_is_taken_at_once(bucket: str, clock: Clocks) -> None:
    first, second = (SessionAccount(open_store(bucket), "small") for _ in range(2))
    with first.held("one"):
        pass
    with second.held("two"):
        assert clock.ahead == 0


@pytest.mark.parametrize("seconds", [-3600.0, 3600.0])
def test_a_clock_that_is_set_takes_no_lease_from_its_holder(
    bucket: str, clock: Clocks, seconds: float
) -> None:
    first, second = (SessionAccount(open_store(bucket), "small") for _ in range(2))
    with first.held("one"):
        clock.set_by = seconds
        first.fence()
        # Another machine, whose clock is apart from the one that wrote the lease.
        clock.while_asleep = first.check
        with pytest.raises(UsageError, match="in use by session 'one'"), second.held("two"):
            pass
        first.fence()


@pytest.mark.parametrize("seconds", [-3600.0, 3600.0])
def test_the_lease_of_a_dead_holder_is_free_soon_whatever_its_time_says(
    bucket: str, clock: Clocks, seconds: float
) -> None:
    first, second = (SessionAccount(open_store(bucket), "small") for _ in range(2))
    with first.held("one"):
        clock.set_by = seconds
        with second.held("two"):
            assert clock.ahead <= room._LEASE_SECONDS + 1


@pytest.mark.parametrize("ahead", [-3600.0, 0.0, 3600.0])
def test_nobody_takes_a_lease_while_its_holder_may_still_send(
    bucket: str, clock: Clocks, ahead: float
) -> None:
    first, second = (SessionAccount(open_store(bucket), "small") for _ in range(2))
    with first.held("one"):
        renewed = first._leases[0]._renewed
        clock.set_by = ahead  # the taker's clock
        with second.held("two"):
            assert clock.steady() - renewed >= room._LEASE_SECONDS
            with pytest.raises(LeaseLostError, match="was not renewed"):
                first.fence()


def test_a_lease_is_released_though_a_renewal_was_under_way(
    bucket: str, clock: Clocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (SessionAccount(open_store(bucket), "small") for _ in range(2))
    with first.held("one"):
        clock.ahead += room._LEASE_SECONDS / 2
        [lease] = first._leases
        known = lease._version
        first.check()  # renews it; its answer is not there yet
        monkeypatch.setattr(lease, "_version", known)
    with second.held("two"):
        assert clock.ahead == room._LEASE_SECONDS / 2
    for ask in (first.check, first.fence, lambda: first.write(STATE)):
        clock.ahead += 1
        with pytest.raises(LeaseLostError, match="was left to the next session"):
            ask()


def test_of_two_sessions_that_start_at_once_one_has_the_account(bucket: str) -> None:
    accounts = [SessionAccount(open_store(bucket), "small") for _ in range(8)]
    both_see_none = threading.Barrier(len(accounts))
    told: list[str] = []
    ended = threading.Event()

    def start(number: int, account: SessionAccount) -> None:
        [lease] = account._leases
        read = lease.read

        def read_together() -> Any:
            found = read()
            lease.read = read  # type: ignore[method-assign]
            both_see_none.wait(PATIENCE_SECONDS)
            return found

        lease.read = read_together  # type: ignore[method-assign]
        try:
            with account.held(f"session-{number}"):
                told.append(f"session-{number}")
                ended.wait(PATIENCE_SECONDS)
        except UsageError as error:
            told.append(str(error))

    threads = [threading.Thread(target=start, args=item) for item in enumerate(accounts)]
    for thread in threads:
        thread.start()
    until(lambda: len(told) == len(accounts))
    ended.set()
    for thread in threads:
        thread.join()
    [winner] = [text for text in told if text.startswith("session-")]

    assert sum(f"in use by session {winner!r}" in text for text in told) == len(accounts) - 1
