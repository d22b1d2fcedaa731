"""What a run is and how it went: status and its history, who and where, versions and hashes."""

from __future__ import annotations

import contextlib
import datetime as dt
import getpass
import json
import platform
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from trading_runtime.results.store import read_json, write_file

if TYPE_CHECKING:
    from trading_runtime.results.store import RunFiles


class Status(StrEnum):
    """Where a run stands."""

    RUNNING = "running"
    COMPLETE = "complete"
    INCOMPLETE = "incomplete"
    STOPPED = "stopped"
    FAILED = "failed"


class Metadata:
    """The content of ``metadata.json``, written anew at each change."""

    def __init__(self, files: RunFiles, content: dict[str, Any]) -> None:
        self._files = files
        self.content = content

    @classmethod
    def begin(cls, files: RunFiles, **facts: Any) -> Metadata:
        """Start, or start again, the run that ``files`` belong to."""
        previous = read_json(files.metadata) or {}
        content = {
            "mode": "local",
            **facts,
            "host": platform.node(),
            "user": _user(),
            "started": previous.get("started") or now_text(),
            "ended": None,
            "history": previous.get("history", []),
        }
        metadata = cls(files, content)
        metadata.set(Status.RUNNING)
        return metadata

    def set(self, status: Status, **facts: Any) -> None:
        """Record that the run has reached ``status``."""
        moment = now_text()
        self.content |= facts
        self.content["status"] = status
        self.content["history"].append({"status": status, "time": moment})
        self.content["ended"] = None if status is Status.RUNNING else moment
        write_file(
            self._files.metadata, json.dumps(self.content, indent=1, ensure_ascii=False) + "\n"
        )


def now_text() -> str:
    """Return the present moment as ISO 8601 in UTC."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _user() -> str | None:
    # A container's user may have no name.
    with contextlib.suppress(OSError, KeyError):
        return getpass.getuser()
    return None
