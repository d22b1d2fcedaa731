"""Check a bundle of evidence offline: every byte, the journal, the results, and what follows."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trading_runtime.errors import DataError, UsageError
from trading_runtime.evidence.bundle import LISTING, is_as_written, listing_content, unpack
from trading_runtime.records.journal import JournalFinding
from trading_runtime.records.plan import read_plan
from trading_runtime.results.recomputation import added_to_task, damage
from trading_runtime.results.store import Store
from trading_runtime.runs.run_check import check_run
from trading_runtime.storage.files import file_sha256
from trading_runtime.storage.scratch import Scratch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trading_runtime.evidence.bundle import EvidenceListing
    from trading_runtime.records.plan import Plan


_PARTS_OF_TASK = 4
"""The parts of a file name: ``tasks``, two digits, the id, the file."""


@dataclass(frozen=True)
class Evidence:
    """A bundle whose bytes match its listing, unpacked as a results folder."""

    listing: EvidenceListing
    store: Store
    sha256: str
    """The sha256 of the whole archive."""


@dataclass(frozen=True)
class EvidenceCheck:
    """The findings about a bundle."""

    run_id: str
    sha256: str
    files: int
    tasks: int
    lines: int
    """Lines of the journal."""
    findings: list[JournalFinding]
    notes: list[JournalFinding]


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Evidence]:
    """Unpack a bundle into a scratch folder for the duration of the block.

    Raises what ``unpack`` raises.
    """
    with Scratch() as scratch:
        listing = unpack(path, scratch.path)
        yield Evidence(listing, Store(scratch.path), file_sha256(path))


def check_evidence(path: Path, sha256: str | None = None) -> EvidenceCheck:
    """Check a bundle offline; ``sha256`` is that of the archive, if it was recorded.

    Raises what ``unpack`` raises, and ``DataError`` when the archive is not the recorded one.
    """
    with opened(path) as evidence:
        if sha256 is not None and sha256.lower() != evidence.sha256:
            raise DataError(
                f"{path}: its sha256 is {evidence.sha256}, and {sha256[:80]} was given: it is "
                "another file than the one that was noted"
            )
        files = evidence.store.run(evidence.listing.run_id)
        found = check_run(files, store=evidence.store)
        # A damaged task may have been reported with the run.
        new = (
            item for item in _listing_findings(evidence, found.plan) if item not in found.findings
        )
        findings = [*found.findings, *new]
        if not is_as_written(path, evidence.listing, evidence.store.root):
            what = "it has bytes that its files do not account for, in front, between or in headers"
            findings.append(JournalFinding(path.name, what))
        return EvidenceCheck(
            run_id=evidence.listing.run_id,
            sha256=evidence.sha256,
            files=len(evidence.listing.files),
            tasks=len(list((evidence.store.root / "tasks").glob("*/*"))),
            lines=found.lines,
            findings=findings,
            notes=found.notes,
        )


def _listing_findings(evidence: Evidence, plan: Plan | None) -> Iterator[JournalFinding]:
    """Compare the bundle's content and listing with what follows from its run."""
    store, files = evidence.store, evidence.store.run(evidence.listing.run_id)
    try:
        plan = plan or read_plan(files.plan)
        follows = listing_content(files, plan, evidence.listing.files)
    except (DataError, UsageError):
        return  # reported already
    stated = evidence.listing.content
    for key in sorted(follows.keys() | stated.keys()):
        if follows.get(key) != stated.get(key):
            yield JournalFinding(LISTING, f"{key} is not what follows from the files of the run")
    yield from _task_findings(store, set(plan.task_ids))
    folders = {"runs", "tasks"}
    for name in sorted(evidence.listing.files):
        parts = name.split("/")
        is_other = parts[0] == "tasks" and len(parts) != _PARTS_OF_TASK
        if files.is_unsealed(store.root / name) or is_other or parts[0] not in folders:
            yield JournalFinding(name, "it belongs to no part of a bundle")


def _task_findings(store: Store, planned: set[str]) -> Iterator[JournalFinding]:
    for folder in sorted((store.root / "tasks").glob("*/*")):
        place = f"tasks/{folder.name[:12]}"
        if folder.name not in planned:
            yield JournalFinding(place, "the plan has no such task")
            continue
        try:
            known = store.read_task(folder.name).keys()
        except DataError as error:
            yield damage(folder.name, error)
            continue
        yield from added_to_task(store, folder.name, known)
