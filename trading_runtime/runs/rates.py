"""Measurements of runs: task durations, and the rates by which later plans are estimated."""

from __future__ import annotations

import json
import statistics
from typing import TYPE_CHECKING, Any

from trading_runtime.errors import DataError
from trading_runtime.planning.plan import Rate
from trading_runtime.storage.files import read_json, write_file

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trading_runtime.records.run_files import RunFiles
    from trading_runtime.results.store import Store

_RUNS_LOOKED_AT = 100
_METRICS = "metrics.json"


def write_metrics(
    files: RunFiles, strategy: str, wall_seconds: float, tasks: Sequence[tuple[float, int]]
) -> None:
    """Write ``metrics.json``; ``tasks`` are seconds and rows of each computed task."""
    seconds = [item[0] for item in tasks]
    rows = sum(item[1] for item in tasks)
    content: dict[str, Any] = {
        "strategy": strategy,
        "wall_seconds": round(wall_seconds, 6),
        "tasks_computed": len(tasks),
        "task_seconds_total": round(sum(seconds), 6),
        "task_seconds_median": round(statistics.median(seconds), 6) if seconds else None,
        "task_seconds_longest": round(max(seconds), 6) if seconds else None,
        "rows": rows,
        "rows_per_second": round(rows / sum(seconds), 3) if rows else None,
    }
    write_file(files.metrics, json.dumps(content, indent=1) + "\n")


def measured_rate(store: Store, strategy: str) -> Rate | None:
    """Return the rate of the latest run of ``strategy``, else of any run; ``None`` without one.

    Runs that computed nothing have no measurement and are skipped.
    """
    of_others: Rate | None = None
    for path in store.newest_run_files(_METRICS, _RUNS_LOOKED_AT):
        try:
            content = read_json(path)
            if not content["rows_per_second"]:
                continue
            rate = Rate(content["task_seconds_median"], content["rows_per_second"])
            if content["strategy"] == strategy:
                return rate
            of_others = of_others or rate
        except (DataError, KeyError, TypeError):
            continue  # a damaged measurement is ignored
    return of_others
