"""What is kept of summaries: the same table however tasks are divided, and counts of incidents."""

from __future__ import annotations

from typing import Any

from trading_runtime.results.task_table import TaskTable


def table(*parts: dict[str, dict[str, Any]]) -> TaskTable:
    whole = TaskTable()
    for part in parts:
        other = TaskTable()
        other.add(part)
        whole.merge(other)
    return whole


def test_a_column_that_only_some_tasks_have_is_null_for_the_others() -> None:
    found = table({"a": {"orders": 1}}, {"b": {"orders": 2, "swap": "1.5"}}).statistics()

    assert found["task_id"].to_list() == ["a", "b"]
    assert found["orders"].to_list() == [1, 2]
    assert found["swap"].cast(str).to_list() == [None, "1.5000000000000000"]
    assert found.columns[-1] == "swap"


def test_incidents_of_all_parts_are_counted_in_order_of_the_kind() -> None:
    found = table(
        {"a": {"denied_by_reason": {"b": 1}}},
        {"b": {"denied_by_reason": {"a": 2, "b": 3}}, "c": {"files_read": {}}},
    ).incidents()

    assert list(found["denied_by_reason"].items()) == [("a", 2), ("b", 4)]
    assert found["files_read"] == {}
    assert "queued_requests" not in found


def test_rare_kinds_are_put_together_only_when_all_parts_are_known() -> None:
    twenty = {f"kind {number:02}": 2 for number in range(20)}
    found = table(
        {"a": {"engine_warnings": twenty | {"rare": 1}}},
        {"b": {"engine_warnings": {"rare": 9}}},
    ).incidents()["engine_warnings"]

    assert found["rare"] == 10
    assert found["other"] == 2
