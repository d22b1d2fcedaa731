"""Check that a run's result and tables follow from its stored tasks, by recomputing them."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any

from trading_runtime.errors import DataError
from trading_runtime.records.journal import JournalFinding
from trading_runtime.records.result import read_result
from trading_runtime.records.run_files import RunFiles
from trading_runtime.results.frames import read_frame
from trading_runtime.results.judgement import drawn_points
from trading_runtime.results.points import MISSING, OK
from trading_runtime.results.reduction import counts, reduce_run
from trading_runtime.results.run_records import read_table
from trading_runtime.results.task_places import task_folder
from trading_runtime.storage.files import read_bytes, read_json
from trading_runtime.storage.scratch import Scratch

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    import polars as pl

    from trading_runtime.records.journal import JournalCheck
    from trading_runtime.records.plan import Plan
    from trading_runtime.results.store import Store

_NOT_COMPARED = {"tables", "warnings"}
"""The bytes of tables depend on the version of their writer, and warnings on our wording."""
_ALWAYS = {"run_digest", "complete", "counts", "failed_by_kind", "objective", "best"}
_TABLES = ("results", "points")
_AGAIN = "it is not what the stored results of the tasks give"


def check_against_tasks(check: JournalCheck, store: Store, files: RunFiles, plan: Plan) -> None:
    """Check whether the results of a run's tasks are complete and produce its result and tables.

    ``plan`` is that of the run, which was summarised. Additional output of later versions of this
    program is not missed. Nothing is written.
    """
    try:
        result = read_result(files)
        if result is None:
            return
        tables = {name: read_table(getattr(files, name), result.tables) for name in _TABLES}
    except DataError:
        return  # reported with the files
    stored = {task_id for task_id in plan.task_ids if store.has_manifest(task_id)}
    damaged = list(_damaged(store, sorted(stored)))
    check.findings += damaged
    statuses = dict(zip(tables["results"]["task_id"], tables["results"]["status"], strict=True))
    lost = (task for task in set(plan.task_ids) - stored if statuses.get(task) == OK)
    gone = min(lost, default=None)
    if gone is not None:
        check.findings.append(
            JournalFinding(f"tasks/{gone[:12]}", "the result of a done task is gone")
        )
    elif since := sum(statuses.get(task_id) == MISSING for task_id in stored):
        if counts(statuses) != result.counts:
            check.findings.append(JournalFinding(files.result.name, f"counts: {_AGAIN}"))
        check.notes.append(
            JournalFinding(
                files.result.name,
                f"{since:,} tasks that it states as missing were computed since by another run: "
                "it was not made once more",
            )
        )
    elif not damaged:
        check.findings += _differences(store, files, plan, tables)


def _damaged(store: Store, task_ids: list[str]) -> Iterator[JournalFinding]:
    for task_id in task_ids:
        try:
            known = store.read_task(task_id).keys()
        except DataError as error:
            yield damage(task_id, error)
            continue
        yield from added_to_task(store, task_id, known)


def added_to_task(store: Store, task_id: str, known: Collection[str]) -> Iterator[JournalFinding]:
    """Yield what is beside the ``known`` files of a result on this disk.

    In S3, a result with another object is not complete.
    """
    folder = store.root / task_folder(task_id)
    for name in sorted(os.listdir(folder)) if folder.is_dir() else ():  # noqa: PTH208 - many
        if name not in known:
            yield JournalFinding(f"tasks/{task_id[:12]}/{name}", "it is no file of the result")


def damage(task_id: str, error: DataError) -> JournalFinding:
    """Return the finding for a stored result that cannot be read because of ``error``."""
    reason = str(error).rpartition(": ")[2]
    return JournalFinding(f"tasks/{task_id[:12]}", f"the stored result is damaged: {reason}")


def _differences(
    store: Store,
    files: RunFiles,
    plan: Plan,
    tables: Mapping[str, pl.DataFrame],
) -> Iterator[JournalFinding]:
    result = read_json(files.result)
    with Scratch() as scratch:
        again = RunFiles(scratch.path / files.folder.name)
        again.folder.mkdir()
        shutil.copy(files.plan, again.plan)
        if files.failures.is_dir():
            shutil.copytree(files.failures, again.failures)
        named = result["best"] is not None
        drawn = drawn_points(read_json(files.experiment))
        reduce_run(plan, store, again, allow_incomplete=named, reuse=False, drawn=drawn)
        whole = json.loads(read_bytes(again.result))
        found = {name: read_frame(getattr(again, name).read_bytes()) for name in _TABLES}
    for key in sorted((result.keys() - _NOT_COMPARED) | _ALWAYS):
        if not _follows(result.get(key), whole.get(key)):
            yield JournalFinding(files.result.name, f"{key}: {_AGAIN}")
    if [item["kind"] for item in result.get("warnings", whole["warnings"])] != [
        item["kind"] for item in whole["warnings"]
    ]:
        yield JournalFinding(files.result.name, f"warnings: {_AGAIN}")
    for name in _TABLES:
        stated = tables[name]
        unknown = set(stated.columns) - set(found[name].columns)
        if unknown or not stated.equals(found[name].select(stated.columns)):
            yield JournalFinding(getattr(files, name).name, _AGAIN)


def _follows(stated: Any, again: Any) -> bool:
    """Return whether a stated value is what is found again.

    Of a section in an older format, what later versions have added is not missed.
    """
    if not isinstance(stated, dict) or not isinstance(again, dict):
        return bool(stated == again)
    if stated.get("format") == again.get("format"):
        return stated == again
    return all(again.get(key) == value for key, value in stated.items() if key != "format")
