"""Run ids: a name that is safe as a folder, checked before any path is built from it."""

from __future__ import annotations

import datetime as dt
import re

from trading_runtime.errors import UsageError

_RUN_ID = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?")


def check_run_id(text: str) -> str:
    """Return ``text`` when it is a run id; raises ``UsageError`` otherwise."""
    if not _RUN_ID.fullmatch(text):
        raise UsageError(
            f"run id {text[:80]!r}: accepted are 1 to 63 lower-case letters, digits, '.' and '-', "
            "beginning and ending with a letter or digit"
        )
    return text


def new_run_id(experiment_name: str, now: dt.datetime, taken: set[str]) -> str:
    """Return an id from the experiment's name and the time, which no run has yet."""
    stem = f"{experiment_name}-{now.astimezone(dt.UTC):%Y%m%dt%H%M%S}"
    numbered = (f"{stem}-{number}" for number in range(2, len(taken) + 3))
    return check_run_id(stem if stem not in taken else next(n for n in numbered if n not in taken))
