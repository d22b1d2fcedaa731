"""JSON and times as they were stored by others, and perhaps damaged since."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any


def parse_document(content: bytes) -> dict[str, Any]:
    """Return a JSON object, empty when the bytes are none."""
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def seconds_of(text: object) -> float | None:
    """Return an ISO 8601 time as seconds since the epoch, ``None`` when it is none."""
    try:
        return dt.datetime.fromisoformat(str(text)).timestamp()
    except ValueError:
        return None
