"""Open a results folder wherever it lies: on disk, or in S3."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from trading_runtime.object_storage import is_s3, refuse_other_address
from trading_runtime.results.s3_store import S3Store
from trading_runtime.results.store import Store

if TYPE_CHECKING:
    from collections.abc import Sequence


def open_store(place: str | Path) -> Store:
    """Return the store at a folder's path, or at an address such as ``s3://bucket/prefix``.

    Raises ``UsageError`` for an address that is none.
    """
    if is_s3(str(place)):
        return S3Store(str(place))
    refuse_other_address(str(place))
    return Store(Path(place))


def stored_of(store: Store, task_ids: Sequence[str]) -> set[str]:
    """Return those of a few tasks whose results are stored whole, as of now."""
    if isinstance(store, S3Store):
        store.look_only_at(task_ids)
    return {task_id for task_id in task_ids if store.has_task(task_id)}
