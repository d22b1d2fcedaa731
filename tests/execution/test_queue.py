"""A run with an outbound queue: what waited is counted, and nothing else changes what is sent."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from trading_runtime.results.store import Store

if TYPE_CHECKING:
    from tests.small_experiment import SmallExperiment

SELDOM = {"order_rate_limit": {"orders": 1, "per": "30m"}}


def trading(small: SmallExperiment, run_id: str) -> list[tuple[bytes, bytes]]:
    """Return orders and fills of each task, as they are stored."""
    plan = json.loads(small.run_file(run_id, "plan.json").read_text())
    files = [Store(small.results).read_task(task["task_id"]) for task in plan["tasks"]]
    return [(each["orders.parquet"], each["fills.parquet"]) for each in files]


def test_what_waited_is_counted_and_does_not_depend_on_how_it_was_computed(
    small: SmallExperiment,
) -> None:
    # Points that trade every twenty minutes want more than one request in half an hour.
    venue = small.content["venue"] | SELDOM
    small.write(venue=venue, queue={"max_wait": "1h"}, equity={"interval": "1h"})
    ended = small.run("--run-id", "one", "--workers", "2")
    result = json.loads(small.run_file("one", "result.json").read_text())
    queued, denied = (result["incidents"][name] for name in ("queued_requests", "denied_by_reason"))
    waited = queued["waited"]
    page = small.run_file("one", "report/index.html").read_text()

    assert ended.returncode == 0, ended.stderr
    assert waited > 10
    expired = [count for reason, count in denied.items() if reason.startswith("QUEUE max_wait: ")]
    assert [queued["expired"]] == expired
    assert f"{waited:,} x waited" in ended.stdout
    assert "waits, cancellations first, for 1h at most" in page
    assert f"waited ({waited:,})" in page

    small.write(equity={"interval": "15m"})
    small.summary("--run-id", "two", "--workers", "1")
    assert trading(small, "two") == trading(small, "one")


def test_a_queue_in_which_nothing_waits_changes_no_trade(small: SmallExperiment) -> None:
    small.summary("--run-id", "without")
    small.write(queue={"max_wait": "5s"})
    small.summary("--run-id", "with")
    result = json.loads(small.run_file("with", "result.json").read_text())

    assert trading(small, "with") == trading(small, "without")
    assert result["incidents"]["queued_requests"] == {}
