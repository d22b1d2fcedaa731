"""What happened in a run, in as many lines as people read: the timeline of its report."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from trading_runtime.runs.journal import chain_bytes, whole_lines, writers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

_MOST_FAILURES = 10
_DIGITS = 12
_COUNTED = {"task_started", "task_completed", "batch_started", "batch_completed", "order_refused"}
"""Too many to be told one by one."""


def timeline(journals: Path, metadata: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return times (UTC, to the second) and what happened, the earliest first.

    ``journals`` is the folder of a run's chains. Tasks are counted; those that failed are named, up
    to ten after each beginning. The last line is the status that the metadata have now.
    """
    entries = [
        entry
        for writer in writers(journals)
        for _, entry in whole_lines(chain_bytes(journals / writer))
    ]
    entries.sort(key=lambda entry: (entry["time"], entry["writer"], entry["sequence"]))
    lines = list(_lines(entries))
    history = metadata.get("history") or []
    if history:
        lines.append((_second(history[-1]["time"]), f"status {history[-1]['status']}"))
    return lines


def _lines(entries: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    counts: Counter[str] = Counter()
    latest = ""
    for entry in entries:
        event = entry["event"]
        if event in {"run_initialised", "run_resumed"}:
            yield from _totals(latest, counts)
            counts.clear()
        counts[event] += 1
        latest = entry["time"]
        if event in _COUNTED or (event == "task_failed" and counts[event] > _MOST_FAILURES):
            continue
        yield _second(entry["time"]), _told(event, entry["payload"])
    yield from _totals(latest, counts)


def _totals(latest: str, counts: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    parts = [
        f"{counts[event]:,} {words}"
        for event, words in (
            ("task_completed", "tasks completed"),
            ("task_failed", "tasks failed"),
            ("order_refused", "refusals of orders"),
        )
        if counts.get(event)
    ]
    if parts:
        yield _second(latest), ", ".join(parts)


def _told(event: str, payload: Mapping[str, Any]) -> str:
    name = event.replace("_", " ")
    shown = [
        f"{key.replace('_', ' ')} {_short(key, value)}"
        for key, value in payload.items()
        if isinstance(value, (str, int, float)) and key not in {"run_id", "message"}
    ]
    message = payload.get("message") or ""
    detail = ", ".join(shown)
    return ": ".join(part for part in (name, detail, message) if part)


def _short(key: str, value: object) -> str:
    text = str(value)
    return text[:_DIGITS] if key in {"task_id", "plan_digest", "run_digest"} else text


def _second(time: str) -> str:
    return f"{time[:10]} {time[11:19]}"
