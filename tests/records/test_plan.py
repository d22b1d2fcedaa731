"""A plan reads back as it was written, and what is no plan is refused by its place."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.plans import made_up_plan, partition
from trading_runtime.errors import DataError
from trading_runtime.records.plan import Task, plan_from_document, read_plan

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DAY = 86_400_000_000_000


def document() -> dict[str, Any]:
    """The content of a plan of one task on the second day of 1970."""
    plan = made_up_plan(
        [Task("0" * 64, 0, 0, cached=False, seconds=1.5)],
        points=[{"every": 20}],
        partitions=[partition(start=DAY, end=2 * DAY, rows=7)],
    )
    content: dict[str, Any] = json.loads(plan.to_json())
    return content


def test_a_plan_that_is_read_is_written_with_the_same_bytes() -> None:
    text = json.dumps(document(), separators=(",", ":")) + "\n"

    assert plan_from_document(json.loads(text)).to_json() == text


def test_instants_are_texts_in_the_file_and_nanoseconds_in_the_record() -> None:
    content = document()

    assert content["partitions"][0]["start"] == "1970-01-02T00:00:00Z"
    assert plan_from_document(content).partitions[0].start == DAY


def test_a_plan_of_an_earlier_version_has_no_warnings_no_limit_of_memory_and_counts_every_day() -> (
    None
):
    content = document()
    for key in ("task_memory", "warnings", "days"):
        del content[key]
    del content["common"]["calendar"]

    plan = plan_from_document(content)

    assert (plan.task_memory, plan.warnings, plan.days) == (None, (), None)
    assert plan.common.every_day


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda plan: plan.pop("tasks"), "'tasks' is missing"),
        (lambda plan: plan["tasks"][0].update(task_id="../x"), r"tasks\[0\].task_id is of the"),
        (lambda plan: plan["tasks"][0].update(point=1), r"tasks\[0\].point is of the wrong form"),
        (lambda plan: plan["tasks"][0].update(partition=-1), r"tasks\[0\].partition is of the"),
        (lambda plan: plan["tasks"][0].update(cached=1), r"tasks\[0\].cached is of the wrong"),
        (lambda plan: plan["tasks"][0].update(seconds="1"), r"tasks\[0\].seconds is of the wrong"),
        (lambda plan: plan["common"].pop("code"), "common.code is missing"),
        (lambda plan: plan["objective"].pop("metric"), "objective.metric is missing"),
        (lambda plan: plan["partitions"][0].update(start=1), r"partitions\[0\].start is of the"),
        (lambda plan: plan["partitions"][0].update(start="soon"), "soon"),
        (lambda plan: plan.update(task_memory="1 GB"), "task_memory is of the wrong form"),
        (lambda plan: plan.update(days={"least": 1}), "days.most is missing"),
        (lambda plan: plan.update(batches=[[0]]), "batches is of the wrong form"),
    ],
)
def test_what_is_no_plan_is_refused(damage: Callable[[dict[str, Any]], Any], words: str) -> None:
    content = document()
    damage(content)

    with pytest.raises(ValueError, match=words):
        plan_from_document(content)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda text: text[: len(text) // 2], "cannot be read"),
        (lambda text: text.replace('"tasks"', '"tusks"'), "damaged: 'tasks' is missing"),
        (lambda text: text.replace('"warnings":[]', '"warnings":[1]'), "warnings: damaged in"),
    ],
)
def test_damage_of_a_stored_plan_is_an_error_of_data_that_names_the_file(
    tmp_path: Path, damage: Callable[[str], str], words: str
) -> None:
    stored = tmp_path / "plan.json"
    stored.write_text(damage(made_up_plan([]).to_json()))

    with pytest.raises(DataError, match=f"{re.escape(str(stored))}: {words}"):
        read_plan(stored)


@pytest.mark.parametrize("content", [None, 3, [], "plan"])
def test_other_json_is_no_plan(content: object) -> None:
    with pytest.raises(ValueError, match="wrong type"):
        plan_from_document(content)
