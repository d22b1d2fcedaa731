"""Two runs or bundles are the same or differ, and what differs is named."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from trading_runtime.cli.main import invoke, root
from trading_runtime.evidence.bundle import bundle_run
from trading_runtime.results.store import Store

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def whole(results: Path, tmp_path: Path) -> str:
    """The bundle of a run with one task."""
    store = Store(results)
    return str(bundle_run(store, store.run("whole"), tmp_path / "whole.zip").path)


def test_a_bundle_is_the_same_as_its_run(
    results: Path, whole: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = invoke(
        root, ["evidence", "compare", whole, "whole", "--results", str(results), "--json"]
    )
    found = json.loads(capsys.readouterr().out)

    assert (code, found["same"]) == (0, True)
    assert [row for row in found["rows"] if not row["same"]] == []


def test_bundles_of_different_runs_differ_by_what_they_name(
    results: Path, whole: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(results)
    partly = str(bundle_run(store, store.run("partly"), tmp_path / "partly.zip").path)

    code = invoke(root, ["evidence", "compare", whole, partly, "--json"])
    found = json.loads(capsys.readouterr().out)
    differing = {
        row["what"]: (row["first"], row["second"]) for row in found["rows"] if not row["same"]
    }

    assert (code, found["same"]) == (11, False)
    # One of two tasks failed, and no best point is named.
    assert differing["tasks"] == differing["planned"] == ("1", "2")
    assert differing["failed"] == ("0", "1")
    assert differing["best"] == ("0", "None")
    assert differing["run_id"] == ("whole", "partly")
    assert not {"strategy code", "dataset digest", "runtime code", "ok"} & differing.keys()
    assert found["runs"]["points_only_in"] == [[], [{"way": "raise"}]]
