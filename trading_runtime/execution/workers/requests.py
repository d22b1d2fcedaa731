"""What a parent sends its workers, one JSON document a line: written from a record, read as one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence  # noqa: TC003 - read from the annotations of records
from dataclasses import dataclass
from typing import Any

from trading_runtime.errors import Kind  # noqa: TC001 - read from the annotations of records
from trading_runtime.records.forms import read_as


@dataclass(frozen=True)
class WorkerRequest:
    """One line; its fields are plain JSON values."""

    def to_line(self) -> bytes:
        """Return the line that a worker reads."""
        return json.dumps(vars(self)).encode() + b"\n"


@dataclass(frozen=True, kw_only=True)
class CodeRequest(WorkerRequest):
    """Says where the strategy's code is."""

    folder: str
    """The experiment file's folder; paths in the experiment are relative to it."""
    search_paths: Sequence[str]
    """Where further modules of the strategy are found."""


@dataclass(frozen=True, kw_only=True)
class CheckRequest(CodeRequest):
    """Asks whether the engine accepts venue and strategy of a run that is being planned."""

    path: str
    """The strategy's class, as the experiment names it."""
    code: Sequence[str]
    common: Mapping[str, Any]
    """The document of ``CommonInputs``."""
    configs: Sequence[Any]
    """The strategy's encoded config for each point."""


@dataclass(frozen=True, kw_only=True)
class JobRequest(CodeRequest):
    """Tells a worker where it finds what its tasks need."""

    plan: str
    dataset: str
    results: str
    fetches: bool
    """Whether the parent fetches data when a task needs them."""
    most_growth: int
    """Bytes by which the worker may grow before it is replaced."""
    scratch: str


@dataclass(frozen=True)
class BatchRequest(WorkerRequest):
    """Hands over tasks of the plan."""

    tasks: Sequence[int]


@dataclass(frozen=True)
class FetchReply(WorkerRequest):
    """Says that the data a worker waits for is there, or why it is not."""

    kind: Kind
    message: str


def read_request(content: Any) -> CheckRequest | JobRequest | BatchRequest:
    """Return what a worker is asked: to check settings, to take on a job, or to run its tasks."""
    if "tasks" in content:
        return read_as(BatchRequest, content)
    if "configs" in content:
        return read_as(CheckRequest, content)
    return read_as(JobRequest, content)
