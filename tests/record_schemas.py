"""What a run writes down, held to the JSON Schemas that are committed."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import jsonschema

from trading_runtime.canonical import digest

SCHEMAS = Path(__file__).resolve().parent.parent / "schemas"
DOCUMENTS = {
    "failure": ("failures/*.json", "exit_code"),
    "metadata": ("metadata.json", "config_digest"),
    "missing": ("missing.json", "batches"),
    "result": ("result.json", "incidents"),
    "trials": ("trials.json", "of_this_run"),
}
"""Where each document of a run is, and a key that the program always writes."""


@functools.cache
def schema(name: str) -> dict[str, Any]:
    """Return a committed schema."""
    content: dict[str, Any] = json.loads((SCHEMAS / f"{name}.schema.json").read_bytes())
    return content


@functools.cache
def validator(name: str, event: str | None = None) -> jsonschema.Draft202012Validator:
    """Return what checks by a schema; for a journal's line only by the form of its event."""
    content = dict(schema(name))
    if event is not None:
        forms = [form for form in content["oneOf"] if form["properties"]["event"]["const"] == event]
        content["oneOf"] = forms or content["oneOf"]
    return jsonschema.Draft202012Validator(content)


def check_line(line: bytes) -> None:
    """Fail unless a line of a journal is of its schema."""
    entry = json.loads(line)
    validator("journal", entry["event"]).validate(entry)


def check_records(folder: Path) -> None:
    """Fail unless all journals and documents of runs below a folder are of their schemas."""
    for path in sorted(folder.rglob("journal/*/*.jsonl")):
        for line in path.read_bytes().splitlines():
            check_line(line)
    for name, (place, always) in DOCUMENTS.items():
        for path in sorted(folder.rglob(f"runs/*/{place}")):
            content = json.loads(path.read_bytes())
            # Those that a test made up hold only what it is about.
            if always in content:
                validator(name).validate(content)
    for path in sorted(folder.rglob("accounts/*/*.json")):
        if (kept := {"state": "account", "lease": "lease"}.get(path.stem)) is not None:
            validator(kept).validate(json.loads(path.read_bytes()))
    for path in sorted(folder.rglob("ledger/*.json")):
        content = json.loads(path.read_bytes())
        # Those that a test damaged have another name than their content gives.
        if path.stem == digest(content):
            validator("ledger-entry").validate(content)
