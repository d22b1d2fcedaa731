"""Summarise an experiment whose results are all stored: tables, points, result, report.

    python -m benchmarks.programs.summarise EXPERIMENT

Prints the seconds of all that happens after planning.
"""

from __future__ import annotations

import json
import sys
import time

from trading_runtime.execution.local_run import LocalRun
from trading_runtime.execution.preparation import prepare_run


def main() -> None:
    """Plan, then summarise and measure."""
    prepared = prepare_run(sys.argv[1])
    started = time.perf_counter()
    run = LocalRun(prepared, "bench", lambda: False, show_progress=False)
    outcome = run.execute(allow_incomplete=False)
    if outcome.computed or not outcome.reduction.result.complete:
        raise SystemExit(f"not all results were stored: {outcome.reduction.result.counts}")
    sys.stdout.write(json.dumps({"seconds": time.perf_counter() - started}) + "\n")


if __name__ == "__main__":
    main()
