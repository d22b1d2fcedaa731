"""What a worker answers, read by a parent that does not trust it: anything else is a failure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence  # noqa: TC003 - read from the annotations of records
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from trading_runtime.errors import Kind
from trading_runtime.execution.executor import TaskEnded
from trading_runtime.records.forms import read_as
from trading_runtime.redaction import of_others
from trading_runtime.text import MOST_MESSAGE, MOST_TRACEBACK

MOST_LINE = 4 << 20
"""Bytes of one answer; a worker's own are far shorter."""
_MOST_RULES = 1_000


class GarbledError(Exception):
    """A worker answered what no worker of ours answers."""


@dataclass(frozen=True)
class Ready:
    """It has imported the engine."""

    event: ClassVar = "ready"


@dataclass(frozen=True)
class Needs:
    """It waits for the data of a partition, and will need that of the next ones."""

    event: ClassVar = "needs"
    partition: int
    ahead: tuple[int, ...]


@dataclass(frozen=True)
class Started:
    """It begins a task."""

    event: ClassVar = "task_started"
    task: int


@dataclass(frozen=True)
class Ended:
    """It ended a task."""

    event: ClassVar = "task_ended"
    task: int
    status: Kind
    seconds: float
    rows: int
    message: str
    traceback: str
    memory_bytes: int
    out_of_memory: bool
    risk_refusals: dict[str, int] | None

    def as_event(self, worker: int, fetched_bytes: int) -> TaskEnded:
        """Return the event that reports it."""
        return TaskEnded(
            *(self.task, worker, self.status, self.seconds, self.rows),
            *(self.message, self.traceback, self.memory_bytes, fetched_bytes),
            *(self.out_of_memory, self.risk_refusals),
        )


@dataclass(frozen=True)
class Checked:
    """What the engine says about the settings of a run that is being planned."""

    kind: Kind
    message: str
    defaults: Mapping[str, Sequence[str]]
    """The fields that keep their defaults, each with the texts in its default."""


type Answer = Ready | Needs | Started | Ended


def read_answer(line: bytes) -> Answer:
    """Return what a line says; raises ``GarbledError`` when no worker says that."""
    try:
        content = json.loads(line)
        event = content["event"]
        if event == Ready.event:
            return Ready()
        if event == Needs.event:
            return Needs(_count(content, "partition"), tuple(map(_whole, content["ahead"])))
        if event == Started.event:
            return Started(_count(content, "task"))
        if event == Ended.event:
            return _ended(content)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise GarbledError(f"{type(error).__name__}") from error
    raise GarbledError("an unknown event")


def read_checked(content: Mapping[str, Any]) -> Checked:
    """Return what a worker says about settings; raises ``ValueError`` for anything else."""
    found = read_as(Checked, content)
    return replace(found, message=of_others(found.message, MOST_TRACEBACK))


def _ended(content: Mapping[str, Any]) -> Ended:
    refusals = content.get("risk_refusals")
    if refusals is not None:
        if len(refusals) > _MOST_RULES:
            raise ValueError("too many rules")
        refusals = {str(rule)[:200]: _whole(count) for rule, count in refusals.items()}
    return Ended(
        task=_count(content, "task"),
        status=Kind(content["status"]),
        seconds=min(max(float(content["seconds"]), 0.0), 1e9),
        rows=_count(content, "rows"),
        message=of_others(str(content.get("message", "")), MOST_MESSAGE),
        traceback=of_others(str(content.get("traceback", "")), MOST_TRACEBACK),
        memory_bytes=_count(content, "memory_bytes"),
        out_of_memory=content.get("out_of_memory") is True,
        risk_refusals=refusals,
    )


def _count(content: Mapping[str, Any], key: str) -> int:
    return _whole(content[key])


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 62:
        raise ValueError("no count")
    return value
