"""How a run stands now, read without fetching the whole of it."""

from __future__ import annotations

import json
from types import NoneType
from typing import TYPE_CHECKING, Any

from trading_runtime.errors import StorageError
from trading_runtime.results.forms import check_form
from trading_runtime.runs.opening import is_running
from trading_runtime.runs.status import Status, standing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trading_runtime.results.forms import Form
    from trading_runtime.results.store import Store

_FORMS: dict[str, Form] = {
    **dict.fromkeys(("status", "started", "run_digest"), str),
    "ended": (str, NoneType),
    "history": list,
    "counts": dict.fromkeys(("planned", "ok", "failed", "missing"), int),
    "failed_by_kind": dict,
}
"""What is read of metadata and result, where it is there."""


def read_document(store: Store, run_id: str, name: str) -> dict[str, Any]:
    """Return a JSON file of a run as it is stored now; empty when it is absent or damaged."""
    try:
        content = json.loads(store.objects.read(f"runs/{run_id}/{name}"))
        check_form(content, {})
        there = {key: form for key, form in _FORMS.items() if key in content}
        check_form(content, there)
    except (OSError, ValueError, RecursionError):
        return {}
    except StorageError:
        # One file that cannot be read hides no other run; a storage that refuses hides them all.
        if not store.is_local:
            raise
        return {}
    return dict(content)


def shown_status(store: Store, run_id: str, metadata: Mapping[str, Any]) -> str:
    """Return the status of a run as people should read it; see ``status.standing``."""
    return standing(metadata, lambda: is_running(store, run_id))


def may_be_running(store: Store, run_id: str) -> bool:
    """Return whether a process has the run now, or pods may have it."""
    metadata = read_document(store, run_id, "metadata.json")
    return is_running(store, run_id) or shown_status(store, run_id, metadata) == Status.RUNNING
