"""The failure file of a task, written when it gave no result."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from trading_runtime.errors import Kind
from trading_runtime.redaction import redacted
from trading_runtime.storage.files import write_file

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trading_runtime.records.run_files import RunFiles


def task_failure(
    task_id: str, kind: str, message: str, traceback: str = "", *, out_of_memory: bool = False
) -> dict[str, Any]:
    """Return the content of a task's failure file.

    ``out_of_memory`` marks, among failures of kind ``crash``, tasks that more memory would help.
    """
    return {
        "task_id": task_id,
        "kind": kind,
        "exit_code": Kind(kind).exit_code,
        "out_of_memory": out_of_memory,
        "message": message,
        "traceback": traceback,
    }


def write_failure(files: RunFiles, content: Mapping[str, Any]) -> None:
    """Write a task's failure file, without secrets.

    Raises ``StorageError`` when it cannot be written.
    """
    write_file(files.failure(content["task_id"]), json.dumps(redacted(content), indent=1) + "\n")
