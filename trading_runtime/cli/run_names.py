"""The run that a word of the command line names: its id, or 'latest'."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from trading_runtime.cli.result_folders import open_results
from trading_runtime.errors import UsageError

if TYPE_CHECKING:
    from trading_runtime.results.store import Store

_LATEST = "latest"
_SHOWN = 5


def find_run(run: str, folder: str) -> tuple[Store, str]:
    """Return the store in ``folder``, and the id of the run that ``run`` names.

    The name is checked before any path is built from it. Raises ``UsageError`` when it names none.
    """
    from trading_runtime.runs.run_id import check_run_id

    check_run_id(run)
    store = open_results(folder)
    if run in store.run_ids():
        return store, run
    known = runs_by_start(store)
    if not known:
        raise UsageError(f"no run {run!r}: there are no runs in {folder}; --results names another")
    if run == _LATEST:
        return store, known[-1]
    near = difflib.get_close_matches(run, known, n=1)
    latest = f"the latest are: {', '.join(known[-_SHOWN:])}"
    hint = f"did you mean {near[0]!r}?" if near else latest
    raise UsageError(f"no run {run!r} in {folder}; {hint}")


def runs_by_start(store: Store) -> list[str]:
    """Return the ids of all runs, those that were started first in front."""
    from trading_runtime.runs.overview import started
    from trading_runtime.runs.run_id import check_run_id

    known = []
    for run_id in store.run_ids():
        try:
            check_run_id(run_id)
        except UsageError:
            continue  # a folder that no run made
        known.append((started(store, run_id), run_id))
    return [run_id for _, run_id in sorted(known)]
