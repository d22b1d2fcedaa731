"""Batches for pods take about as long as asked, and are never more than Argo bears."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.plans import made_up_plan, partition
from trading_runtime.planning.pod_batches import pod_batches
from trading_runtime.records.plan import Task

if TYPE_CHECKING:
    from trading_runtime.records.plan import Plan


def plan_of(seconds: list[float | None], rows: int = 0) -> Plan:
    """A plan of one partition whose tasks take so long."""
    tasks = [Task("0" * 64, 0, 0, cached=False, seconds=value) for value in seconds]
    return made_up_plan(tasks, partitions=[partition(rows=rows)])


def test_tasks_of_a_minute_make_batches_of_seven() -> None:
    assert pod_batches(plan_of([60.0] * 21), range(21)) == [
        [0, 1, 2, 3, 4, 5, 6],
        [7, 8, 9, 10, 11, 12, 13],
        [14, 15, 16, 17, 18, 19, 20],
    ]


def test_what_is_over_is_spread_and_not_left_to_a_last_small_pod() -> None:
    # 8 tasks of 60 s are 480 s: two pods of 240 s, not one of 420 s and one of 60 s.
    assert [len(batch) for batch in pod_batches(plan_of([60.0] * 8), range(8))] == [4, 4]


def test_the_time_of_a_pod_can_be_set() -> None:
    assert len(pod_batches(plan_of([60.0] * 20), range(20), seconds=120)) == 10


def test_a_long_task_has_a_pod_for_itself() -> None:
    assert pod_batches(plan_of([10.0, 1000.0, 10.0]), range(3), seconds=500) == [[0], [1], [2]]


def test_no_more_than_the_most_are_made_and_they_get_larger_instead() -> None:
    found = pod_batches(plan_of([600.0] * 5_000), range(5_000))
    assert (len(found), {len(batch) for batch in found}) == (1_000, {5})


def test_only_the_tasks_that_are_named_are_in_them() -> None:
    assert pod_batches(plan_of([60.0] * 10), [1, 4, 9], seconds=60) == [[1], [4], [9]]


def test_nothing_to_do_makes_no_batch() -> None:
    assert pod_batches(plan_of([60.0]), []) == []


def test_without_a_measurement_a_few_pods_share_little_work_and_many_share_much() -> None:
    assert [len(batch) for batch in pod_batches(plan_of([None] * 8), range(8))] == [2, 2, 2, 2]
    assert len(pod_batches(plan_of([None]), range(1))) == 1
    # 100 tasks of 20 million rows each: far more than an hour on any machine.
    assert len(pod_batches(plan_of([None] * 100, 20_000_000), range(100))) == 100


@given(
    st.lists(st.floats(0, 10_000), min_size=1, max_size=200),
    st.floats(0.001, 10_000),
    st.integers(1, 50),
)
def test_every_task_is_in_one_batch_in_its_order_whatever_they_take(
    seconds: list[float], target: float, most: int
) -> None:
    found = pod_batches(plan_of([*seconds]), range(len(seconds)), target, most)

    assert [index for batch in found for index in batch] == list(range(len(seconds)))
    assert len(found) <= most
    assert all(found)
    longest = max(math.fsum(seconds[index] for index in batch) for batch in found)
    fair = max(target, math.fsum(seconds) / min(most, len(seconds)))
    assert longest <= fair + 2 * max(seconds) + 1e-3


@pytest.mark.parametrize("seconds", [[0.0], [0.0] * 5, [1e-12, 1e9]])
def test_tasks_that_take_no_time_are_tasks(seconds: list[float]) -> None:
    found = pod_batches(plan_of([*seconds]), range(len(seconds)))
    assert sum(len(batch) for batch in found) == len(seconds)
