"""Whether the files of a run belong together: journal, metadata, plan, experiment and tables."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from trading_runtime.canonical import digest
from trading_runtime.errors import DataError, UsageError
from trading_runtime.records.journal import JournalCheck, JournalFinding, check_journal
from trading_runtime.records.plan import read_plan
from trading_runtime.records.status import Status
from trading_runtime.storage.files import read_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from trading_runtime.records.run_files import RunFiles


def check_run(files: RunFiles, *, running: bool = False) -> JournalCheck:
    """Check the journal of a run, and the files that its metadata and its result have digests of.

    What a run has not come to yet is not missed; ``running`` says that a process has it now.
    Raises ``DataError`` when its folder cannot be read.
    """
    check = JournalCheck()
    try:
        metadata = _document(check, files.metadata)
        ends = metadata.get("journal", {})
        if not _are_ends(ends):
            check.findings.append(
                JournalFinding(files.metadata.name, "journal is of the wrong form")
            )
            ends = {}
        ended = not running and metadata.get("status", Status.RUNNING) != Status.RUNNING
        found = check_journal(files, ends, ended=ended)
        check.writers, check.lines = found.writers, found.lines
        check.notes += found.notes
        check.findings += found.findings
        check.findings += _input_findings(files, metadata)
        result = _document(check, files.result) if files.result.exists() else {}
        check.findings += _table_findings(files, result)
    except OSError as error:
        raise DataError(f"{error.filename}: cannot be read: {error.strerror}") from error
    return check


def _document(check: JournalCheck, path: Path) -> dict[str, Any]:
    try:
        content = read_json(path)
    except DataError:
        check.findings.append(JournalFinding(path.name, "damaged: it is no JSON"))
        return {}
    if not isinstance(content, dict):
        what = "it is gone" if content is None else "damaged: it is no JSON object"
        check.findings.append(JournalFinding(path.name, what))
        return {}
    return content


def _are_ends(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(end, dict)
        and isinstance(end.get("lines"), int)
        and isinstance(end.get("last"), str)
        for end in value.values()
    )


def _input_findings(files: RunFiles, metadata: Mapping[str, Any]) -> Iterator[JournalFinding]:
    if not metadata:
        return
    name = files.plan.name
    try:
        plan = read_plan(files.plan)
    except UsageError:
        yield JournalFinding(name, "it is gone")
    except DataError as error:
        yield JournalFinding(name, str(error).partition("; ")[0].rpartition("damaged: ")[2])
    else:
        if plan.digest != metadata.get("plan_digest"):
            yield JournalFinding(name, "its tasks are not those of the metadata's plan_digest")
        if plan.dataset_digest != metadata.get("dataset_digest"):
            yield JournalFinding(name, "dataset_digest is not that of the metadata")
    name = files.experiment.name
    try:
        experiment = read_json(files.experiment)
    except DataError:
        yield JournalFinding(name, "damaged: it is no JSON")
        return
    if experiment is None:
        yield JournalFinding(name, "it is gone")
    elif digest(experiment) != metadata.get("config_digest"):
        yield JournalFinding(name, "its content is not that of the metadata's config_digest")


def _table_findings(files: RunFiles, result: Mapping[str, Any]) -> Iterator[JournalFinding]:
    tables = result.get("tables")
    if not isinstance(tables, dict):
        return
    for name, path in (("results", files.results), ("points", files.points)):
        if not path.exists():
            yield JournalFinding(path.name, "it is gone")
        elif hashlib.sha256(path.read_bytes()).hexdigest() != tables.get(name):
            yield JournalFinding(path.name, "its sha256 is not that of result.json")
