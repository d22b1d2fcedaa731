"""Check a bundle of evidence offline: every byte, the journal, the results, and what follows."""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trading_runtime.errors import DataError, UsageError
from trading_runtime.evidence.bundle import unpack
from trading_runtime.records.journal import JournalFinding
from trading_runtime.records.plan import read_plan
from trading_runtime.results.store import Store
from trading_runtime.results.stored_plan import run_digest
from trading_runtime.runs.run_check import check_run
from trading_runtime.storage.files import read_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True)
class Evidence:
    """A bundle whose bytes are what its listing says, unpacked as a results folder."""

    run_id: str
    listing: Mapping[str, Any]
    store: Store
    sha256: str
    """Of the whole archive."""


@dataclass(frozen=True)
class EvidenceCheck:
    """What was found about a bundle."""

    run_id: str
    sha256: str
    files: int
    tasks: int
    lines: int
    """Of the journal."""
    findings: list[JournalFinding]
    notes: list[JournalFinding]


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Evidence]:
    """Unpack a bundle into a scratch folder for as long as the block runs.

    Raises what ``unpack`` raises.
    """
    with tempfile.TemporaryDirectory(prefix="trading-runtime-evidence-") as scratch:
        listing = unpack(path, Path(scratch))
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        yield Evidence(listing["run_id"], listing, Store(Path(scratch)), sha256)


def check_evidence(path: Path, sha256: str | None = None) -> EvidenceCheck:
    """Check a bundle with nothing else at hand; ``sha256`` is that of the archive, if it was noted.

    Raises what ``unpack`` raises, and ``DataError`` when the archive is not the noted one.
    """
    with opened(path) as evidence:
        if sha256 is not None and sha256.lower() != evidence.sha256:
            raise DataError(
                f"{path}: its sha256 is {evidence.sha256}, and {sha256[:80]} was given: it is "
                "another file than the one that was noted"
            )
        files = evidence.store.run(evidence.run_id)
        found = check_run(files)
        findings = [*found.findings, *_result_findings(evidence)]
        return EvidenceCheck(
            run_id=evidence.run_id,
            sha256=evidence.sha256,
            files=len(evidence.listing["files"]),
            tasks=len(list((evidence.store.root / "tasks").glob("*/*"))),
            lines=found.lines,
            findings=findings,
            notes=found.notes,
        )


def _result_findings(evidence: Evidence) -> Iterator[JournalFinding]:
    store, files = evidence.store, evidence.store.run(evidence.run_id)
    try:
        plan = read_plan(files.plan)
        result = read_json(files.result) or {}
    except (DataError, UsageError):
        return  # reported already
    planned = set(plan.task_ids)
    stored = {path.name for path in (store.root / "tasks").glob("*/*")}
    for task_id in sorted(stored - planned):
        yield JournalFinding(f"tasks/{task_id[:12]}", "the plan has no such task")
    sound = True
    for task_id in sorted(stored & planned):
        try:
            store.read_task(task_id)
        except DataError as error:
            sound = False
            reason = str(error).rpartition(": ")[2]
            yield JournalFinding(f"tasks/{task_id[:12]}", f"the stored result is damaged: {reason}")
    if result.get("complete"):
        if missing := sorted(planned - stored):
            yield JournalFinding(f"tasks/{missing[0][:12]}", "the result of a complete run is gone")
        elif sound and run_digest(store, plan) != result.get("run_digest"):
            yield JournalFinding(files.result.name, "run_digest is not that of the results")
    if evidence.listing.get("run_digest") != result.get("run_digest"):
        yield JournalFinding("evidence.json", "run_digest is not that of result.json")
