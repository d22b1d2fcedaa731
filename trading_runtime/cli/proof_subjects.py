"""The runs and tasks that the words of ``verify``, ``why`` and ``replay`` name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trading_runtime.cli.result_folders import open_results
from trading_runtime.errors import UsageError

if TYPE_CHECKING:
    from trading_runtime.results.comparison import RunComparison, TaskComparison
    from trading_runtime.results.store import Store


def compare_named(
    names: tuple[str, str], folders: tuple[str, str]
) -> TaskComparison | RunComparison:
    """Compare the two runs, or the two tasks, of these names in these folders.

    Raises ``UsageError`` when they name none, or a run and a task.
    """
    from trading_runtime.results.comparison import PlannedRun, compare_runs, compare_tasks
    from trading_runtime.results.stored_plan import read_whole_plan

    stores = [open_results(folder) for folder in folders]
    are_runs = [name in store.run_ids() for name, store in zip(names, stores, strict=True)]
    if all(are_runs):
        first, second = (
            PlannedRun(store, read_whole_plan(store.run(name)))
            for name, store in zip(names, stores, strict=True)
        )
        return compare_runs(first, second)
    if any(are_runs):
        run, other = names if are_runs[0] else names[::-1]
        where = stores[1 if are_runs[0] else 0].place
        raise UsageError(
            f"{run!r} is a run and {other[:80]!r} is none in {where}; give two runs or two tasks"
        )
    first_id, second_id = (_task(*pair) for pair in zip(names, stores, strict=True))
    return compare_tasks(stores[0], first_id, stores[1], second_id)


def _task(name: str, store: Store) -> str:
    from trading_runtime.results.stored_plan import is_task_prefix, pick, stored_ids

    if not is_task_prefix(name):
        known = ", ".join(store.run_ids()[-3:]) or "none"
        raise UsageError(
            f"{name[:80]!r} is neither a run in {store.place} (the latest are: {known}) nor the "
            "first 4 to 64 hexadecimal digits of a task id"
        )
    return pick(name, stored_ids(store, name), store.place)
