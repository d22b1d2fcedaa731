"""What a run is and how it is doing: status history, who, where, versions and hashes."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import TYPE_CHECKING

from trading_runtime.errors import DataError
from trading_runtime.records.journal import merge_journals
from trading_runtime.records.metadata import StatusChange, read_metadata
from trading_runtime.records.seal import (
    file_digests,
    is_sealed_as,
    sealed,
    sealed_paths,
    unsealed,
    write_metadata,
)
from trading_runtime.records.status import Status
from trading_runtime.storage.files import file_sha256, read_bytes, sync_files
from trading_runtime.text import for_records

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trading_runtime.records.metadata import RunMetadata
    from trading_runtime.records.run_files import RunFiles


__all__ = ["Metadata", "Status", "now_text", "reopen_run", "seal_again"]


class Metadata:
    """The metadata of a run that this process writes.

    The file says that a run has ended only once the end is complete: ``set`` decides how it ends,
    and ``seal``, the last step, stores it. If the process dies in between, the run has died.
    """

    def __init__(self, files: RunFiles, now: RunMetadata) -> None:
        self._files = files
        self.now = unsealed(now)
        self.earlier: Status | None = None
        """The run's status before it began again; ``None`` when the run is new."""

    @classmethod
    def begin(cls, files: RunFiles, described: RunMetadata) -> Metadata:
        """Start the run that ``files`` belong to, or resume it.

        When it first began, its history and its journal are those of earlier attempts.
        """
        previous = read_metadata(files)
        if previous is not None:
            described = replace(
                described,
                started=previous.started,
                history=previous.history,
                journal=previous.journal,
            )
        metadata = cls(files, described)
        metadata.earlier = None if previous is None else previous.status
        metadata.set(Status.RUNNING)
        return metadata

    def set(self, status: Status, error: str | None = None) -> None:
        """Record that the run has reached ``status``; an end is stored by ``seal``."""
        moment = now_text()
        self.now = replace(
            self.now,
            status=status,
            error=self.now.error if error is None else for_records(error),
            history=(*self.now.history, StatusChange(status=status, time=moment)),
            ended=None if status is Status.RUNNING else moment,
        )
        if status is Status.RUNNING:
            write_metadata(self._files, self.now)

    def replan(self, plan_digest: str) -> None:
        """Record the digest of the plan that replaced the one that the run began with."""
        self.now = replace(self.now, plan_digest=plan_digest)

    def seal(self, finish: Callable[[RunMetadata], None] = lambda _: None) -> None:
        """End the run: merge its journal, hash all its files, and store how it ended.

        ``finish`` is called with the final metadata before the files are hashed, and writes what is
        made from it.
        """
        self.now = replace(self.now, journal=merge_journals(self._files))
        # The other files are written by ``write_file``.
        sync_files(self._files.journals.rglob("*.jsonl"))
        finish(self.now)
        write_metadata(self._files, sealed(self.now, file_digests(self._files)))


def reopen_run(files: RunFiles) -> None:
    """Mark an ended run as running again in its metadata: its files are about to change."""
    metadata = read_metadata(files)
    if metadata is not None and metadata.status is not Status.RUNNING:
        reopened = replace(unsealed(metadata), status=Status.RUNNING, ended=None)
        write_metadata(files, reopened)


def seal_again(files: RunFiles, *changed: Path) -> None:
    """Add new journal lines, and files, to the sealed end of a run.

    ``changed`` are these files. The digests of all others stay what they were. Raises ``DataError``
    when the metadata cannot be read, or differ from what was sealed.
    """
    metadata = read_metadata(files)
    if metadata is None:
        merge_journals(files)
        return
    if metadata.seal is not None and not (
        is_sealed_as(read_bytes(files.metadata)) and metadata.files is not None
    ):
        raise DataError(f"{files.metadata}: damaged: it is not what it was sealed as")
    metadata = replace(metadata, journal=merge_journals(files))
    if metadata.seal is None or metadata.files is None:
        write_metadata(files, metadata)
        return
    journal = f"{files.journals.name}/"
    names = {path.relative_to(files.folder).as_posix() for path in (files.journal, *changed)}
    digests = dict(metadata.files)
    for name, path in sealed_paths(files):
        if name in names or name.startswith(journal):
            digests[name] = file_sha256(path)
    write_metadata(files, sealed(metadata, digests))


def now_text() -> str:
    """Return the current time as ISO 8601 in UTC."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
