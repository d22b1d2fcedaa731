"""The schemas of journal and metadata: committed, current, and strict."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from tests.record_schemas import SCHEMAS, validator
from trading_runtime.records.schema import (
    DOCUMENTS,
    EVENTS,
    journal_schema,
    record_schema,
    schema_texts,
)

LINE: dict[str, Any] = {
    "sequence": 0,
    "time": "2024-01-01T00:00:00.000000001Z",
    "writer": "local-1",
    "event": "run_started",
    "payload": {"tasks": 3, "pending": 2},
    "previous": "0" * 64,
}


def test_the_committed_schemas_are_current() -> None:
    assert {name: (SCHEMAS / name).read_text(encoding="utf-8") for name in schema_texts()} == (
        schema_texts()
    )


def test_they_are_schemas_of_draft_2020_12() -> None:
    jsonschema.Draft202012Validator.check_schema(journal_schema())
    for name in DOCUMENTS:
        jsonschema.Draft202012Validator.check_schema(record_schema(name))


def test_every_event_that_an_operator_asks_for_has_a_form() -> None:
    """The list is that of the journal's description in ``docs/operations.md``."""
    runs = {"initialised", "planned", "started", "resumed", "stopped", "completed", "failed"}
    asked = {f"run_{word}" for word in runs | {"killed", "verified"}}
    asked |= {
        f"{what}_{word}"
        for what in ("batch", "task")
        for word in ("started", "completed", "failed", "retried")
    }
    asked |= {"kill_activated", "kill_cleared", "drill_started", "drill_completed"}
    asked |= {"probe_completed", "readiness_checked", "reconciliation_completed"}

    assert asked <= EVENTS.keys()


def test_a_line_may_be_read_back() -> None:
    jsonschema.Draft202012Validator(journal_schema()).validate(LINE)


@pytest.mark.parametrize(
    "change",
    [
        {"sequence": -1},
        {"time": "2024-01-01T00:00:00Z"},
        {"writer": "../x"},
        {"event": "run_began"},
        {"event": "task_started"},
        {"payload": {"tasks": 3}},
        {"payload": {"tasks": "3", "pending": 2}},
        {"payload": {"tasks": 3, "pending": 2, "more": 1}},
        {"previous": "x"},
        {"more": 1},
    ],
    ids=json.dumps,
)
def test_what_is_no_line_is_refused(change: dict[str, Any]) -> None:
    for schema in (journal_schema(), validator("journal", "run_started").schema):
        assert not jsonschema.Draft202012Validator(schema).is_valid(LINE | change)
