"""Why tasks are new: compare what all tasks share with the last run of the experiment."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from trading_runtime.errors import DataError, UsageError
from trading_runtime.records.plan import read_plan

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from trading_runtime.execution.preparation import PreparedRun
    from trading_runtime.records.plan import Plan

_MOST_PLANS = 20


class PlanChanges(NamedTuple):
    """What changed since an earlier run, in words."""

    run_id: str
    changes: tuple[str, ...]


def changes_since_last_run(prepared: PreparedRun) -> PlanChanges | None:
    """Return what changed in code and versions since the last run of the same experiment.

    ``None`` when all tasks are stored, when no earlier run of this experiment and strategy is known
    here, or when nothing changed.
    """
    now = prepared.plan
    if not prepared.plan.uncached:
        return None
    for path in prepared.store.newest_run_files("plan.json", _MOST_PLANS):
        try:
            then = read_plan(path)
        except (DataError, UsageError):
            continue  # a damaged plan, or one that has just been removed
        if then.experiment_name != now.experiment_name or then.strategy.files is None:
            continue
        if then.common.strategy_path != now.common.strategy_path:
            continue
        changes = tuple(_changes(then, now))
        return PlanChanges(path.parent.name, changes) if changes else None
    return None


def _changes(then: Plan, now: Plan) -> Iterator[str]:
    yield from _differing(then.strategy.files or {}, now.strategy.files or {})
    before, after = then.common, now.common
    if before.runtime_code != after.runtime_code:
        yield "trading-runtime's own code changed"
    for earlier, later in ((before.engine, after.engine), (before.packages, after.packages)):
        for name in sorted(earlier.keys() | later.keys()):
            first, second = earlier.get(name), later.get(name)
            if first != second:
                yield f"{name} {first or 'not used'} -> {second or 'not used'}"
    for what in ("python", "system", "machine"):
        first, second = getattr(before, what), getattr(after, what)
        if first != second:
            yield f"{what} {first} -> {second}"


def _differing(then: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    for name in sorted(then.keys() | now.keys()):
        if name not in then:
            yield f"{name} added"
        elif name not in now:
            yield f"{name} removed"
        elif then[name] != now[name]:
            yield f"{name} changed"
