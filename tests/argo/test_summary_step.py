"""The summary is one pod that Argo does not try again: it has patience of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from trading_runtime import api
from trading_runtime.argo import summary_step
from trading_runtime.errors import TransientError
from trading_runtime.results.store import open_store

if TYPE_CHECKING:
    from pathlib import Path

    from tests.small_experiment import SmallExperiment
    from trading_runtime.results.store import Store


class Storage:
    """Storage that cannot be reached the first few times that somebody asks."""

    def __init__(self, faults: int) -> None:
        self.faults, self.asked = faults, 0

    def open(self, place: str | Path) -> Store:
        """Open a store, or fail as storage does that is out of reach."""
        self.asked += 1
        if self.asked <= self.faults:
            raise TransientError("the storage could not be reached")
        return open_store(place)


@pytest.fixture(autouse=True)
def _nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summary_step, "WAITS_SECONDS", (0.0, 0.0))


def test_storage_that_comes_back_is_asked_again(
    small: SmallExperiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = api.run(small.path, run_id="one")
    storage = Storage(faults=2)
    monkeypatch.setattr(summary_step, "open_store", storage.open)
    summary = summary_step.run_summary_step(str(small.results), "one")
    assert summary.result.run_digest == run.result["run_digest"]
    assert storage.asked == 3


def test_storage_that_stays_away_ends_the_step(
    small: SmallExperiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = Storage(faults=99)
    monkeypatch.setattr(summary_step, "open_store", storage.open)
    with pytest.raises(TransientError):
        summary_step.run_summary_step(str(small.results), "one")
    assert storage.asked == 3
