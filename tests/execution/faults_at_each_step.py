"""Run an experiment again and again, with a fault at each change that it makes to its files.

A process of its own, since it forks; see ``disk_faults``. Prints a JSON line for each fault: where,
how the run ended, how it stands then, what ``runs check`` finds, and, for new runs, both again
after the run was repeated.
"""

from __future__ import annotations

import functools
import itertools
import json
import os
import sys
from pathlib import Path
from typing import Any

# Imported once, and not in every process that is forked.
import trading_runtime.engine.simulation.venue
import trading_runtime.metrics.exposition
import trading_runtime.records.trials
import trading_runtime.report.write
import trading_runtime.results.ledger
import trading_runtime.results.reduction
import trading_runtime.results.validation  # noqa: F401
from tests.disk_faults import Faults, in_child
from trading_runtime.execution.local_run import LocalRun
from trading_runtime.execution.preparation import prepare_run
from trading_runtime.report.write import _environment
from trading_runtime.results.store import Store
from trading_runtime.runs.overview import overview
from trading_runtime.runs.run_check import check_run


def main() -> None:
    """Run ``run_id`` of an experiment with a fault at each step; ``fresh``: each time a new run."""
    file, results, run_id, how, fault = sys.argv[1:]
    make_what_every_run_needs(file)
    for step in itertools.count():
        name = f"{run_id}-{step}" if how == "fresh" else run_id
        folder = Path(results) / "runs" / name
        told = in_child(functools.partial(faulty, file, folder, step, fault))
        if not told:
            return
        facts: dict[str, Any] = {}
        for line in [*told.splitlines(), in_child(functools.partial(judged, file, folder))]:
            facts |= json.loads(line)
        sys.stdout.write(json.dumps(facts) + "\n")
        sys.stdout.flush()


def make_what_every_run_needs(file: str) -> None:
    """Make once what a process keeps: models, templates, digests of code.

    Only what starts no thread, which a fork would not have.
    """
    prepare_run(file, 1, lambda *_: {})
    for name in ("index.html", "report.md"):
        _environment().get_template(name)


def run(file: str, run_id: str) -> None:
    """Run the experiment, whose tasks are stored: no worker is needed."""
    LocalRun(prepare_run(file, 1), run_id, lambda: False, show_progress=False).execute(
        allow_incomplete=False
    )


def faulty(file: str, folder: Path, step: int, fault: str, out: int) -> None:
    """Run the experiment with a fault at the change of this number; say how it ended."""
    Faults(folder, step, fault, out).try_on(lambda: run(file, folder.name))


def judged(file: str, folder: Path, out: int) -> None:
    """Say how a run stands, repeat it, and say how it stands then."""
    before = standing(folder)
    run(file, folder.name)
    os.write(out, json.dumps({"before": before, "after": standing(folder)}).encode())


def standing(folder: Path) -> dict[str, Any]:
    """Return the status that people are shown, and what is found about the files."""
    store = Store(str(folder.parent.parent))
    found = check_run(store.run(folder.name), store=store)
    return {
        "status": overview(store, folder.name).status,
        "findings": [str(item) for item in found.findings],
    }


if __name__ == "__main__":
    main()
