"""The kill switch: on or off, for all runs or one, and never forgotten."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from trading_runtime.control.kill_switch import KillSwitch, KillSwitchPoller
from trading_runtime.errors import KilledError, StorageError, UsageError
from trading_runtime.results.store import Store

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


@pytest.fixture
def switch(store: Store) -> KillSwitch:
    return KillSwitch(store)


def test_it_is_off_where_nobody_ever_switched_it(switch: KillSwitch) -> None:
    assert switch.on_for("one") is None
    assert switch.active() == switch.history() == []


def test_on_for_all_runs_is_on_for_each(switch: KillSwitch) -> None:
    switch.activate("the feed lies")

    found = switch.on_for("one")
    assert found is not None
    assert (found.run_id, found.reason) == (None, "the feed lies")


def test_on_for_one_run_is_off_for_the_others(switch: KillSwitch) -> None:
    switch.activate("wrong size", "one")

    assert switch.on_for("one") is not None
    assert switch.on_for("two") is None


def test_a_run_named_all_is_not_all_runs(switch: KillSwitch) -> None:
    switch.activate("only that one", "all")

    assert switch.on_for("two") is None


def test_clearing_it_keeps_the_history(switch: KillSwitch) -> None:
    switch.activate("the feed lies")
    switch.activate("wrong size", "one")
    switch.clear("feed fixed")

    assert switch.on_for("two") is None
    assert switch.on_for("one") is not None
    assert [(item.action, item.run_id, item.reason) for item in switch.history()] == [
        ("activate", None, "the feed lies"),
        ("activate", "one", "wrong size"),
        ("clear", None, "feed fixed"),
    ]


def test_what_is_not_on_cannot_be_cleared(switch: KillSwitch) -> None:
    switch.activate("wrong size", "one")

    with pytest.raises(UsageError, match="is not on for all runs"):
        switch.clear("done")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"reason": 1}', b"\xff"])
def test_a_damaged_switch_is_on(switch: KillSwitch, tmp_path: Path, content: bytes) -> None:
    switch.activate("the feed lies")
    (tmp_path / "kill-switch" / "on" / "all.json").write_bytes(content)

    assert switch.on_for("one") is not None


@pytest.mark.parametrize("reason", ["", "  \n", "x" * 501])
def test_a_reason_is_given_and_short(switch: KillSwitch, reason: str) -> None:
    with pytest.raises(UsageError, match="--reason"):
        switch.activate(reason)
    assert switch.active() == []


def test_a_run_is_refused_with_the_reason_and_the_way_out(switch: KillSwitch) -> None:
    switch.activate("wrong size", "one")
    switch.refuse_start("two")

    with pytest.raises(KilledError, match=r"wrong size.*kill clear --reason … --run one"):
        switch.refuse_start("one")


def test_a_watch_sees_it_and_never_forgets(store: Store, switch: KillSwitch) -> None:
    watch = KillSwitchPoller(store, "one")
    assert not watch()

    switch.activate("the feed lies")
    assert watch()
    switch.clear("feed fixed")
    assert watch()


def test_looking_at_a_switch_that_is_off_costs_next_to_nothing(store: Store) -> None:
    watch = KillSwitchPoller(store, "one")
    started = time.perf_counter()
    for _ in range(1_000):
        watch()
    # Done once an event and four times a second: a millisecond would be too much.
    assert (time.perf_counter() - started) / 1_000 < 0.001


@pytest.mark.parametrize("name", ["kill-switch", "kill-switch/on", "kill-switch/on/all.json"])
def test_a_switch_behind_a_link_that_leads_nowhere_cannot_be_read(
    tmp_path: Path, name: str
) -> None:
    link = tmp_path / name
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to("/nowhere/at/all")

    with pytest.raises(StorageError, match="is a link that leads nowhere"):
        KillSwitch(Store(tmp_path)).on_for("one")
