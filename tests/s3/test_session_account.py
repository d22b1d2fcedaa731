"""The account of a session in S3: who may trade it, and how often the storage is asked."""

from __future__ import annotations

import json
import time

import pytest

from tests.s3.servers import Clock, move_servers_by
from trading_runtime.errors import LeaseLostError, UsageError
from trading_runtime.results.opening import open_store
from trading_runtime.sessions import account as room
from trading_runtime.sessions.account import SessionAccount

LEASE = "accounts/small/lease.json"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of storage and sessions."""
    clock = Clock()
    move_servers_by(clock, monkeypatch)
    monkeypatch.setattr(room, "steady_time", clock)
    return clock


def test_the_storage_is_asked_twice_a_second_at_most(
    bucket: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(bucket)
    account = SessionAccount(store, "small")
    asked: list[str] = []
    with account.held("one"):
        for method in ("read_version", "replace"):
            sound = getattr(store.objects, method)

            def counted(*given: object, _sound: object = sound, _name: str = method) -> object:
                asked.append(_name)
                return _sound(*given)  # type: ignore[operator]

            monkeypatch.setattr(store.objects, method, counted)
        for _ in range(40):
            clock.now += 0.2
            account.check()
        looks = list(asked)

    # Of eight seconds: a look every 0.6 s, which a renewal after 5 s takes the place of.
    assert len(looks) <= 8 / 0.5
    assert looks.count("replace") == 1


def test_a_lease_that_was_not_renewed_in_time_lets_no_order_out(bucket: str, clock: Clock) -> None:
    account = SessionAccount(open_store(bucket), "small")
    with account.held("one"):
        clock.now += 14
        account.fence()
        clock.now += 2
        with pytest.raises(LeaseLostError, match="was not renewed in 15 s"):
            account.fence()
        # Nobody took it: the next look renews it.
        account.check()
        account.fence()


@pytest.mark.parametrize("ahead", [0, 300, -300])
def test_another_session_has_to_wait_for_the_lease_and_ends_the_first_whatever_the_time_there(
    bucket: str, clock: Clock, ahead: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = time.time
    first, second = (SessionAccount(open_store(bucket), "small") for _ in range(2))
    with first.held("one"):
        monkeypatch.setattr(time, "time", lambda: real() + clock.passed + ahead)
        with pytest.raises(UsageError, match="in use by session 'one'"), second.held("two"):
            pass
        clock.now += 17
        with second.held("two"):
            with pytest.raises(LeaseLostError, match="session 'two' has taken the account"):
                first.check()
            second.check()
        content = json.loads(open_store(bucket).objects.read(LEASE))

    assert (content["session"], content["token"]) == ("two", 2)
