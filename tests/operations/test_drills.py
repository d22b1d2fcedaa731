"""Drills pass, and each fails when its safeguard is switched off."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from trading_runtime.cli.main import invoke, root
from trading_runtime.operations.drills.running import Steps
from trading_runtime.records.events import DRILLS, DrillVerdict

if TYPE_CHECKING:
    from pathlib import Path

# What must break without the safeguard: nothing else would show that it was the fault's doing.
BROKEN = {
    "stale-market-data": "no order is filled at old prices",
    "restart-recovery": "only the rest is computed",
    "reconciliation-mismatch": "an altered one differs",
    "kill-switch": "no order after a second",
    "kill-live": "no order after a second",
    "restart-with-open-position": "the position is the journal's",
    "duplicate-fill": "the fill is booked once",
    "stale-feed-live": "no order goes out at old prices",
    "venue-loss": "no order goes out while it is lost",
    "corrupt-result": "it is not reported as a result",
    "disk-full": "the run says that storage failed",
}


def drilled(results: Path, name: str, *options: str) -> tuple[int, dict[str, Any]]:
    code = invoke(root, ["drill", name, "--results", str(results), *options])
    return code, json.loads((results / "drills" / f"{name}.json").read_text())


@pytest.mark.parametrize("name", BROKEN)
def test_a_drill_passes_and_leaves_its_verdict(tmp_path: Path, name: str) -> None:
    code, left = drilled(tmp_path, name)

    assert (code, left["verdict"]) == (0, "passed"), left["steps"]
    assert len(left["steps"]) >= 3
    assert left["sabotage"] is False


@pytest.mark.parametrize(("name", "step"), BROKEN.items())
def test_without_its_safeguard_a_drill_fails(tmp_path: Path, name: str, step: str) -> None:
    code, left = drilled(tmp_path, name, "--sabotage")

    assert (code, left["verdict"], left["sabotage"]) == (11, "failed", True)
    assert left["message"].startswith(f"{step}: "), left["steps"]
    journal = (tmp_path / "operations" / "journal").glob("drill-*/*.jsonl")
    entries = [json.loads(line) for path in journal for line in path.read_text().splitlines()]
    events = {entry["event"]: entry["payload"] for entry in entries}
    assert events["drill_started"] == {"drill": name, "sabotage": True}
    assert events["drill_completed"]["verdict"] == "failed"


def test_every_drill_is_tested() -> None:
    # That one needs S3: see tests/s3/test_storage_outage.py.
    assert set(DRILLS) - {"storage-outage"} == set(BROKEN)


def test_without_s3_a_storage_outage_cannot_be_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(root, ["drill", "storage-outage", "--results", str(tmp_path)]) == 2
    assert "needs a place in S3 behind plain HTTP" in capsys.readouterr().err


def test_a_drill_without_steps_has_not_passed() -> None:
    steps = Steps()
    seen = [(steps.verdict, steps.message)]
    for name, ok in (("one", True), ("two", False), ("three", True)):
        steps.expect(name, ok=ok, message="looked")
        seen.append((steps.verdict, steps.message))

    assert seen == [
        (DrillVerdict.FAILED, "0 steps hold"),
        (DrillVerdict.PASSED, "1 steps hold"),
        (DrillVerdict.FAILED, "two: looked"),
        (DrillVerdict.FAILED, "two: looked"),
    ]


def test_an_unknown_drill_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(root, ["drill", "earthquake"]) == 2
    assert "stale-market-data" in capsys.readouterr().err
