"""The result of a run, typed: the content of ``result.json``, read and checked in one place."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from trading_runtime.records.events import Record
from trading_runtime.records.forms import parse_record, read_record, to_document
from trading_runtime.records.plan import PlannedObjective
from trading_runtime.records.run_files import RUN_AGAIN
from trading_runtime.records.run_warnings import RunWarning
from trading_runtime.text import for_records

if TYPE_CHECKING:
    from trading_runtime.records.run_files import RunFiles

RESULT_FORMAT = 1
_DESCRIBED: dict[str, Any] = {"use_attribute_docstrings": True}


@dataclass(frozen=True, kw_only=True)
class TaskCounts(Record):
    """The number of tasks, and how they ended."""

    __pydantic_config__: ClassVar = _DESCRIBED
    planned: int
    ok: int
    failed: int
    missing: int
    """Tasks with neither a result nor a failure."""


@dataclass(frozen=True, kw_only=True)
class BestPoint(Record):
    """The best point by the run's objective."""

    __pydantic_config__: ClassVar = _DESCRIBED
    point: int
    """Its index in the plan."""
    parameters: Mapping[str, Any]
    value: str | int | float
    """The objective's metric; money is a decimal string."""


@dataclass(frozen=True, kw_only=True)
class FrontPoint(Record):
    """A point that no other beats in all objectives."""

    __pydantic_config__: ClassVar = _DESCRIBED
    point: int
    """Its index in the plan."""
    parameters: Mapping[str, Any]
    values: Sequence[str | int | float]
    """Its value of each objective; money is a decimal string."""


@dataclass(frozen=True, kw_only=True)
class Front(Record):
    """The points that no other beats in all objectives."""

    __pydantic_config__: ClassVar = _DESCRIBED
    objectives: Sequence[PlannedObjective]
    points: Sequence[FrontPoint]
    """The best by the first objective come first."""


@dataclass(frozen=True, kw_only=True)
class TableDigests(Record):
    """What a run's tables are made from, and their bytes."""

    __pydantic_config__: ClassVar = _DESCRIBED
    made_from: str
    """The sha256 of everything that the tables follow from."""
    results: str
    """The sha256 of ``results.parquet``."""
    points: str
    """The sha256 of ``points.parquet``."""


@dataclass(frozen=True, kw_only=True)
class RunResult(Record):
    """The outcome of a run's tasks."""

    __pydantic_config__: ClassVar = _DESCRIBED
    format: int = RESULT_FORMAT
    run_digest: str
    """The sha256 over the manifests of all results: equal for runs with equal results."""
    complete: bool
    """Whether every planned task is ok."""
    counts: TaskCounts
    failed_by_kind: Mapping[str, int]
    objective: PlannedObjective
    best: BestPoint | None
    """``null`` when a task has no result, or no point has a value of the objective."""
    front: Front | None = None
    """Of a run with several objectives."""
    luck: Mapping[str, Any] | None = None
    """What the statistics of luck say about the best point; absent when there is too little to
    judge."""
    incidents: Mapping[str, Mapping[str, int]]
    """What went wrong without failing a task: counts over all tasks, by kind."""
    warnings: Sequence[RunWarning]
    tables: TableDigests | None = None
    """Of a complete run."""

    def to_document(self) -> dict[str, Any]:
        """Return the content of ``result.json``."""
        return to_document(self) | {"warnings": [item.document() for item in self.warnings]}

    def to_json(self) -> str:
        """Return the text of ``result.json``."""
        return for_records(json.dumps(self.to_document(), indent=1, ensure_ascii=False)) + "\n"


def read_result(files: RunFiles) -> RunResult | None:
    """Return the result of a run, ``None`` when it has not reached its summary.

    Raises ``DataError`` when it is damaged.
    """
    return read_record(files.result, RunResult, RUN_AGAIN)


def parse_result(content: bytes) -> RunResult | None:
    """Return the result in the bytes of a file, ``None`` when they are damaged."""
    return parse_record(content, RunResult)
