"""Task ids as people write them, and the digest over the tasks of a plan."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from trading_runtime.canonical import digest
from trading_runtime.errors import UsageError
from trading_runtime.records.plan import is_task_id

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trading_runtime.records.metadata import RunMetadata
    from trading_runtime.records.plan import Plan
    from trading_runtime.results.store import Store

_PREFIX = re.compile(r"[0-9a-f]{4,64}")
_SHOWN = 12


def refuse_other_plan(metadata: RunMetadata | None, plan_digest: str, run_id: str) -> None:
    """Raise ``UsageError`` when a run's metadata state another plan."""
    if metadata is not None and metadata.plan_digest != plan_digest:
        raise UsageError(
            f"run {run_id!r} exists with another plan (other tasks); choose another "
            "--run-id, or leave it out to get a new one"
        )


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
    names = store.objects.folders(f"tasks/{prefix[:2]}")
    return [name for name in names if is_task_id(name) and name.startswith(prefix)]


def run_digest(store: Store, plan: Plan) -> str:
    """Return the digest over the manifests of a plan's tasks, as ``result.json`` states it.

    Raises ``OSError`` when a task is not stored.
    """
    return digest(sorted((identity, store.manifest_digest(identity)) for identity in plan.task_ids))
