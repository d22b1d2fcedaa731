"""Options, results folders and run names that many commands share."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trading_runtime.cli.terminal import say
from trading_runtime.config.project_file import results_here
from trading_runtime.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trading_runtime.results.store import Store

    type Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

MOST_WORKERS = 1_024
"""As in an experiment; each is a process, so one per task of a large plan would be too many."""
WORKERS = click.option(
    "--workers",
    type=click.IntRange(1, MOST_WORKERS),
    help="Worker processes; default: the experiment's, else one per processor.",
)
EXPERIMENT = click.option(
    "--experiment",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Where the experiment file is now; default: where it was.",
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def results_option(
    parameter: str = "results", *, text: str = "The folder of the results, or its address in S3."
) -> Decorator:
    """Return the option ``--results``, passed to the command as ``parameter``.

    Its default is ``TRADING_RUNTIME_RESULTS``, else what the project file says, else ``results``.
    """
    return click.option(
        "--results", parameter, default=results_here, show_default="results", help=text
    )


RESULTS = results_option()


def open_results(place: str) -> Store:
    """Return the store in a folder, which need not exist, or at an address in S3.

    Raises ``UsageError`` for a file, or an invalid address.
    """
    from trading_runtime.results.opening import open_store
    from trading_runtime.storage.s3 import is_s3

    store = open_store(place)
    if not is_s3(place) and Path(place).is_file():
        raise UsageError(f"{place}: is a file; --results takes the folder of the results")
    return store


_LATEST = "latest"
_SHOWN = 5


def find_run(run: str, folder: str) -> tuple[Store, str]:
    """Return the store in ``folder``, and the id of the run that ``run`` names.

    The name is checked before any path is built from it. Raises ``UsageError`` when there is no
    such run.
    """
    from trading_runtime.runs.opening import check_run_id

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
    """Return the ids of all runs, oldest first."""
    from trading_runtime.runs.opening import check_run_id
    from trading_runtime.runs.overview import started

    known = []
    for run_id in store.run_ids():
        try:
            check_run_id(run_id)
        except UsageError:
            continue  # a folder that is not a run's
        known.append((started(store, run_id), run_id))
    return [run_id for _, run_id in sorted(known)]


def print_findings(findings: Sequence[Any], notes: Sequence[Any]) -> str:
    """Print a line for each, and return in one word whether everything is ``sound``."""
    for item in findings:
        say(f"broken: {item}")
    for item in notes:
        say(f"note: {item}")
    return "broken" if findings else "sound"
