"""The step ``check``: compare the store with the plan, and make batches of what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trading_runtime.argo.planned_run import open_planned_run
from trading_runtime.control.kill_switch import KillSwitch
from trading_runtime.errors import DataError
from trading_runtime.planning.pod_batches import BATCH_SECONDS, MOST_BATCHES, pod_batches
from trading_runtime.records.failures import MissingTasks
from trading_runtime.runs.heartbeat import Heartbeat
from trading_runtime.storage.files import write_file

if TYPE_CHECKING:
    from trading_runtime.argo.planned_run import SharedPlannedRun
    from trading_runtime.results.store import Store


def run_check_step(results: str, run_id: str) -> list[int]:
    """Write batches of the tasks that are missing, and return how many tasks each has.

    Raises ``UsageError`` when the run was not planned. A run that was asked to stop, or that the
    kill switch is on for, gets no more batches.
    """
    run = open_planned_run(results, run_id)
    with Heartbeat(run.store.objects, run_id):
        return _make_batches(run)


def _is_sound(store: Store, task_id: str) -> bool:
    """Return whether what the summary will read of a result is sound; quarantine it if not."""
    try:
        store.read_reduced(task_id)
    except DataError:
        store.quarantine(task_id)
        return False
    return True


def _make_batches(run: SharedPlannedRun) -> list[int]:
    if run.shared.stop_requested() or KillSwitch(run.store).on_for(run.run_id) is not None:
        return []  # the summary says which
    batches = pod_batches(
        run.plan,
        missing_tasks(run),
        run.metadata.batch_seconds or BATCH_SECONDS,
        run.metadata.most_batches or MOST_BATCHES,
    )
    files = run.shared.files
    write_file(files.missing, MissingTasks(batches=batches).to_json())
    run.shared.publish(files.missing)
    return [len(batch) for batch in batches]


def missing_tasks(run: SharedPlannedRun) -> list[int]:
    """Return the indices of the tasks that were not done.

    These are tasks with neither a result nor a failure, and those whose failure may pass:
    transient, or out of memory. Results that are damaged are quarantined and count as missing.
    Argo's own view of its pods is not used.
    """
    run.store.refresh(run.plan.task_ids)
    run.store.fetch_results(run.plan.task_ids, run.plan.digest)
    failed = run.shared.failures().keys()
    missing = []
    for index, task_id in enumerate(run.plan.task_ids):
        if run.store.has_task(task_id):
            if not _is_sound(run.store, task_id):
                missing.append(index)
        elif task_id not in failed or run.may_pass(task_id):
            missing.append(index)
    return missing
