"""Check that the files of a run agree: journal, metadata, plan, experiment and tables."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trading_runtime.canonical import digest
from trading_runtime.errors import DataError, UsageError
from trading_runtime.planning.identity import (
    decode_values,
    partition_digests,
    shown_values,
    task_id_of_digests,
)
from trading_runtime.records.forms import read_as
from trading_runtime.records.journal import JournalCheck, JournalFinding, check_journal
from trading_runtime.records.metadata import RunMetadata
from trading_runtime.records.plan import read_plan
from trading_runtime.records.seal import is_sealed_as, sealed_paths, stray_names
from trading_runtime.records.status import Status
from trading_runtime.results.recomputation import check_against_tasks
from trading_runtime.storage.files import file_sha256, read_bytes, read_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from trading_runtime.records.plan import Plan
    from trading_runtime.records.run_files import RunFiles
    from trading_runtime.results.store import Store


@dataclass
class RunCheck(JournalCheck):
    """The findings of a check of a run's files."""

    plan: Plan | None = None
    """The run's plan, if it is sound."""


def check_run(files: RunFiles, *, running: bool = False, store: Store | None = None) -> RunCheck:
    """Check the files of a run against its sealed end, its journal, and what they follow from.

    Task ids are derived again from the plan, and result and tables from the tasks in ``store``, if
    it is given.

    Files that a run has not reached yet are not missed; ``running`` says that a process holds it
    now. Raises ``DataError`` when its folder cannot be read.
    """
    check = RunCheck()
    if not any(path.exists() for path in (files.metadata, files.journals, files.result)):
        # The inputs are written first: its process died, or is about to write the metadata.
        check.notes.append(
            JournalFinding(files.metadata.name, "there is none: the run has not begun")
        )
        return check
    try:
        metadata = _metadata(check, files.metadata)
        ended = not running and metadata is not None and metadata.status is not Status.RUNNING
        found = check_journal(files, {} if metadata is None else metadata.journal, ended=ended)
        check.writers, check.lines = found.writers, found.lines
        check.notes += found.notes
        check.findings += found.findings
        check.plan = plan = _read_plan(check, files)
        if metadata is not None:
            check.findings += _input_findings(files, plan, metadata)
        result = _document(check, files.result) if files.result.exists() else {}
        check.findings += _table_findings(files, result)
        if metadata is not None and ended:
            check.findings += _seal_findings(files, metadata, check.findings)
            if store is not None and plan is not None and metadata.status in _SUMMARISED:
                with contextlib.suppress(DataError, UsageError):  # already reported
                    check_against_tasks(check, store, files, plan)
    except OSError as error:
        raise DataError(f"{error.filename}: cannot be read: {error.strerror}") from error
    return check


_SUMMARISED = {Status.COMPLETE, Status.INCOMPLETE}
"""Runs of any other status may have an earlier attempt's result, without tasks added since."""


_ADDED = "it was added after the run had ended"


def _seal_findings(
    files: RunFiles, metadata: RunMetadata, reported: Sequence[JournalFinding]
) -> list[JournalFinding]:
    """Compare each file of an ended run with its sealed end, except those already reported."""
    name = files.metadata.name
    digests = metadata.files
    if digests is None or metadata.seal is None:
        return [
            JournalFinding(
                name,
                "the end of the run is not sealed: an earlier version wrote it, or the seal was "
                "taken out; run the experiment again with this run id to seal it",
            )
        ]
    findings = []
    if not is_sealed_as(read_bytes(files.metadata)):
        findings.append(JournalFinding(name, "it was changed: it is not what it was sealed as"))
    if metadata.run_id != files.folder.name:
        findings.append(JournalFinding(name, f"it is that of the run {metadata.run_id!r}"))
    findings += [JournalFinding(stray, _ADDED) for stray in stray_names(files)]
    if files.lock.is_file() and files.lock.stat().st_size:
        findings.append(JournalFinding(files.lock.name, "it was changed: a lock has no content"))
    there = dict(sealed_paths(files))
    for path in sorted(digests.keys() | there.keys()):
        if any(_is_about(finding, path) for finding in reported):
            continue
        if path not in there:
            findings.append(JournalFinding(path, "it is gone"))
        elif path not in digests:
            findings.append(JournalFinding(path, _ADDED))
        elif there[path].is_symlink() or file_sha256(there[path]) != digests[path]:
            findings.append(
                JournalFinding(path, "it was changed: its sha256 is not the sealed one")
            )
    return findings


def _is_about(finding: JournalFinding, path: str) -> bool:
    """Return whether a finding names a file, or the chain of the journal that it belongs to."""
    place = finding.place.partition(",")[0]
    return path == place or path.startswith(f"{place}/")


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


def _metadata(check: JournalCheck, path: Path) -> RunMetadata | None:
    if not (content := _document(check, path)):
        return None
    try:
        return read_as(RunMetadata, content)
    except ValueError as error:
        check.findings.append(JournalFinding(path.name, f"damaged: {error}"))
        return None


def _read_plan(check: JournalCheck, files: RunFiles) -> Plan | None:
    name = files.plan.name
    try:
        return read_plan(files.plan)
    except UsageError:
        check.findings.append(JournalFinding(name, "it is gone"))
    except DataError as error:
        what = str(error).partition("; ")[0].rpartition("damaged: ")[2]
        check.findings.append(JournalFinding(name, what))
    return None


def _input_findings(
    files: RunFiles, plan: Plan | None, metadata: RunMetadata
) -> Iterator[JournalFinding]:
    if plan is not None:
        yield from _plan_findings(files.plan.name, plan, metadata)
    name = files.experiment.name
    try:
        experiment = read_json(files.experiment)
    except DataError:
        yield JournalFinding(name, "damaged: it is no JSON")
        return
    if experiment is None:
        yield JournalFinding(name, "it is gone")
    elif digest(experiment) != metadata.config_digest:
        yield JournalFinding(name, "its content is not that of the metadata's config_digest")


def _plan_findings(name: str, plan: Plan, metadata: RunMetadata) -> Iterator[JournalFinding]:
    if plan.digest != metadata.plan_digest:
        yield JournalFinding(name, "its tasks are not those of the metadata's plan_digest")
    if plan.dataset_digest != metadata.dataset_digest:
        yield JournalFinding(name, "dataset_digest is not that of the metadata")
    for contradiction in plan_contradictions(plan):
        yield JournalFinding(name, contradiction)


def _table_findings(files: RunFiles, result: Mapping[str, Any]) -> Iterator[JournalFinding]:
    tables = result.get("tables")
    if not isinstance(tables, dict):
        return
    for name, path in (("results", files.results), ("points", files.points)):
        if not path.exists():
            yield JournalFinding(path.name, "it is gone")
        elif file_sha256(path) != tables.get(name):
            yield JournalFinding(path.name, "its sha256 is not that of result.json")


def plan_contradictions(plan: Plan) -> Iterator[str]:
    """Yield what in a plan does not match its task ids, at most one line of a kind.

    Ids cover engine, packages, code, venue, fees, seed and settings (``common``), the strategy's
    config with each point's parameters, instruments, windows and data.
    """
    for point in plan.points:
        if point.parameters != shown_values(decode_values(point.config)):
            yield f"points[{point.index}].parameters are not those of its config"
            break
    try:
        common = digest(plan.common.content)
        configs = [digest(plan.config(number)) for number in range(len(plan.points))]
        partitions = list(partition_digests(plan.partitions, plan.instruments))
    except (KeyError, ValueError, TypeError) as error:
        yield f"its inputs are damaged: {error} is missing or of the wrong form"
        return
    for number, task in enumerate(plan.tasks):
        found = task_id_of_digests(common, configs[task.point], partitions[task.partition])
        if found != task.task_id:
            yield f"tasks[{number}].task_id does not follow from the inputs that the plan states"
            return
