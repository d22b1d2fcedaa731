"""What a run is and how it is doing: status history, who, where, versions and hashes."""

from __future__ import annotations

import contextlib
import datetime as dt
import getpass
import platform
from typing import TYPE_CHECKING, Any

from trading_runtime.errors import DataError
from trading_runtime.records.events import ExecutorKind, Mode
from trading_runtime.records.journal import merge_journals
from trading_runtime.records.seal import (
    file_digests,
    is_sealed_as,
    sealed,
    sealed_paths,
    unsealed,
    write_metadata,
)
from trading_runtime.records.status import Status
from trading_runtime.results.run_records import read_metadata
from trading_runtime.storage.files import file_sha256, read_bytes, read_json

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trading_runtime.records.run_files import RunFiles


__all__ = ["Metadata", "Status", "now_text", "reopen_run", "seal_again"]


class Metadata:
    """The content of ``metadata.json``.

    The file says that a run has ended only once the end is complete: ``set`` decides how it ends,
    and ``seal``, the last step, stores it. If the process dies in between, the run has died.
    """

    def __init__(self, files: RunFiles, content: dict[str, Any]) -> None:
        self._files = files
        self.content = unsealed(content)
        self.earlier: str | None = None
        """The run's status before it began again; ``None`` when the run is new."""

    @classmethod
    def begin(cls, files: RunFiles, **facts: Any) -> Metadata:
        """Start or resume the run that ``files`` belong to.

        A pod passes ``executor=ExecutorKind.ARGO``, and in ``image`` its image by digest.
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
        """Record that the run has reached ``status``; an end is stored by ``seal``."""
        moment = now_text()
        self.content |= facts
        self.content["status"] = status
        self.content["history"].append({"status": status, "time": moment})
        self.content["ended"] = None if status is Status.RUNNING else moment
        if status is Status.RUNNING:
            write_metadata(self._files, self.content)

    def seal(self, finish: Callable[[dict[str, Any]], None] = lambda _: None) -> None:
        """End the run: merge its journal, hash all its files, and store how it ended.

        ``finish`` is called with the final content before the files are hashed, and writes what is
        made from it.
        """
        self.content["journal"] = merge_journals(self._files)
        finish(self.content)
        write_metadata(self._files, sealed(self.content, file_digests(self._files)))


def reopen_run(files: RunFiles) -> None:
    """Mark an ended run as running again in its metadata: its files are about to change."""
    content = read_metadata(files)
    if content is not None and content["status"] != Status.RUNNING:
        write_metadata(files, unsealed(content) | {"status": Status.RUNNING, "ended": None})


def seal_again(files: RunFiles, *changed: Path) -> None:
    """Add new journal lines, and files, to the sealed end of a run.

    ``changed`` are these files. The digests of all others stay what they were. Raises ``DataError``
    when the metadata cannot be read, or differ from what was sealed.
    """
    content = read_json(files.metadata)
    if content is None:
        merge_journals(files)
        return
    if "seal" in content and not (
        is_sealed_as(read_bytes(files.metadata), content) and isinstance(content["files"], dict)
    ):
        raise DataError(f"{files.metadata}: damaged: it is not what it was sealed as")
    ends = merge_journals(files)
    if "seal" not in content:
        write_metadata(files, content | {"journal": ends})
        return
    journal = f"{files.journals.name}/"
    names = {path.relative_to(files.folder).as_posix() for path in (files.journal, *changed)}
    digests = content["files"] | {
        name: file_sha256(path)
        for name, path in sealed_paths(files)
        if name in names or name.startswith(journal)
    }
    write_metadata(files, sealed(unsealed(content) | {"journal": ends}, digests))


def now_text() -> str:
    """Return the current time as ISO 8601 in UTC."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _user() -> str | None:
    # A container's user may have no name.
    with contextlib.suppress(OSError, KeyError):
        return getpass.getuser()
    return None
