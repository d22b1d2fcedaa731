"""The kill switch as an object in S3: seen by runs there within a second."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from trading_runtime import api
from trading_runtime.control.kill_switch import KillSwitch, KillSwitchPoller
from trading_runtime.errors import KilledError
from trading_runtime.results.store import open_store

if TYPE_CHECKING:
    from tests.small_experiment import SmallExperiment


def test_switched_on_and_off_with_its_history(bucket: str) -> None:
    switch = KillSwitch(open_store(f"{bucket}/results"))
    switch.activate("the feed lies")
    other = KillSwitch(open_store(f"{bucket}/results"))
    assert other.on_for("one") is not None

    other.clear("feed fixed")
    assert switch.on_for("one") is None
    assert [item.action for item in switch.history()] == ["activate", "clear"]


def test_a_watch_looks_twice_a_second_and_no_more(bucket: str) -> None:
    store = open_store(f"{bucket}/results")
    watch = KillSwitchPoller(store, "one")
    started = time.monotonic()
    assert not watch()
    KillSwitch(store).activate("the feed lies")
    while not watch():
        time.sleep(0.01)
    assert time.monotonic() - started > 0.2  # between two looks, however fast the machine is


def test_a_run_in_s3_is_killed_and_published(small: SmallExperiment, bucket: str) -> None:
    small.hold(tasks=12, free=1)
    path = small.write(results=f"{bucket}/results")
    store = open_store(f"{bucket}/results")

    def switch_on() -> None:
        while not open_store(f"{bucket}/results").objects.sizes("tasks/"):
            time.sleep(0.05)
        KillSwitch(store).activate("the feed lies")

    switching = threading.Thread(target=switch_on)
    switching.start()
    with pytest.raises(KilledError, match="was killed with"):
        api.run(path, run_id="one", workers=1)
    switching.join()

    stored = store.objects.sizes("runs/one/")
    assert "runs/one/result.json" in stored
    assert "runs/one/lock" not in stored
    with pytest.raises(KilledError, match="is not started"):
        api.run(path, run_id="one")
