"""The plan that a run left: read with care, since paths are built from what it says."""

from __future__ import annotations

import contextlib
import re
from types import NoneType
from typing import TYPE_CHECKING, Any

from trading_runtime.canonical import digest
from trading_runtime.errors import DataError, UsageError
from trading_runtime.results.forms import check_form
from trading_runtime.storage.files import read_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from trading_runtime.results.forms import Form
    from trading_runtime.results.store import RunFiles, Store

_TASK_ID = re.compile(r"[0-9a-f]{64}")
_PREFIX = re.compile(r"[0-9a-f]{4,64}")
_SHOWN = 12
_WHOLE_PLAN: Form = {
    "common": {
        "code": {"runtime": str, "strategy": str},
        "packages": dict,
        "strategy": {"config_path": (str, NoneType)},
    },
    "strategy": {"path": str, "code": [str], "config": dict},
    "instruments": dict,
    "dataset_digest": str,
    "points": [{"parameters": dict, "config": dict}],
    "partitions": [
        {
            "start": str,
            "end": str,
            "warmup_start": str,
            "instruments": [str],
            "data": [{"row_groups": [{"path": str, "index": int, "sha256": str}]}],
        }
    ],
}


def read_plan(files: RunFiles) -> dict[str, Any]:
    """Return the content of a run's ``plan.json``.

    Raises ``UsageError`` when the run has none, ``DataError`` when it cannot be read or is no plan.
    """
    plan = read_json(files.plan)
    if plan is None:
        raise UsageError(
            f"{files.plan}: there is no plan: the run did not come to its start; run the "
            "experiment again with this run id"
        )
    try:
        for part in ("common", "strategy", "instruments"):
            _must(isinstance(plan[part], dict), part)
        points, partitions = len(plan["points"]), len(plan["partitions"])
        for number, task in enumerate(plan["tasks"]):
            place = f"tasks[{number}]"
            _must(is_task_id(task["task_id"]), f"{place}.task_id")
            _must(task["point"] in range(points), f"{place}.point")
            _must(task["partition"] in range(partitions), f"{place}.partition")
    except (KeyError, TypeError) as error:
        raise _damaged(files.plan, f"{error} is missing or of the wrong type") from error
    except ValueError as error:
        raise _damaged(files.plan, str(error)) from error
    return dict(plan)


def refuse_other_plan(metadata: Mapping[str, Any] | None, plan_digest: str, run_id: str) -> None:
    """Raise ``UsageError`` when a run's ``metadata.json`` says that it has another plan."""
    if metadata is not None and metadata.get("plan_digest") != plan_digest:
        raise UsageError(
            f"run {run_id!r} exists with another plan (other tasks); choose another "
            "--run-id, or leave it out to get a new one"
        )


def read_whole_plan(files: RunFiles) -> dict[str, Any]:
    """Return a run's plan of which all was checked that running or comparing its tasks needs.

    Raises what ``read_plan`` raises.
    """
    plan = read_plan(files)
    try:
        check_form(plan, _WHOLE_PLAN)
    except ValueError as error:
        raise _damaged(files.plan, str(error)) from error
    return plan


def is_task_id(text: object) -> bool:
    """Return whether ``text`` is a whole task id."""
    return isinstance(text, str) and _TASK_ID.fullmatch(text) is not None


def is_task_prefix(text: str) -> bool:
    """Return whether ``text`` can be the beginning of a task id: 4 to 64 hexadecimal digits."""
    return _PREFIX.fullmatch(text) is not None


def pick(prefix: str, ids: Iterable[str], where: str) -> str:
    """Return the one id of ``ids`` that begins with ``prefix``.

    Raises ``UsageError`` when ``prefix`` cannot begin an id, or none or several begin with it.
    """
    if not is_task_prefix(prefix):
        raise UsageError(
            f"task {prefix[:80]!r}: accepted are the first 4 to 64 hexadecimal digits of a task id "
            "(column task_id of results.parquet)"
        )
    found = sorted({identity for identity in ids if identity.startswith(prefix)})
    if not found:
        raise UsageError(f"no task {prefix[:_SHOWN]!r} in {where}")
    if len(found) > 1:
        several = ", ".join(identity[: len(prefix) + 4] for identity in found[:5])
        raise UsageError(
            f"{len(found)} tasks in {where} begin with {prefix!r} ({several}); write more digits"
        )
    return found[0]


def stored_ids(store: Store, prefix: str) -> list[str]:
    """Return the ids of the stored tasks that begin with ``prefix``, of two digits or more."""
    folder = store.task(prefix).parent
    with contextlib.suppress(FileNotFoundError):
        names = (path.name for path in folder.iterdir())
        return sorted(name for name in names if is_task_id(name) and name.startswith(prefix))
    return []


def run_digest(store: Store, plan: Mapping[str, Any]) -> str:
    """Return the digest over the manifests of a plan's tasks, as ``result.json`` states it.

    Raises ``OSError`` when a task is not stored.
    """
    ids = [task["task_id"] for task in plan["tasks"]]
    return digest(sorted((identity, store.manifest_digest(identity)) for identity in ids))


def _must(holds: bool, place: str) -> None:  # noqa: FBT001 - reads as a sentence
    if not holds:
        raise ValueError(f"{place} is of the wrong form")


def _damaged(path: Path, what: str) -> DataError:
    return DataError(f"{path}: damaged: {what}; run the experiment again")
