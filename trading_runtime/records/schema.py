"""The JSON Schemas of what a run stores; the committed copies are in ``schemas``."""

from __future__ import annotations

import json
from typing import Any

from trading_runtime.config.schema import DRAFT, tidy
from trading_runtime.records import events, session_events
from trading_runtime.records.account import AccountState, LeaseRecord
from trading_runtime.records.events import Event, Record, as_dataclass
from trading_runtime.records.failures import MissingTasks, TaskFailure
from trading_runtime.records.journal import WRITER
from trading_runtime.records.metadata import RunMetadata
from trading_runtime.records.result import RunResult
from trading_runtime.records.trials import LedgerEntry, TrialCount

_HASH = "^[0-9a-f]{64}$"
_TIME = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{9}Z$"

DOCUMENTS: dict[str, type[Record]] = {
    "account": AccountState,
    "failure": TaskFailure,
    "lease": LeaseRecord,
    "ledger-entry": LedgerEntry,
    "metadata": RunMetadata,
    "missing": MissingTasks,
    "result": RunResult,
    "trials": TrialCount,
}
"""Every stored document of runs, of accounts and of the ledger, by name."""
EVENTS: dict[str, type[Event]] = {
    item.event: as_dataclass(item)
    for module in (events, session_events)
    for item in vars(module).values()
    if isinstance(item, type) and issubclass(item, Event) and item is not Event
}
"""Every event by its name."""


def journal_schema() -> dict[str, Any]:
    """Return the JSON Schema of one line of a journal, draft 2020-12."""
    from pydantic import TypeAdapter

    definitions: dict[str, Any] = {}
    forms = []
    for name, event in sorted(EVENTS.items()):
        schema = TypeAdapter(event).json_schema()
        definitions |= schema.pop("$defs", {})
        definitions[event.__name__] = schema
        forms.append(
            {
                "properties": {
                    "event": {"const": name},
                    "payload": {"$ref": f"#/$defs/{event.__name__}"},
                }
            }
        )
    properties = {
        "sequence": {
            "type": "integer",
            "minimum": 0,
            "description": "Place of the line in the chain of its writer, from 0.",
        },
        "time": {"type": "string", "pattern": _TIME, "description": "UTC, with nanoseconds."},
        "writer": {
            "type": "string",
            "pattern": f"^{WRITER}$",
            "description": "A process, or a pod.",
        },
        "event": {"enum": sorted(EVENTS)},
        "payload": {"type": "object"},
        "previous": {
            "type": "string",
            "pattern": _HASH,
            "description": "The sha256 of the line before it in this chain, without its end of "
            "line; of nothing for the first one.",
        },
    }
    content: dict[str, Any] = tidy(
        {
            "description": "A line of journal.jsonl, or of a file below journal.",
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
            "oneOf": forms,
            "$defs": dict(sorted(definitions.items())),
        }
    )
    return {"$schema": DRAFT, "title": "Trading Runtime journal", **content}


def record_schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema of a stored document of a run, draft 2020-12."""
    from pydantic import TypeAdapter

    content: dict[str, Any] = tidy(TypeAdapter(DOCUMENTS[name]).json_schema())
    return {"$schema": DRAFT, "title": f"Trading Runtime {name}", **content}


def schema_texts() -> dict[str, str]:
    """Return the schemas as committed, by file name."""
    schemas = {
        "journal.schema.json": journal_schema(),
        **{f"{name}.schema.json": record_schema(name) for name in DOCUMENTS},
    }
    return {
        name: json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
        for name, schema in schemas.items()
    }
