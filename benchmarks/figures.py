"""The figures by name: what each measures, against what, and the target it has to reach."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.preparing import preparing
from benchmarks.scale import (
    cached_run,
    large_dataset,
    planning,
    planning_points,
    summarising,
    summarising_in_s3,
    worker_memory,
)
from benchmarks.searching import searching
from benchmarks.speed import (
    first_event,
    session_of_bars,
    session_order,
    session_start,
    sweep_backtesting,
    sweep_builtin,
    sweep_nautilus_1,
    task_of_bars,
    task_of_trades,
)
from benchmarks.supervising import supervising

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.bench import Bench, Row

FIGURES: dict[str, Callable[[Bench], list[Row]]] = {
    "task-bars": task_of_bars,
    "task-trades": task_of_trades,
    "sweep-nautilus-1": sweep_nautilus_1,
    "sweep-backtesting": sweep_backtesting,
    "sweep-builtin": sweep_builtin,
    "search": searching,
    "first-event": first_event,
    "session": session_of_bars,
    "session-start": session_start,
    "session-order": session_order,
    "preparing": preparing,
    "memory": worker_memory,
    "planning": planning,
    "planning-points": planning_points,
    "large-dataset": large_dataset,
    "summarising": summarising,
    "summarising-in-s3": summarising_in_s3,
    "cached": cached_run,
    "supervising": supervising,
}
"""Each figure by the name that ``--only`` takes, in the order of the table."""
