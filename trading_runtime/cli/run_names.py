"""The run that a word of the command line names: its id, or 'latest'."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trading_runtime.cli.result_folders import open_results
from trading_runtime.errors import UsageError

if TYPE_CHECKING:
    from trading_runtime.results.store import Store

_LATEST = "latest"
_SHOWN = 3


def find_run(run: str, folder: str) -> tuple[Store, str]:
    """Return the store in ``folder``, and the id of the run that ``run`` names.

    The name is checked before any path is built from it. Raises ``UsageError`` when it names none.
    """
    from trading_runtime.runs.overview import started
    from trading_runtime.runs.run_id import check_run_id

    check_run_id(run)
    store = open_results(folder)
    known = store.run_ids()
    if run in known:
        return store, run
    if run == _LATEST and known:
        return store, max(known, key=lambda run_id: (started(store, run_id), run_id))
    shown = ", ".join(known[-_SHOWN:]) or "none"
    raise UsageError(f"no run {run!r} in {folder}; the latest are: {shown}")
