"""Reuse the tables of an earlier run with identical results instead of making them again.

Tables are a function of the plan and of the results, and results are identified by their manifests.
A run that has every result stored reads manifests only, and takes the tables of an earlier run of
the same plan whose ``result.json`` states the same identity. Only large runs do this: small ones
read every byte of their results again, which takes no time and detects damage.

Each manifest is read and verified once per run, during planning. A change to a result between then
and the summary makes no table wrong: tables are of the results as they were then, and the next run
to read it detects the damage. When tasks have run in between, all manifests are read again.
"""

from __future__ import annotations

import contextlib
import hashlib
from typing import TYPE_CHECKING, NamedTuple

from trading_runtime.canonical import digest
from trading_runtime.errors import DataError
from trading_runtime.planning.distributions import installed_version
from trading_runtime.planning.environment import pinned_packages
from trading_runtime.records.forms import to_document
from trading_runtime.records.result import LUCK_FORMAT, RunResult, TableDigests, read_result
from trading_runtime.storage.files import read_bytes
from trading_runtime.units import format_instant

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from trading_runtime.records.plan import Plan
    from trading_runtime.records.run_files import RunFiles
    from trading_runtime.results.store import Store

FEWEST_TASKS = 1_000
"""Below this, reading all results takes about as long as looking for tables."""


class ReusedTables(NamedTuple):
    """The tables written by an earlier run."""

    result: RunResult
    results: bytes
    points: bytes


def table_digests(
    plan: Plan, run_digest: str, files: RunFiles, drawn: int | None = None
) -> TableDigests:
    """Return what identifies the tables of a run, so that they can be reused."""
    return TableDigests(
        made_from=_made_from(plan, run_digest, drawn),
        results=_sha256(read_bytes(files.results)),
        points=_sha256(read_bytes(files.points)),
    )


def earlier_tables(
    plan: Plan, store: Store, files: RunFiles, verified: Mapping[str, str], drawn: int | None = None
) -> ReusedTables | None:
    """Return the sound tables of a run that had the same plan and the same results, if any did.

    ``verified`` maps task ids to the sha256 of manifests that this run has just verified; the
    others are verified here. ``None`` also when the run is small, when a task of the plan failed in
    this run, or when one has no complete result.
    """
    if len(plan.tasks) < FEWEST_TASKS:
        return None
    runs = list(_with_tables(store.ended_runs()))
    if not runs or any(files.failures.glob("*.json")):
        return None
    manifests = {}
    for task in plan.tasks:
        sha256 = verified.get(task.task_id) or store.sound_manifest_digest(task.task_id)
        if sha256 is None:
            return None
        manifests[task.task_id] = sha256
    wanted = _made_from(plan, digest(sorted(manifests.items())), drawn)
    for run, result, tables in runs:
        if tables.made_from == wanted:
            results = _sound(run.results, tables.results)
            points = _sound(run.points, tables.points)
            if results is not None and points is not None:
                return ReusedTables(result, results, points)
    return None


def _made_from(plan: Plan, run_digest: str, drawn: int | None) -> str:
    """Return the digest of everything that tables are made from."""
    return digest(
        {
            "run_digest": run_digest,
            "luck": [LUCK_FORMAT, drawn],
            "runtime": plan.common.runtime_code,
            "packages": {name: installed_version(name) for name in pinned_packages()},
            "objectives": [to_document(each) for each in plan.objectives],
            "points": [point.to_document() for point in plan.points],
            "tasks": [[task.task_id, task.point, task.partition] for task in plan.tasks],
            "windows": [
                [format_instant(window.start), format_instant(window.end), list(window.instruments)]
                for window in plan.partitions
            ],
        }
    )


def _with_tables(runs: Iterable[RunFiles]) -> Iterator[tuple[RunFiles, RunResult, TableDigests]]:
    for run in runs:
        with contextlib.suppress(DataError):
            result = read_result(run)
            if result is not None and result.complete and result.tables is not None:
                yield run, result, result.tables


def _sound(path: Path, sha256: str) -> bytes | None:
    try:
        content = read_bytes(path)
    except OSError:
        return None
    return content if _sha256(content) == sha256 else None


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
