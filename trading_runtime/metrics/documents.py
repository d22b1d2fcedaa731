"""JSON and times as they were stored by others, and perhaps damaged since."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def parse_document(content: bytes) -> dict[str, Any]:
    """Return a JSON object, empty when the bytes are none."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def part_of(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return an object inside of a document, empty when there is none."""
    found = document.get(name)
    return found if isinstance(found, dict) else {}


def count_of(document: Mapping[str, Any], name: str) -> int | None:
    """Return a whole number in a document, ``None`` when there is none."""
    found = document.get(name)
    return found if isinstance(found, int) else None


def seconds_of(text: object) -> float | None:
    """Return an ISO 8601 time as seconds since the epoch, ``None`` when it is none."""
    try:
        return dt.datetime.fromisoformat(str(text)).timestamp()
    except (ValueError, OverflowError):
        return None
