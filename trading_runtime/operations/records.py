"""Where operations record their findings: the last state of each, and a journal of all.

operations/<name>.json          the last readiness check, the last probe
operations/journal/<writer>/…   chains of events, as those of runs
drills/<name>.json              the last of each drill
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from trading_runtime.records.journal import Journal, new_writer
from trading_runtime.redaction import redacted
from trading_runtime.storage.files import write_file
from trading_runtime.text import for_records

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trading_runtime.records.events import Event
    from trading_runtime.results.store import Store

FORMAT = 1


def content_of(state: Mapping[str, Any]) -> str:
    """Return a state as the text of its file, without secrets."""
    content = redacted({"format": FORMAT, **state})
    return for_records(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def write_state(store: Store, name: str, state: Mapping[str, Any]) -> None:
    """Write a state as ``name`` (such as ``operations/probe.json``) to a results folder.

    Raises ``StorageError`` or ``TransientError`` when it cannot be written.
    """
    path = store.root / name
    write_file(path, content_of(state))
    store.publish(path)


def journal(store: Store, name: str, *events: Event) -> None:
    """Append events to the journal of operations, in a chain that begins with ``name``."""
    with Journal(store.root / "operations" / "journal", new_writer(name)) as chain:
        for event in events:
            chain.write(event)
        store.publish_part(chain.end_part)
