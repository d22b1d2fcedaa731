"""Why tasks are new: what all tasks share, and what it was in the last run of the experiment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from trading_runtime.errors import DataError
from trading_runtime.storage.files import read_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from trading_runtime.execution.preparation import Prepared

_MOST_PLANS = 20


class PlanChanges(NamedTuple):
    """What changed since an earlier run, in words."""

    run_id: str
    changes: tuple[str, ...]


def changes_since_last_run(prepared: Prepared) -> PlanChanges | None:
    """Return what changed in code and versions since the last run of the same experiment.

    ``None`` when all tasks are stored, when no run of this experiment and strategy is known here,
    or when nothing changed in them.
    """
    now = prepared.plan.document
    if not prepared.plan.uncached:
        return None
    for path in prepared.store.newest_run_files("plan.json", _MOST_PLANS):
        try:
            then = read_json(path)
            if then is None or then["experiment_name"] != now["experiment_name"]:
                continue
            if then["common"]["strategy"]["path"] != now["common"]["strategy"]["path"]:
                continue
            changes = tuple(_changes(then, now))
        except (DataError, KeyError, TypeError, AttributeError):
            # A damaged plan, or one of an earlier version that says less.
            continue
        return PlanChanges(path.parent.name, changes) if changes else None
    return None


def _changes(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    yield from _differing(then["strategy"]["files"], now["strategy"]["files"])
    before, after = then["common"], now["common"]
    if before["code"]["runtime"] != after["code"]["runtime"]:
        yield "trading-runtime's own code changed"
    for key in ("engine", "packages"):
        for name in sorted(before[key].keys() | after[key].keys()):
            first, second = before[key].get(name), after[key].get(name)
            if first != second:
                yield f"{name} {first or 'not used'} -> {second or 'not used'}"
    for key in ("python", "system", "machine"):
        if before[key] != after[key]:
            yield f"{key} {before[key]} -> {after[key]}"


def _differing(then: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    for name in sorted(then.keys() | now.keys()):
        if name not in then:
            yield f"{name} added"
        elif name not in now:
            yield f"{name} removed"
        elif then[name] != now[name]:
            yield f"{name} changed"
