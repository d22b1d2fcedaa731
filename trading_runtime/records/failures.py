"""Tasks without a result, typed: a failure file each, and ``missing.json`` for a second round."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trading_runtime.errors import Kind
from trading_runtime.records.events import Record
from trading_runtime.records.forms import read_record, to_document
from trading_runtime.redaction import redacted
from trading_runtime.storage.files import write_file
from trading_runtime.text import for_records

if TYPE_CHECKING:
    from pathlib import Path

    from trading_runtime.records.run_files import RunFiles

_AGAIN = "remove the file and run the experiment again with this run id"


@dataclass(frozen=True, kw_only=True)
class TaskFailure(Record):
    """Why a task has no result."""

    task_id: str
    kind: Kind
    exit_code: int
    """The exit code that reports the kind."""
    out_of_memory: bool
    """Whether more memory would help; only among failures of kind ``crash``."""
    message: str
    traceback: str

    @classmethod
    def of(
        cls,
        task_id: str,
        kind: Kind,
        message: str,
        traceback: str = "",
        *,
        out_of_memory: bool = False,
    ) -> TaskFailure:
        """Return a failure with the exit code of its kind."""
        return cls(
            task_id=task_id,
            kind=kind,
            exit_code=kind.exit_code,
            out_of_memory=out_of_memory,
            message=for_records(message),
            traceback=for_records(traceback),
        )

    @property
    def may_pass(self) -> bool:
        """Whether the task may succeed when retried elsewhere."""
        return self.kind in {Kind.TRANSIENT, Kind.STORAGE} or self.out_of_memory

    def to_document(self) -> dict[str, Any]:
        """Return the content of the failure file."""
        return to_document(self)


def write_failure(files: RunFiles, failure: TaskFailure) -> None:
    """Write a task's failure file, without secrets.

    Raises ``StorageError`` when it cannot be written.
    """
    content = redacted(failure.to_document())
    write_file(files.failure(failure.task_id), json.dumps(content, indent=1) + "\n")


def read_failure(path: Path) -> TaskFailure | None:
    """Return the failure in a file, ``None`` when there is no file.

    Raises ``DataError`` when it is damaged.
    """
    return read_record(path, TaskFailure, _AGAIN)


@dataclass(frozen=True, kw_only=True)
class MissingTasks(Record):
    """The tasks that a run's first round left, in batches: the content of ``missing.json``."""

    batches: Sequence[Sequence[int]]
    """The indices of each batch's tasks in the plan."""

    def to_json(self) -> str:
        """Return the text of ``missing.json``."""
        return json.dumps(to_document(self)) + "\n"


def read_missing(path: Path) -> MissingTasks | None:
    """Return the missing tasks that a run noted, ``None`` when there is no file.

    Raises ``DataError`` when it is damaged.
    """
    return read_record(path, MissingTasks, _AGAIN)
