"""Find a run by its id, or the latest one."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from trading_runtime.errors import UsageError
from trading_runtime.runs.opening import check_run_id
from trading_runtime.runs.overview import started

if TYPE_CHECKING:
    from trading_runtime.results.store import Store

LATEST = "latest"
_SHOWN = 5


def runs_by_start(store: Store) -> list[str]:
    """Return the ids of all runs, oldest first."""
    known = []
    for run_id in store.run_ids():
        try:
            check_run_id(run_id)
        except UsageError:
            continue  # a folder that is not a run's
        known.append((started(store, run_id), run_id))
    return [run_id for _, run_id in sorted(known)]


def named_run(store: Store, run: str, place: str, option: str = "--results") -> str:
    """Return the id of the run that ``run`` names: an id, or ``latest``.

    The name is checked before any path is built from it. Raises ``UsageError`` when there is no
    such run in the store at ``place``; ``option`` says how to name another one.
    """
    check_run_id(run)
    if run in store.run_ids():
        return run
    known = runs_by_start(store)
    if not known:
        raise UsageError(f"no run {run!r}: there are no runs in {place}; {option} names another")
    if run == LATEST:
        return known[-1]
    near = difflib.get_close_matches(run, [*known, LATEST], n=1)
    latest = f"the latest are: {', '.join(known[-_SHOWN:])}"
    hint = f"did you mean {near[0]!r}?" if near else latest
    raise UsageError(f"no run {run!r} in {place}; {hint}")
