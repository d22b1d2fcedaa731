"""A plan reads back as it was written, and what is no plan is refused by its place."""

from __future__ import annotations

import hashlib
import json
import re
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest

from tests.plans import made_up_plan, partition
from trading_runtime.errors import DataError
from trading_runtime.records import forms
from trading_runtime.records.plan import Plan, Task, plan_from_document, read_plan

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


MANY = 4_000


def many_tasks() -> list[Task]:
    """Tasks of ten points on many partitions; of every third nothing was measured."""
    return [
        Task(
            hashlib.sha256(str(number).encode()).hexdigest(),
            number // 10,
            number % 10,
            cached=number % 7 == 0,
            seconds=None if number % 3 == 0 else number / 8,
        )
        for number in range(MANY)
    ]


def many() -> Plan:
    """A plan whose tasks are read in several pieces, with texts that look like pieces of it."""
    points = [{"every": number, "name": '"tasks":[{},{'} for number in range(10)]
    partitions = [partition(number) for number in range(MANY // 10)]
    return made_up_plan(many_tasks(), points=points, partitions=partitions)


def test_the_tasks_of_a_plan_are_those_that_were_given(tmp_path: Path) -> None:
    tasks, stored = many_tasks(), tmp_path / "plan.json"
    stored.write_text(many().to_json())

    read = read_plan(stored).tasks

    assert list(read) == tasks
    assert (len(read), read[-1], read[5:8]) == (MANY, tasks[-1], tasks[5:8])
    assert read.ids == [task.task_id for task in tasks]
    assert read.uncached == [number for number in range(MANY) if number % 7]
    assert read.of_point(3) == list(range(3, MANY, 10))
    assert read.seconds([1, 2]) == 1 / 8 + 2 / 8
    assert read.seconds([1, 3]) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text,
        lambda text: json.dumps(json.loads(text), indent=1),
        lambda text: json.dumps(dict(reversed(json.loads(text).items())), separators=(",", ":")),
        lambda text: text.replace('"seconds":null', '"seconds":null,"more":["},{",{},{}]'),
    ],
    ids=["as written", "indented", "in another order", "with more in each task"],
)
def test_a_plan_is_read_however_its_json_is_laid_out(
    tmp_path: Path, change: Callable[[str], str]
) -> None:
    plan = many()
    stored = tmp_path / "plan.json"
    stored.write_text(change(plan.to_json()))

    read = read_plan(stored)

    assert read.tasks == plan.tasks
    assert read.to_json() == plan_from_document(json.loads(stored.read_text())).to_json()
    assert read.to_json() == plan.to_json()


def test_the_first_task_that_is_damaged_is_named_among_many(tmp_path: Path) -> None:
    content = json.loads(many().to_json())
    content["tasks"][2_345]["cached"] = "no"
    content["tasks"][2_346]["point"] = 10
    stored = tmp_path / "plan.json"
    stored.write_text(json.dumps(content, separators=(",", ":")))

    with pytest.raises(DataError, match=r"damaged: tasks\[2345\]\.cached is of the wrong form"):
        read_plan(stored)
    content["tasks"][2_345]["cached"] = False
    stored.write_text(json.dumps(content, separators=(",", ":")))
    with pytest.raises(DataError, match=r"damaged: tasks\[2346\]\.point is of the wrong form"):
        read_plan(stored)


def test_a_plan_is_read_in_little_more_memory_than_its_file_has_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forms, "_BYTES_AT_ONCE", 1 << 12)
    stored = tmp_path / "plan.json"
    tasks = many_tasks()
    stored.write_text(
        made_up_plan(tasks, points=[{}] * 10, partitions=[partition()] * (MANY // 10)).to_json()
    )
    tracemalloc.start()
    try:
        read = read_plan(stored)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert len(read.tasks) == MANY
    # Parsed as a whole, it takes three and a half times its bytes.
    assert peak < 2.5 * stored.stat().st_size
