"""What a run is and how it is doing: status and its history, who and where, versions and hashes."""

from __future__ import annotations

import contextlib
import datetime as dt
import getpass
import json
import platform
from typing import TYPE_CHECKING, Any

from trading_runtime.records.events import ExecutorKind, Mode
from trading_runtime.records.journal import merge_journals
from trading_runtime.records.status import Status
from trading_runtime.redaction import redacted
from trading_runtime.results.run_records import read_metadata
from trading_runtime.storage.files import read_json, write_file

if TYPE_CHECKING:
    from trading_runtime.records.run_files import RunFiles


__all__ = ["Metadata", "Status", "now_text", "seal_run"]


class Metadata:
    """The content of ``metadata.json``, written anew at each change."""

    def __init__(self, files: RunFiles, content: dict[str, Any]) -> None:
        self._files = files
        self.content = content
        self.earlier: str | None = None
        """The status that the run had before it began again; ``None`` when it is new."""

    @classmethod
    def begin(cls, files: RunFiles, **facts: Any) -> Metadata:
        """Start, or start again, the run that ``files`` belong to.

        A pod says ``executor=ExecutorKind.ARGO``, and in ``image`` its image by digest.
        """
        previous = read_metadata(files) or {}
        content = {
            "mode": Mode.RESEARCH,
            "executor": ExecutorKind.LOCAL,
            "image": None,
            **facts,
            "host": platform.node(),
            "user": _user(),
            "started": previous.get("started") or now_text(),
            "ended": None,
            "history": previous.get("history", []),
            "journal": previous.get("journal", {}),
        }
        metadata = cls(files, content)
        metadata.earlier = previous.get("status")
        metadata.set(Status.RUNNING)
        return metadata

    def set(self, status: Status, **facts: Any) -> None:
        """Record that the run has reached ``status``."""
        moment = now_text()
        self.content |= facts
        self.content["status"] = status
        self.content["history"].append({"status": status, "time": moment})
        self.content["ended"] = None if status is Status.RUNNING else moment
        self._write()

    def seal(self) -> None:
        """Merge the journal, and keep how each writer's chain ends."""
        self.content["journal"] = merge_journals(self._files)
        self._write()

    def _write(self) -> None:
        _write(self._files, self.content)


def seal_run(files: RunFiles) -> None:
    """Do what ``Metadata.seal`` does, for a run that has ended.

    Raises ``DataError`` when its metadata cannot be read.
    """
    content = read_json(files.metadata)
    ends = merge_journals(files)
    if isinstance(content, dict):
        _write(files, content | {"journal": ends})


def _write(files: RunFiles, content: dict[str, Any]) -> None:
    text = json.dumps(redacted(content), indent=1, ensure_ascii=False) + "\n"
    # The first of its folder is the experiment; a folder that is gone since was taken away.
    write_file(files.metadata, text.encode(errors="backslashreplace"), in_new_folder=False)


def now_text() -> str:
    """Return the present moment as ISO 8601 in UTC."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _user() -> str | None:
    # A container's user may have no name.
    with contextlib.suppress(OSError, KeyError):
        return getpass.getuser()
    return None
