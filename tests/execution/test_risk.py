"""A run with a risk profile: refusals are results, counted by rule and journalled."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import polars as pl

if TYPE_CHECKING:
    from tests.small_experiment import SmallExperiment


def journalled(experiment: SmallExperiment, run_id: str, event: str) -> list[dict[str, Any]]:
    """What the journal says of each event of one kind."""
    lines = experiment.run_file(run_id, "journal.jsonl").read_text().splitlines()
    entries = [json.loads(line) for line in lines]
    return [item["payload"] for item in entries if item["event"] == event]


def test_refusals_are_in_the_summary_the_orders_and_the_journal(small: SmallExperiment) -> None:
    small.write(risk={"max_position_quantity": "0.01"})
    run = small.summary("--run-id", "one")
    assert run["complete"]

    counted = 0
    noted = {item["task_id"]: item for item in journalled(small, "one", "order_refused")}
    for payload in journalled(small, "one", "task_completed"):
        task_id = payload["task_id"]
        folder = small.results / "tasks" / task_id[:2] / task_id
        summary = json.loads((folder / "summary.json").read_text())
        orders = pl.read_parquet(folder / "orders.parquet")
        refused = orders.filter(pl.col("reason").str.starts_with("RISK max_position_quantity: "))
        assert set(refused["status"]) <= {"DENIED"}
        assert summary["denied_orders"] == refused.height
        if not refused.height:
            assert summary["risk_refusals"] == {}
            assert task_id not in noted
            continue
        assert summary["risk_refusals"] == {"max_position_quantity": refused.height}
        assert noted[task_id] == {
            "task_id": task_id, "rule": "max_position_quantity", "count": refused.height,
        }  # fmt: skip
        counted += refused.height
    assert counted > 0


def test_another_profile_is_another_result_and_the_same_one_is_stored(
    small: SmallExperiment,
) -> None:
    without = small.summary("--run-id", "without")
    limited = small.summary("--run-id", "same")
    assert (limited["computed"], limited["run_digest"]) == (0, without["run_digest"])

    small.write(risk={"max_position_quantity": "0.01"})
    strict = small.summary("--run-id", "strict")
    assert strict["computed"] == 12
    assert small.summary("--run-id", "again", "--workers", "1")["computed"] == 0

    small.write(risk={"max_position_quantity": "0.010"})
    assert small.summary("--run-id", "same-number")["run_digest"] == strict["run_digest"]


def test_without_a_profile_nothing_is_said_of_one(small: SmallExperiment) -> None:
    small.summary("--run-id", "one")

    assert len(journalled(small, "one", "task_completed")) == 12
    assert journalled(small, "one", "order_refused") == []
    for path in (small.results / "tasks").glob("*/*/summary.json"):
        assert "risk" not in path.read_text()
